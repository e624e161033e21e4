//! The officer's desk: what is shown of a proposal, and what an officer's word needs.

use std::fs;

use client::bundle::inspect;
use client::consent::{Approvable, ConsentBook};
use protocol::codec::{Wire, Writer};
use protocol::consent::{Nonce, NonceBinding, Proposal, Stage, Standing, Step, next};
use protocol::ids::{Digest, Epoch, PartyId};
use protocol::membership::{Membership, Seat};
use protocol::party_set::PartySet;
use protocol::signature::SigningKey;
use protocol::weight::WeightClass;

use super::*;

pub(super) const MEMBERS: u16 = 5;

/// A proposal with everybody's promises, and the nonces of so many; the words, where they are there.
pub(super) fn standing(epoch: u32, shown: u16) -> (Standing, Option<String>) {
    standing_of(include_str!("../../../../configs/consortium.toml"), epoch, shown)
}

/// The same of another plan.
fn standing_of(plan: &str, epoch: u32, shown: u16) -> (Standing, Option<String>) {
    let plan = plan.replace("\"npz\"", "\"image-folder\"");
    let key = |number: u16| SigningKey::from_seed(&[number as u8; 32]).unwrap();
    let party = |number| PartyId::new(number).unwrap();
    let seat = |number: u16| Seat {
        name: format!("site-{number}"),
        organisation: format!("Clinic <b>{number}</b>"),
        weight: WeightClass::ONE,
        verifying: key(number).verifying_key(),
        tls_key: Digest([number as u8; 32]),
    };
    let coordinator = key(99).verifying_key();
    let membership = Membership { threshold: 4, coordinator, seats: (1..=MEMBERS).map(seat).collect() };
    let digest = membership.digest();
    let bytes = |number: u16| [number as u8; 32];
    let standing = Standing {
        proposal: Proposal { epoch: Epoch(epoch), membership, plan, base: None },
        bindings: (1..=MEMBERS).map(|it| NonceBinding::new(&key(it), digest, party(it), &bytes(it))).collect(),
        nonces: (1..=shown).map(|it| Nonce { membership: digest, party: party(it), bytes: bytes(it) }).collect(),
        approved: PartySet::EMPTY,
        stage: Stage::Proposed,
    };
    let own = NonceBinding::new(&key(2), digest, party(2), &bytes(2));
    let words = match next(&standing, party(2), &own).unwrap() {
        Step::Compare(_, words) => Some(words.to_string()),
        _ => None,
    };
    (standing, words)
}

/// Notes a proposal as a site's service does, for its member 2, and how the site stands in it.
pub(super) fn note(root: &Path, (standing, words): &(Standing, Option<String>), stand: &str) {
    let everybody: PartySet = (1..=MEMBERS).filter_map(PartyId::new).collect();
    let shown: PartySet = standing.nonces.iter().map(|nonce| nonce.party).collect();
    let mut writer = Writer::default();
    PartyId::new(2).unwrap().encode(&mut writer);
    standing.encode(&mut writer);
    writer.bytes(words.as_deref().unwrap_or_default().as_bytes());
    everybody.minus(shown).encode(&mut writer);
    let epoch = standing.proposal.epoch;
    fs::create_dir_all(root.join("proposals")).unwrap();
    let bytes = [b"consilium-prop1\n".as_slice(), &writer.into_bytes()].concat();
    fs::write(root.join(format!("proposals/{epoch}")), bytes).unwrap();
    fs::write(root.join("stands.json"), format!("{{\"{epoch}\":{stand}}}")).unwrap();
}

pub(super) const WAITS: &str = r#"{"stand":"awaits-officer"}"#;

/// Pictures of both classes, named in the site's file.
pub(super) fn name_images(root: &Path) {
    for class in ["normal", "pneumonia"] {
        let folder = root.join("images").join(class);
        fs::create_dir_all(&folder).unwrap();
        (0..10).for_each(|number| fs::write(folder.join(format!("{number}.png")), picture()).unwrap());
    }
    fs::write(root.join("site.toml"), "[data.cxr]\npath = \"images\"\n").unwrap();
}

fn field(csrf: &str, more: &str) -> String {
    format!("csrf={csrf}&password={}&{more}", PASSWORD.replace(' ', "+"))
}

/// The value of the form's field of that name.
fn value(page: &str, name: &str) -> String {
    let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1).expect("a field");
    rest.split('"').next().unwrap().to_owned()
}

/// An officer whose browser has the page's word against forged forms.
async fn officer(house: &House) -> Browser<'_> {
    let mut odo = house.browser("odo").await;
    odo.csrf = value(&odo.get("/office").await.text(), "csrf");
    odo
}

