//! A member that holds a model, a site that lacks it, and files that were changed on their way between both.

use protocol::consent::{Proposal, Stage, Standing};
use protocol::membership::{Membership, Seat};
use protocol::party_set::PartySet;
use protocol::weight::WeightClass;

use super::*;
use crate::plan::Plan;

const PLAN: &str = r#"
[experiment]
name = "brightness"
[federation]
rounds = 1
[data]
format = "image-folder"
classes = ["dark", "bright"]
image = { height = 16, width = 16, channels = 1 }
split = { train = 0.7, validation = 0.1, test = 0.2, by = "slice" }
[model]
layers = [{ type = "dense", units = 2 }]
[train]
learning-rate = 0.05
local-epochs = 1
batch-size = 8
[encryption]
preset = "AGG13"
[publish]
name = "brightness"
preset = "INF15-90"
release = "threshold"
"#;

fn key(number: u16) -> SigningKey {
    SigningKey::from_seed(&[number as u8; 32]).unwrap()
}

/// What a network of 256 inputs and 2 outputs has.
fn model() -> Vec<f32> {
    (0..514).map(|index| index as f32 / 7.0).collect()
}

/// A proposal of key epoch 2 to three sites, as the one with this number sees it.
fn seen(party: u16, base: Option<Base>) -> Seen {
    let seat = |number: u16| Seat {
        name: format!("site-{number}"),
        organisation: "Clinic".to_owned(),
        weight: WeightClass::ONE,
        verifying: key(number).verifying_key(),
        tls_key: Digest([number as u8; 32]),
    };
    let membership =
        Membership { threshold: 2, coordinator: key(99).verifying_key(), seats: (1..=3).map(seat).collect() };
    let plan = Plan::of_consortium("plan", PLAN, 3).unwrap();
    let terms = plan.terms_from(base.map(|base| base.model)).unwrap();
    let digest = membership.digest();
    let proposal = Proposal { epoch: Epoch(2), membership, plan: PLAN.to_owned(), base };
    let (bindings, nonces, approved) = (Vec::new(), Vec::new(), PartySet::EMPTY);
    let standing = Standing { proposal, bindings, nonces, approved, stage: Stage::Proposed };
    let party = PartyId::new(party).unwrap();
    Seen { party, standing, plan, terms, membership: digest, words: None, awaited: PartySet::EMPTY }
}

fn base() -> Option<Base> {
    Some(Base { epoch: Epoch(1), model: parameters_digest(&model()) })
}

/// Site 1, which holds the model of key epoch 1, and site 3, which lacks it and has begun key epoch 2.
struct Case {
    giver: tempfile::TempDir,
    book: ConsentBook,
    newcomer: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let (giver, newcomer) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let vault = Vault::open_beside(&epoch_folder(giver.path(), Epoch(1))).unwrap();
        crate::hospital::put_model(&vault, &model()).unwrap();
        Vault::open_beside(&epoch_folder(newcomer.path(), Epoch(2))).unwrap().opening_key().unwrap();
        let book = ConsentBook::open(giver.path()).unwrap();
        Self { giver, book, newcomer }
    }

    fn approves(self) -> Self {
        self.book.pin_membership(seen(1, base()).membership).unwrap();
        self
    }

    fn request(&self) -> Vec<u8> {
        request(self.newcomer.path(), &seen(3, base()), &key(3)).unwrap()
    }

    fn give(&self, asked: &[u8]) -> Result<(String, Vec<u8>), HandoverError> {
        give(self.giver.path(), &seen(1, base()), &self.book, asked)
    }

    fn take(&self, file: &[u8]) -> Result<(), HandoverError> {
        take(self.newcomer.path(), &seen(3, base()), file)
    }

    fn taken(&self) -> Result<Vec<f32>, ModelsError> {
        let vault = Vault::reopen_beside(&epoch_folder(self.newcomer.path(), Epoch(2))).unwrap();
        taken(&vault, base().unwrap(), 514)
    }
}

#[test]
fn a_site_that_joined_later_has_the_model_and_the_line_of_it_stays_where_it_came_from() {
    let case = Case::new().approves();
    assert!(matches!(case.taken(), Err(ModelsError::NotHeld(_))));
    let holds = |root: &Path, base| holds(root, &seen(3, base)).unwrap();
    let nobody = tempfile::tempdir().unwrap();
    assert!(holds(case.giver.path(), base()) && !holds(case.newcomer.path(), base()) && !holds(nobody.path(), base()));
    assert!(holds(nobody.path(), None), "nothing is lacked where training begins anew");
    let (name, file) = case.give(&case.request()).unwrap();
    assert_eq!(name, "site-3");
    case.take(&file).unwrap();
    assert_eq!(case.taken().unwrap(), model());
    assert!(holds(case.newcomer.path(), base()));
    let [line] = &SentLog::of(case.giver.path()).read().unwrap()[..] else { panic!("one line") };
    assert_eq!((line.what.as_str(), line.epoch, line.bytes), ("model handed over", 2, file.len() as u64));
    assert!(line.detail.contains("site-3") && line.detail.contains("key epoch 1"), "{}", line.detail);
    // Of other terms it is no beginning, and no network of another size takes it.
    let vault = Vault::reopen_beside(&epoch_folder(case.newcomer.path(), Epoch(2))).unwrap();
    let other = Base { epoch: Epoch(1), model: Digest::default() };
    assert!(matches!(taken(&vault, other, 514), Err(ModelsError::NotHeld(_))));
    let smaller = taken(&vault, base().unwrap(), 513);
    assert!(matches!(smaller, Err(ModelsError::OtherNetwork { found: 514, expected: 513 })));
    // Nobody else opens the file.
    let other = tempfile::tempdir().unwrap();
    Vault::open_beside(&epoch_folder(other.path(), Epoch(2))).unwrap().opening_key().unwrap();
    for party in [2, 3] {
        let opened = take(other.path(), &seen(party, base()), &file);
        assert!(matches!(opened, Err(HandoverError::Seal(_))), "{opened:?}");
    }
}

