//! Bodies as they may come: cut anywhere, read in any pieces, longer than anything is taken.

use proptest::prelude::*;

use super::*;

/// A body that comes in pieces of the given lengths, one after another and from the beginning again.
struct Slowly<'a> {
    rest: &'a [u8],
    lengths: Vec<usize>,
    turn: usize,
}

impl Read for Slowly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.lengths[self.turn % self.lengths.len()];
        self.turn += 1;
        let (now, later) = self.rest.split_at(length.min(self.rest.len()).min(buffer.len()));
        buffer[..now.len()].copy_from_slice(now);
        self.rest = later;
        Ok(now.len())
    }
}

const PART_MAX: usize = 1000;
const PARTS_MAX: usize = 5;

fn media(boundary: &str) -> MediaType {
    MediaType::of(&format!("multipart/related; type=\"application/dicom\"; boundary=\"{boundary}\""))
}

fn read_in(body: &[u8], lengths: Vec<usize>) -> Result<Vec<Vec<u8>>, MultipartFault> {
    let mut parts = Parts::new(Slowly { rest: body, lengths, turn: 0 }, &media("b"), PART_MAX, PARTS_MAX)?;
    let mut found = Vec::new();
    loop {
        match parts.next_part() {
            Ok(Some(part)) => found.push(part),
            Ok(None) => return Ok(found),
            Err(PartError::Fault(fault)) => return Err(fault),
            Err(PartError::Read(error)) => panic!("{error}"),
        }
    }
}

fn read(body: &[u8]) -> Result<Vec<Vec<u8>>, MultipartFault> {
    let whole = read_in(body, vec![usize::MAX]);
    assert_eq!(read_in(body, vec![1]), whole, "byte by byte it means something else");
    whole
}

fn written(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        body.extend_from_slice(b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n");
        body.extend_from_slice(part);
    }
    body.extend_from_slice(b"\r\n--b--\r\n");
    body
}

#[test]
fn parts_are_what_stands_between_boundaries() {
    let two = [b"one\r\n--".to_vec(), Vec::new()];
    assert_eq!(read(&written(&two)).unwrap(), two);
    assert_eq!(read(&written(&two)[2..]).unwrap(), two, "without a line before the first boundary");
    assert_eq!(read(b"words before\r\n--b\r\n\r\none\r\n--b--words after").unwrap(), [b"one"]);
    assert_eq!(read(b"--b \t\r\nX: y\r\ncontent-TYPE: Application/DICOM; a=b\r\n\r\none\r\n--b--").unwrap(), [b"one"]);
    assert_eq!(read(b"--b--").unwrap(), [[0; 0]; 0]);
}

#[test]
fn a_boundary_has_to_be_one() {
    for boundary in ["", &"x".repeat(71), "a\u{7}b"] {
        let refused = Parts::new(io::empty(), &media(boundary), 1, 1).err();
        assert_eq!(refused, Some(MultipartFault::Boundary), "{boundary:?}");
    }
    assert!(Parts::new(io::empty(), &MediaType::of("multipart/related"), 1, 1).is_err());
    assert_eq!(read(b"--b\r\n\r\none\r\n--bx\r\n\r\ntwo\r\n--b--"), Err(MultipartFault::Delimiter { part: 2 }));
}

