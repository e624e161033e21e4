//! Answers that come whole and mean something else than they should.

use dicom_core::{DataElement, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use pacs::{ArchiveError, Failed, Find, MultipartFault, Reason, Scope};

use crate::server::{Server, answer};
use crate::{JSON, PARTS, PATIENT, archive, file, retrieve, search, store, uid};

fn json(body: &str) -> ArchiveError {
    search(&Server::with("200 OK", JSON, body).url())
}

/// A row of a study.
fn row(study: &str, patient: &str) -> String {
    format!(
        r#"{{"0020000D":{{"vr":"UI","Value":["{study}"]}},"00100020":{{"vr":"LO","Value":["{patient}"]}},
            "00080050":{{"vr":"SH","Value":["A1"]}}}}"#
    )
}

fn parts(files: &[Vec<u8>]) -> Vec<u8> {
    let part = |file: &Vec<u8>| [b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n", file.as_slice()].concat();
    [files.iter().flat_map(part).collect::<Vec<u8>>(), b"\r\n--b--\r\n".to_vec()].concat()
}

#[test]
fn a_page_for_people_is_no_answer() {
    let html = || Server::with("200 OK", "text/html; charset=utf-8", "<html>4711-Miller, sign in</html>");
    let is_html = |error: &ArchiveError| matches!(error, ArchiveError::Media { found, .. } if found == "text/html");
    assert!(is_html(&search(&html().url())));
    assert!(is_html(&retrieve(&html().url()).0));
    assert!(is_html(&store(&html().url())));
    let without = Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]");
    assert!(matches!(search(&without.url()), ArchiveError::Media { .. }));
}