#[test]
fn a_member_gives_to_nobody_whom_its_officer_did_not_approve_and_to_nobody_else() {
    let case = Case::new();
    let asked = case.request();
    assert!(matches!(case.give(&asked), Err(HandoverError::NotApproved { epoch: Epoch(2) })));
    let case = case.approves();
    // Another site's signature under the request, and a stranger's number.
    let forged = request(case.newcomer.path(), &seen(3, base()), &key(2)).unwrap();
    assert!(matches!(case.give(&forged), Err(HandoverError::Forged)));
    let stranger = request(case.newcomer.path(), &seen(4, base()), &key(3)).unwrap();
    assert!(matches!(case.give(&stranger), Err(HandoverError::Forged)));
    // Another sealing key put into the request on its way.
    let mut changed = asked.clone();
    let at = changed.len() - 64 - 100;
    changed[at] ^= 1;
    assert!(matches!(case.give(&changed), Err(HandoverError::Forged)));
    let mut others = seen(3, base());
    others.membership.0[0] ^= 1;
    let asked_of_others = request(case.newcomer.path(), &others, &key(3)).unwrap();
    assert!(matches!(case.give(&asked_of_others), Err(HandoverError::OtherProposal { .. })));
    assert!(matches!(case.give(b"consilium"), Err(HandoverError::OtherFile)));
    assert!(matches!(case.give(&asked[..99]), Err(HandoverError::Damaged(_))));
    let anew = give(case.giver.path(), &seen(1, None), &case.book, &asked);
    assert!(matches!(anew, Err(HandoverError::NoBase { epoch: Epoch(2) })));
    assert_eq!(SentLog::of(case.giver.path()).read().unwrap().len(), 0, "nothing left");
    // Of what it does not hold it gives nothing.
    let empty = tempfile::tempdir().unwrap();
    let none = give(empty.path(), &seen(1, base()), &case.book, &asked);
    assert!(matches!(none, Err(HandoverError::Models(ModelsError::NotHeld(_)))));
    case.give(&asked).unwrap();
}

#[test]
fn a_site_takes_no_other_model_than_the_one_that_is_proposed() {
    let case = Case::new().approves();
    let (_, good) = case.give(&case.request()).unwrap();
    let vault = Vault::reopen_beside(&epoch_folder(case.newcomer.path(), Epoch(2))).unwrap();
    let sealing = vault.opening_key().unwrap().sealing_key().clone();
    let party = |number| PartyId::new(number).unwrap();
    let file = |epoch: u32, parts: &[(u32, u32, &[f32])]| {
        let context = BoxContext { epoch: Epoch(epoch), dealer: party(1), receiver: party(3), label: LABEL };
        let boxes = parts.iter().map(|(index, count, values)| {
            let mut plain = [index.to_le_bytes(), count.to_le_bytes()].concat();
            values.iter().for_each(|value| plain.extend_from_slice(&value.to_le_bytes()));
            sealing.seal(&context, &plain).unwrap()
        });
        let handover = Handover { epoch: Epoch(epoch), from: party(1), boxes: boxes.collect() };
        [HANDOVER.as_slice(), &handover.to_bytes()].concat()
    };
    let (whole, mut other) = (model(), model());
    other[77] += 1.0;
    let (first, second) = whole.split_at(200);
    for (what, found) in [
        ("another model", case.take(&file(2, &[(0, 1, &other)]))),
        ("the first part alone", case.take(&file(2, &[(0, 2, first)]))),
        ("out of order", case.take(&file(2, &[(1, 2, second), (0, 2, first)]))),
        ("counted otherwise", case.take(&file(2, &[(0, 2, &whole)]))),
        ("nothing", case.take(&file(2, &[]))),
    ] {
        assert!(matches!(found, Err(HandoverError::OtherModel)), "{what}: {found:?}");
    }
    let earlier = case.take(&file(1, &[(0, 1, &whole)]));
    assert!(matches!(earlier, Err(HandoverError::OtherProposal { asked: Epoch(1), epoch: Epoch(2) })));
    assert!(matches!(case.taken(), Err(ModelsError::NotHeld(_))), "nothing was kept");
    case.take(&file(2, &[(0, 2, first), (1, 2, second)])).unwrap();
    case.take(&good).unwrap();
    assert_eq!(case.taken().unwrap(), whole);
}

#[test]
fn nothing_is_asked_for_before_the_sites_service_has_made_its_key() {
    let site = tempfile::tempdir().unwrap();
    let asked = || request(site.path(), &seen(3, base()), &key(3));
    assert!(matches!(asked(), Err(HandoverError::NotBegun { epoch: Epoch(2) })));
    let vault = Vault::open_beside(&epoch_folder(site.path(), Epoch(2))).unwrap();
    assert!(matches!(asked(), Err(HandoverError::NotBegun { .. })), "no key in it yet");
    vault.opening_key().unwrap();
    asked().unwrap();
    let anew = request(site.path(), &seen(3, None), &key(3));
    assert!(matches!(anew, Err(HandoverError::NoBase { .. })));
}