#[test]
fn everything_that_the_sender_chooses_has_a_bound() {
    assert_eq!(read(&[b'x'; HEAD_MAX + 99]), Err(MultipartFault::Start));
    let late = [vec![b'x'; HEAD_MAX + 1], b"\r\n--b--".to_vec()].concat();
    assert_eq!(read_in(&late, vec![usize::MAX]), Err(MultipartFault::Start));
    let long_head = [b"--b\r\nX: ".to_vec(), vec![b'x'; HEAD_MAX], b"\r\n\r\none\r\n--b--".to_vec()].concat();
    assert_eq!(read_in(&long_head, vec![usize::MAX]), Err(MultipartFault::PartHead { part: 1 }));
    assert!(read(&written(&[vec![0; PART_MAX]])).is_ok());
    let long = MultipartFault::PartLong { part: 2, bytes_max: PART_MAX };
    assert_eq!(read(&written(&[vec![0; 9], vec![0; PART_MAX + 1]])), Err(long.clone()));
    assert_eq!(read(&written(&[vec![0; 9], vec![0; 1 << 20]])), Err(long));
    assert!(read(&written(&vec![vec![0; 9]; PARTS_MAX])).is_ok());
    let many = MultipartFault::TooMany { parts_max: PARTS_MAX };
    assert_eq!(read(&written(&vec![vec![0; 9]; PARTS_MAX + 1])), Err(many));
}

#[test]
fn an_endless_part_is_not_kept() {
    let start = &b"--b\r\n\r\n"[..];
    let mut parts = Parts::new(start.chain(io::repeat(0)), &media("b"), PART_MAX, PARTS_MAX).unwrap();
    assert!(matches!(parts.next_part(), Err(PartError::Fault(MultipartFault::PartLong { .. }))));
    assert!(parts.held.len() <= PART_MAX + 2 * READ);
}

#[test]
fn a_part_of_another_type_is_refused() {
    let html = b"--b\r\nContent-Type: text/html\r\n\r\none\r\n--b--";
    assert_eq!(read(html), Err(MultipartFault::PartType { part: 1, found: "text/html".to_owned() }));
}

#[test]
fn a_signal_in_between_changes_nothing() {
    struct Interrupted(bool);
    impl Read for Interrupted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 = !self.0;
            if self.0 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            (&b"--b\r\n\r\none\r\n--b--"[..]).read(buffer)
        }
    }
    let mut parts = Parts::new(Interrupted(false), &media("b"), PART_MAX, PARTS_MAX).unwrap();
    assert!(matches!(parts.next_part(), Ok(Some(part)) if part == b"one"));
    assert!(matches!(parts.next_part(), Ok(None)));
}

#[test]
fn an_error_of_reading_is_handed_on() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let mut parts = Parts::new(Broken, &media("b"), PART_MAX, PARTS_MAX).unwrap();
    assert!(matches!(parts.next_part(), Err(PartError::Read(error)) if error.kind() == io::ErrorKind::ConnectionReset));
}

#[test]
fn a_body_that_is_cut_anywhere_is_not_taken_for_whole() {
    let whole = written(&[b"one".to_vec(), b"two".to_vec()]);
    let last = whole.len() - b"\r\n".len();
    for length in 0..last {
        let cut = read(&whole[..length]);
        assert!(matches!(cut, Err(MultipartFault::Cut { .. } | MultipartFault::Start)), "{length}: {cut:?}");
    }
    assert!(read(&whole[..last]).is_ok());
}

/// Bytes among which pieces of boundaries are frequent.
fn tricky() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\r\n--".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"--b".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"b".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..9),
    ];
    proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read_however_it_comes(
        parts in proptest::collection::vec(tricky(), 0..PARTS_MAX),
        lengths in proptest::collection::vec(1_usize..40, 1..9),
    ) {
        let has_boundary = |part: &Vec<u8>| memmem::find(&[part, &b"\r\n"[..]].concat(), b"\r\n--b").is_some();
        prop_assume!(!parts.iter().any(has_boundary));
        prop_assert_eq!(read_in(&written(&parts), lengths).unwrap(), parts);
    }

    #[test]
    fn any_bytes_are_read_or_refused_and_never_more_than_they_are(
        body in tricky(),
        lengths in proptest::collection::vec(1_usize..40, 1..9),
    ) {
        let whole = read_in(&body, vec![usize::MAX]);
        if let Ok(parts) = &whole {
            prop_assert!(parts.iter().map(Vec::len).sum::<usize>() < body.len());
        }
        prop_assert_eq!(read_in(&body, lengths), whole);
    }
}