#[test]
fn json_that_is_cut_broken_or_something_else_is_told_apart() {
    assert!(matches!(json(r#"[{"0020000D":{"vr":"UI","Value":["1"#), ArchiveError::Cut { .. }));
    assert!(matches!(json("[}4711-Miller"), ArchiveError::NotJson { line: 1, column: 2, .. }));
    assert!(matches!(json("[] 4711-Miller"), ArchiveError::NotJson { .. }));
    assert!(matches!(json(r#"{"studies":"4711-Miller"}"#), ArchiveError::OtherJson { .. }));
    assert!(matches!(json(r#"["4711-Miller"]"#), ArchiveError::OtherJson { .. }));
    assert!(matches!(json(r#"[{"0020000D":"4711-Miller"}]"#), ArchiveError::OtherJson { .. }));
    assert!(matches!(json(r#"[{"Study":"4711-Miller"}]"#), ArchiveError::OtherJson { line: 0, .. }));
    assert!(matches!(json(&"[".repeat(9000)), ArchiveError::NotJson { .. } | ArchiveError::OtherJson { .. }));
    let cut = Server::saying(format!("HTTP/1.1 200 OK\r\nContent-Type: {JSON}\r\nContent-Length: 99\r\n\r\n[]"));
    assert!(matches!(search(&cut.url()), ArchiveError::Cut { .. }));
}

#[test]
fn rows_are_those_that_were_asked_for_and_no_more() {
    let found = |rows: &[String], find: &Find| {
        archive(&Server::with("200 OK", JSON, format!("[{}]", rows.join(","))).url()).studies(find)
    };
    let find = Find { patient_id: Some(PATIENT.to_owned()), ..Find::default() };
    let own = row("1.2", PATIENT);
    assert_eq!(found(std::slice::from_ref(&own), &find).unwrap()[0].study, uid("1.2"));
    let others = found(&[own.clone(), row("1.3", "4712")], &find);
    assert!(matches!(others, Err(ArchiveError::NotAsked { .. })));
    assert_eq!(found(&[own.clone(), row("1.3", "4712")], &Find::default()).unwrap().len(), 2);
    let other = Find { study: Some(uid("1.3")), ..Find::default() };
    assert!(matches!(found(std::slice::from_ref(&own), &other), Err(ArchiveError::NotAsked { .. })));
    assert_eq!(
        found(std::slice::from_ref(&own), &Find { study: Some(uid("1.2")), ..Find::default() }).unwrap().len(),
        1
    );
    let request = Find { accession: Some("A2".to_owned()), ..Find::default() };
    assert!(matches!(found(std::slice::from_ref(&own), &request), Err(ArchiveError::NotAsked { .. })));
    let many = found(&vec![own.clone(); 4], &find);
    assert!(matches!(many, Err(ArchiveError::TooManyRows { rows_max: 3, .. })));
    let few = Find { limit: Some(1), ..find.clone() };
    assert!(matches!(found(&[own.clone(), own.clone()], &few), Err(ArchiveError::TooManyRows { rows_max: 1, .. })));
    assert_eq!(found(&[], &find).unwrap().len(), 0);
    let empty = Server::saying("HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\n\r\n");
    assert_eq!(archive(&empty.url()).studies(&find).unwrap().len(), 0);
}

#[test]
fn series_and_instances_of_another_study_are_refused() {
    let of = |study: &str, series: &str| {
        let body = format!(
            r#"[{{"0020000D":{{"Value":["{study}"]}},"0020000E":{{"Value":["{series}"]}},
                "00080018":{{"Value":["1.4"]}}}}]"#
        );
        Server::with("200 OK", JSON, body)
    };
    let (study, series) = (uid("1.2"), uid("1.3"));
    assert_eq!(archive(&of("1.2", "1.3").url()).series(&study).unwrap()[0].series, series);
    assert_eq!(archive(&of("1.2", "1.3").url()).instances(&study, &series).unwrap()[0].instance, uid("1.4"));
    assert!(matches!(archive(&of("1.9", "1.3").url()).series(&study), Err(ArchiveError::NotAsked { .. })));
    assert!(matches!(archive(&of("1.9", "1.3").url()).instances(&study, &series), Err(ArchiveError::NotAsked { .. })));
    assert!(matches!(archive(&of("1.2", "1.9").url()).instances(&study, &series), Err(ArchiveError::NotAsked { .. })));
}

#[test]
fn parts_come_one_by_one_until_one_is_wrong() {
    let whole = parts(&[file(b"123"), file(b"123")]);
    let mut seen = Vec::new();
    let server = Server::with("200 OK", PARTS, &whole);
    let count = archive(&server.url()).retrieve(Scope::Series(&uid("1.2"), &uid("1.3")), |part| {
        seen.push(part);
        Ok::<(), ArchiveError>(())
    });
    assert_eq!((count.unwrap(), &seen), (2, &vec![file(b"123"), file(b"123")]));
    assert!(server.heard()[0].starts_with("GET /dicom-web/studies/1.2/series/1.3 HTTP/1.1\r\n"));
    assert!(server.heard()[0].contains("transfer-syntax=*"));
    let of = |body: Vec<u8>| retrieve(&Server::with("200 OK", PARTS, body).url());
    let (error, count) = of(parts(&[file(b"123"), b"no file".to_vec()]));
    assert!(matches!(error, ArchiveError::NotDicom { part: 2, .. }) && count == 1);
    let (error, count) = of(parts(&[file(b"123"), file(b"123"), file(b"123")]));
    let is_many = matches!(error, ArchiveError::Multipart { fault: MultipartFault::TooMany { parts_max: 2 }, .. });
    assert!(is_many && count == 2);
    let (error, count) = of(whole[..whole.len() - 20].to_vec());
    assert!(matches!(error, ArchiveError::Multipart { fault: MultipartFault::Cut { part: 2 }, .. }) && count == 1);
    let (error, _) = of(b"--b\r\nContent-Type: text/html\r\n\r\n4711-Miller\r\n--b--".to_vec());
    assert!(matches!(error, ArchiveError::Multipart { fault: MultipartFault::PartType { part: 1, .. }, .. }));
    let (error, _) = retrieve(&Server::with("200 OK", "multipart/related", "").url());
    assert!(matches!(error, ArchiveError::Multipart { fault: MultipartFault::Boundary, .. }));
}

/// An object with a header.
fn object(study: &str, series: &str, instance: &str) -> Vec<u8> {
    let class = uids::CT_IMAGE_STORAGE;
    let names = [
        (tags::SOP_CLASS_UID, class),
        (tags::SOP_INSTANCE_UID, instance),
        (tags::STUDY_INSTANCE_UID, study),
        (tags::SERIES_INSTANCE_UID, series),
    ];
    let elements = names.map(|(tag, name)| DataElement::new(tag, VR::UI, name));
    let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    let mut bytes = Vec::new();
    InMemDicomObject::from_element_iter(elements).with_meta(meta).unwrap().write_all(&mut bytes).unwrap();
    bytes
}

#[test]
fn objects_of_another_study_series_or_name_are_not_handed_over() {
    let (study, series, instance) = (uid("1.2"), uid("1.3"), uid("1.4"));
    let scopes = [Scope::Study(&study), Scope::Series(&study, &series), Scope::Instance(&study, &series, &instance)];
    for (others, sent) in [("1.2", "1.3", "1.4"), ("1.2", "1.3", "1.9"), ("1.2", "1.9", "1.4"), ("1.9", "1.3", "1.4")]
        .into_iter()
        .zip([[true, true, true], [true, true, false], [true, false, false], [false, false, false]])
    {
        let server = Server::with("200 OK", PARTS, parts(&[object(others.0, others.1, others.2)]));
        for (scope, expected) in scopes.iter().zip(sent) {
            let count = archive(&server.url()).retrieve(*scope, |_| Ok::<(), ArchiveError>(()));
            let is_refused = matches!(count, Err(ArchiveError::NotAsked { .. }));
            assert!(if expected { matches!(count, Ok(1)) } else { is_refused }, "{others:?} {scope:?}");
        }
    }
}

#[test]
fn a_retrieval_is_bounded_as_a_whole_and_cut_where_its_length_says_more() {
    let preamble = vec![b' '; 9_800];
    let long = [preamble, parts(&[file(b"123"), file(b"123")])].concat();
    let (error, _) = retrieve(&Server::with("200 OK", PARTS, long).url());
    assert!(matches!(error, ArchiveError::TooLong { bytes_max: 10_000, .. }), "{error}");
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {PARTS}\r\nContent-Length: 5000\r\n\r\n");
    let cut = [head.into_bytes(), parts(&[file(b"123")])[..90].to_vec()].concat();
    assert!(matches!(retrieve(&Server::saying(cut).url()).0, ArchiveError::Cut { .. }));
    let empty = Server::saying("HTTP/1.1 204 No Content\r\n\r\n");
    let none = archive(&empty.url()).retrieve(Scope::Study(&uid("1.2")), |_| Ok::<(), ArchiveError>(()));
    assert_eq!(none.unwrap(), 0);
}

#[test]
fn a_sink_that_refuses_ends_the_retrieval_with_its_own_error() {
    #[derive(Debug)]
    enum Own {
        Full,
        Archive,
    }
    impl From<ArchiveError> for Own {
        fn from(_: ArchiveError) -> Self {
            Self::Archive
        }
    }
    let server = Server::with("200 OK", PARTS, parts(&[file(b"123"), file(b"123")]));
    assert!(matches!(archive(&server.url()).retrieve(Scope::Study(&uid("1.2")), |_| Err(Own::Full)), Err(Own::Full)));
    let broken = Server::with("500 Oh", PARTS, "");
    assert!(matches!(
        archive(&broken.url()).retrieve(Scope::Study(&uid("1.2")), |_| Err(Own::Full)),
        Err(Own::Archive)
    ));
}

#[test]
fn what_was_not_stored_is_said_with_its_reason() {
    let body = r#"{"00081198":{"vr":"SQ","Value":[{"00081155":{"Value":["1.4"]},"00081197":{"Value":[272]}},
                   {"00081197":{"Value":["49442"]}}]},
                   "00081199":{"vr":"SQ","Value":[{"00081155":{"Value":["1.5"]}}]}}"#;
    for status in ["200 OK", "202 Accepted", "409 Conflict"] {
        let server = Server::saying(answer(status, JSON, body));
        let stored = archive(&server.url()).store(&["one", "two", "three"].map(|name| file(name.as_bytes()))).unwrap();
        assert_eq!(stored.stored, [uid("1.5")]);
        let failed = [(Some(uid("1.4")), 272), (None, 49_442)];
        assert_eq!(stored.failed, failed.map(|(instance, reason)| Failed { instance, reason: Reason(reason) }));
        let heard = server.heard().concat();
        let boundary = heard.split("boundary=").nth(1).unwrap().split("\r\n").next().unwrap();
        assert_eq!(boundary.len(), 32);
        let expected = ["one", "two", "three"]
            .map(|name| String::from_utf8(file(name.as_bytes())).unwrap())
            .map(|file| format!("--{boundary}\r\nContent-Type: application/dicom\r\n\r\n{file}\r\n"))
            .concat();
        assert!(heard.ends_with(&format!("\r\n\r\n{expected}--{boundary}--\r\n")), "{heard}");
    }
}

#[test]
fn an_answer_to_storing_that_says_nothing_is_no_answer() {
    for other in ["{}", "[]", r#"{"00081199":{"vr":"SQ","Value":[{}]}}"#, r#"{"00081199":{"Value":7}}"#] {
        assert!(matches!(store(&Server::with("200 OK", JSON, other).url()), ArchiveError::OtherJson { .. }), "{other}");
    }
    let two = r#"{"00081199":{"Value":[{"00081155":{"Value":["1.5"]}},{"00081155":{"Value":["1.6"]}}]}}"#;
    assert!(matches!(store(&Server::with("200 OK", JSON, two).url()), ArchiveError::TooManyRows { rows_max: 1, .. }));
    let not_sent = Server::with("200 OK", JSON, "{}");
    let refused = archive(&not_sent.url()).store(&[file(b""), b"no file".to_vec()]);
    assert!(matches!(refused, Err(ArchiveError::NoFile { file: 2 })) && not_sent.heard().is_empty());
    let unasked = Server::with("500 Oh", JSON, "{}");
    assert!(archive(&unasked.url()).store(&[]).unwrap().stored.is_empty() && unasked.heard().is_empty());
}