#[tokio::test]
async fn an_officer_reads_members_terms_and_rules_in_words_and_others_do_not() {
    let house = House::open().await;
    let odo = officer(&house).await;
    assert!(odo.get("/office").await.text().contains("Nothing is proposed"));
    assert_eq!(odo.get("/").await.location(), "/office");
    let proposed = standing(4, MEMBERS);
    note(&house.root(), &proposed, WAITS);
    fs::write(house.root().join("site.toml"), "[policy]\nmin-cohort = 4\nrounds-max = 30\n").unwrap();
    let list = odo.get("/office").await.text();
    for words in [
        "Key epoch 4: pneumonia",
        "Waiting for you",
        "only where sums are over at least 4 hospitals",
        "at most 30 rounds",
        "may ask every published model",
        "not approved",
    ] {
        assert!(list.contains(words), "{words}: {list}");
    }
    assert!(!list.contains("bundle.zip"), "no log was read yet");
    let page = odo.get("/office/4").await.text();
    for words in [
        "Rounds of training: 20.",
        "5 hospitals are members; 4 of them decrypt together",
        "sums over at least 4 hospitals",
        "within ±1 and has 16 bits",
        "updates count alike",
        "AGG13",
        "INF15-90",
        "No noise is added",
        "patients they trained on",
        "normal, pneumonia",
        "site-2 (this hospital)",
        "Clinic &lt;b&gt;3&lt;/b&gt;",
        "local-epochs = 1",
        "has named no images yet",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(page.contains(&proposed.0.proposal.membership.digest().to_string()));
    assert!(!page.contains(&proposed.1.unwrap()), "words are shown to who reads them aloud alone");
    assert_eq!(odo.get("/office/5").await.status, 404);
    assert_eq!(odo.get("/office/x").await.status, 404);
    let (ada, none) = (house.browser("ada").await, house.browser("none").await);
    for path in ["/office", "/office/4", "/office/4?aloud=yes", "/office/4/bundle.zip"] {
        assert_eq!([ada.get(path).await.status, none.get(path).await.status], [403, 403], "{path}");
        assert_eq!(house.get(path).await.status, 303, "{path}");
    }
    for path in ["/office/4/members", "/office/4/terms"] {
        let form = field(&ada.csrf, "words=x&digest=x");
        assert_eq!(ada.post(path, &form).await.status, 403, "{path}");
        assert_eq!(odo.post(path, &field(&ada.csrf, "words=x&digest=x")).await.status, 403, "{path}: another's form");
    }
}

#[tokio::test]
async fn an_officer_reads_what_hides_patients_and_what_is_not_hidden() {
    let house = House::open().await;
    let odo = officer(&house).await;
    let plan = include_str!("../../../../configs/pneumonia-private.toml");
    for (plan, last) in [
        (plan.to_owned(), "nobody trains once more for it"),
        (plan.replace("[publish]\n", "[publish]\nfinal-step = \"train\"\n"), "that is charged like a round"),
    ] {
        note(&house.root(), &standing_of(&plan, 4, MEMBERS), WAITS);
        let page = odo.get("/office/4").await.text();
        for words in [
            "Rounds of training: 40. Steps with noise in each of them: 5.",
            "with ε = 8, but for a probability of 0.00001",
            "Not covered are those whom models are measured on",
            last,
        ] {
            assert!(page.contains(words), "{words}: {page}");
        }
        assert!(!page.contains("No noise is added"), "{page}");
    }
}

#[tokio::test]
async fn members_are_approved_by_the_words_that_were_heard_and_by_no_others() {
    let house = House::open().await;
    let odo = officer(&house).await;
    let root = house.root();
    let waiting = standing(4, 3);
    note(&root, &waiting, r#"{"stand":"awaits-members","members":[4,5]}"#);
    let page = odo.get("/office/4").await.text();
    assert!(
        page.contains("Waiting for members to come forward: site-4, site-5") && !page.contains("/office/4/members")
    );
    let proposed = standing(4, MEMBERS);
    let words = proposed.1.clone().unwrap();
    let heard = words.replace(' ', "+");
    let early = odo.post("/office/4/members", &field(&odo.csrf, &format!("words={heard}"))).await;
    assert!(early.status == 422 && early.text().contains("no words to compare yet"));
    note(&root, &proposed, WAITS);
    let book = ConsentBook::open(&root).unwrap();
    let members = proposed.0.proposal.membership.digest();
    let unapproved = || !book.has_membership(members).unwrap();
    let form = |words: &str| field(&odo.csrf, &format!("words={}", words.replace(' ', "+")));
    for (typed, says) in [
        ("zoo zoo zoo zoo zoo zoo", "The words differ"),
        ("zoo zoo", "You typed 2 words"),
        ("zoo zoo zzz zoo zoo zoo", "Word 3, “zzz”"),
    ] {
        let reply = odo.post("/office/4/members", &form(typed)).await;
        let text = reply.text();
        assert!(reply.status == 422 && text.contains(says) && text.contains("Nothing was approved"), "{typed}: {text}");
        assert!(unapproved(), "{typed}");
    }
    let wrong = format!("csrf={}&password=wrong+wrong+wrong&words={heard}", odo.csrf);
    let reply = odo.post("/office/4/members", &wrong).await;
    assert!(reply.status == 401 && reply.text().contains("The password is wrong") && unapproved());
    let reply = odo.post("/office/4/members", &form(&words)).await;
    assert_eq!((reply.status, reply.location()), (303, "/office/4?done=members"), "{}", reply.text());
    assert!(!unapproved());
    let given = book.approvals().unwrap();
    assert_eq!(given.len(), 1);
    assert_eq!((given[0].what, given[0].by.as_str()), (Approvable::Membership, "odo, on the officer's page"));
    let page = odo.get("/office/4?done=members").await.text();
    assert!(page.contains("You have approved the members") && page.contains("by odo, on the officer"), "{page}");
    assert!(!page.contains("/office/4/members"), "nothing is left to approve there");
}

#[tokio::test]
async fn who_reads_aloud_says_that_all_others_match() {
    let house = House::open().await;
    let odo = officer(&house).await;
    let proposed = standing(4, MEMBERS);
    note(&house.root(), &proposed, WAITS);
    let words = proposed.1.clone().unwrap();
    assert!(odo.get("/office/4?aloud=yes").await.text().contains(&words));
    let unsaid = odo.post("/office/4/members", &field(&odo.csrf, "aloud=yes")).await;
    let text = unsaid.text();
    assert!(unsaid.status == 422 && text.contains("Wait until every other officer") && text.contains(&words), "{text}");
    let book = ConsentBook::open(&house.root()).unwrap();
    let members = proposed.0.proposal.membership.digest();
    assert!(!book.has_membership(members).unwrap());
    let said = odo.post("/office/4/members", &field(&odo.csrf, "aloud=yes&all_match=yes")).await;
    assert!(said.status == 303 && book.has_membership(members).unwrap());
}

#[tokio::test]
async fn terms_are_approved_as_they_stood_on_the_page_with_images_that_fit_the_hospitals_rules() {
    let house = House::open().await;
    let odo = officer(&house).await;
    let root = house.root();
    note(&root, &standing(4, MEMBERS), WAITS);
    name_images(&root);
    let digest = value(&odo.get("/office/4").await.text(), "digest");
    let book = ConsentBook::open(&root).unwrap();
    let terms = Digest::parse(&digest).unwrap();
    let approved = || book.terms(Epoch(4), terms).unwrap();
    let form = |digest: &str, data: &str| field(&odo.csrf, &format!("digest={digest}&data={data}"));
    let reply = odo.post("/office/4/terms", &form(&"0".repeat(64), "cxr")).await;
    assert!(reply.status == 422 && reply.text().contains("another one than the page that you read"));
    let reply = odo.post("/office/4/terms", &form(&digest, "ct")).await;
    assert!(reply.status == 422 && reply.text().contains("no data set is named ct"), "{}", reply.text());
    let rules = fs::read_to_string(root.join("site.toml")).unwrap();
    fs::write(root.join("site.toml"), format!("{rules}[policy]\nrounds-max = 3\n")).unwrap();
    let reply = odo.post("/office/4/terms", &form(&digest, "cxr")).await;
    assert!(reply.status == 422 && reply.text().contains("the plan has 20 rounds"), "{}", reply.text());
    assert_eq!(approved(), None);
    fs::write(root.join("site.toml"), rules).unwrap();
    let reply = odo.post("/office/4/terms", &form(&digest, "cxr")).await;
    assert_eq!((reply.status, reply.location()), (303, "/office/4?done=terms"), "{}", reply.text());
    assert_eq!(approved().as_deref(), Some("cxr"));
    let page = odo.get("/office/4?done=terms").await.text();
    assert!(page.contains("trained on cxr") && page.contains("Approve again"), "{page}");
    // The same plan once more is another training, which nobody has approved.
    note(&root, &standing(5, MEMBERS), WAITS);
    let page = odo.get("/office/5").await.text();
    assert!(page.contains("Approve these terms") && !page.contains("by odo"), "{page}");
    // What is over is over, whatever a page that was opened before shows.
    book.end(Epoch(4), "left").unwrap();
    let reply = odo.post("/office/4/terms", &form(&digest, "cxr")).await;
    assert!(reply.status == 422 && reply.text().contains("This key epoch is over"));
    note(&root, &standing(4, MEMBERS), r#"{"stand":"over","reason":"left"}"#);
    let page = odo.get("/office/4").await.text();
    assert!(page.contains("Over: left") && !page.contains("<form method=\"post\" action=\"/office"), "{page}");
}

#[tokio::test]
async fn a_password_that_is_guessed_at_an_approval_locks_the_name() {
    let house = House::open().await;
    let odo = officer(&house).await;
    let proposed = standing(4, MEMBERS);
    note(&house.root(), &proposed, WAITS);
    let heard = proposed.1.clone().unwrap().replace(' ', "+");
    for _ in 0..5 {
        let form = format!("csrf={}&password=wrong+wrong+wrong&words={heard}", odo.csrf);
        assert_eq!(odo.post("/office/4/members", &form).await.status, 401);
    }
    let reply = odo.post("/office/4/members", &field(&odo.csrf, &format!("words={heard}"))).await;
    assert!(reply.status == 429 && reply.text().contains("tried in vain too often"));
    let book = ConsentBook::open(&house.root()).unwrap();
    assert!(!book.has_membership(proposed.0.proposal.membership.digest()).unwrap());
}

#[tokio::test]
async fn the_file_for_an_auditor_is_whole_and_leaves_nothing_behind() {
    let house = House::open().await;
    let odo = officer(&house).await;
    let root = house.root();
    note(&root, &standing(4, MEMBERS), WAITS);
    assert_eq!(odo.get("/office/4/bundle.zip").await.status, 404, "no log was read");
    fs::create_dir_all(root.join("epochs/4")).unwrap();
    fs::write(root.join("epochs/4/log"), b"consilium-log-1\n").unwrap();
    // More than one block.
    fs::create_dir_all(root.join("sent")).unwrap();
    let line = |number: usize| format!("2026-11-24 10:00:00\t4\tsigned message\t{:x}\t{number}\n", number * 7_919);
    fs::write(root.join("sent/2026-11.log"), (0..20_000).map(line).collect::<String>()).unwrap();
    assert!(odo.get("/office/4").await.text().contains("/office/4/bundle.zip"));
    let reply = odo.get("/office/4/bundle.zip").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/zip")));
    assert_eq!(reply.header("content-disposition"), Some("attachment; filename=\"key-epoch-4.zip\""));
    let path = root.join("taken.zip");
    fs::write(&path, &reply.body).unwrap();
    let found = inspect(&path, None).unwrap();
    assert_eq!((found.name.as_str(), found.lines, found.heads.len()), ("site-2", 20_000, 0));
    assert!(found.findings.is_empty(), "{:?}", found.findings);
    assert!(reply.body.len() > 64 << 10 && !root.join("portal/bundle.zip").exists());
}

#[tokio::test]
async fn what_answers_have_cost_is_shown_by_who_asked_and_what_cannot_be_read_is_named() {
    let house = House::open().await;
    let odo = officer(&house).await;
    let root = house.root();
    note(&root, &standing(4, MEMBERS), r#"{"stand":"takes-part"}"#);
    name_images(&root);
    assert!(!odo.get("/office/4").await.text().contains("/office/4/terms"), "it is under way");
    fs::create_dir_all(root.join("epochs/4")).unwrap();
    let charged = r#"{"bits_per_answer":128,"bits_max":7000,"by_asker":{"1":3,"3":1},"evaluations":5,
        "fetched_bytes":11500000}"#;
    fs::write(root.join("epochs/4/questions.json"), charged).unwrap();
    let page = odo.get("/office/4").await.text();
    for words in ["4 answers so far: 512 bits of 7000", "member 1", "384", "evaluated 5 encrypted questions", "11.50"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    fs::write(root.join("proposals/5"), "nothing").unwrap();
    (6..=12).for_each(|epoch| note(&root, &standing(epoch, MEMBERS), WAITS));
    let page = odo.get("/office").await.text();
    assert!(page.contains("Key epoch 5 cannot be read") && page.contains("is no proposal"), "{page}");
    assert!(page.contains("Earlier key epochs") && page.contains("href=\"/office/4\""), "{page}");
    assert!(!page.contains("Key epoch 4: "), "eight of nine are shown");
}
