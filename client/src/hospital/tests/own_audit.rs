//! A site before an auditor: what it sent is made again, and a site whose program sent something else is named.

use protocol::facts::{Released, Revealed};
use protocol::heads::Seen;
use protocol::message::{
    Acceptance, DealingsSent, HospitalMessage, KeySet, KeysAsked, PublishHead, QueryHead, ServingShareHead, ShareHead,
    SignedMessage, SwitchShareHead, UpdateHead,
};

use super::super::images::SiteRows;
use super::super::key_sums::{own_gate, relin_sums};
use super::super::own_audit::{Again, AuditedSite, Object};
use super::*;

/// Three sites that keep what an audit needs.
fn keeping() -> Consortium {
    let mut all = Consortium::new();
    all.sites.iter_mut().for_each(|site| site.plan.keeps_ceremony = true);
    all
}

/// Everybody has all serving keys made, shares and sums; says what hospital 1 signed for in each step.
fn ceremony(all: &mut Consortium) -> Vec<(KeyStep, BodyRoot)> {
    all.deal();
    for number in 1..=N {
        let boxes = all.boxes_for(number);
        let at = usize::from(number) - 1;
        all.sites[at].open_dealings(&all.roster, &all.opening[at], &boxes).unwrap().unwrap();
    }
    all.gates();
    all.adds(KeyStep::RelinRoundOne);
    let masks = all.shares(KeyStep::RelinMasks);
    for site in &mut all.sites {
        assert_eq!(add(site, KeyStep::RelinMasks, &masks, list_of_all(&masks)), None);
    }
    let signed =
        KeyStep::steps(KeysAsked::default()).map(|step| (step, all.site(1).serving_share(step).unwrap())).collect();
    all.site(1).finish_ceremony().unwrap();
    signed
}

fn sign(body: HospitalMessage) -> SignedMessage {
    SignedMessage::sign(&SigningKey::from_seed(&[1; 32]).unwrap(), party(1), Epoch(1), 1, Seen::nothing(), body)
}

fn note(site: &Site, fact: &Fact) {
    site.journal.append(&site.record(FACTS), &fact.to_bytes()).unwrap();
}

pub(super) fn key_head(step: KeyStep, body: BodyRoot) -> HospitalMessage {
    HospitalMessage::ServingShareHead(ServingShareHead { step, body })
}

/// An auditor at hospital 1.
pub(super) fn audited(all: &Consortium, name: &str) -> AuditedSite {
    audited_with(all, name, None)
}

/// An auditor at hospital 1, where it has these rows of a head.
pub(super) fn audited_with(all: &Consortium, name: &str, rows: Option<SiteRows>) -> AuditedSite {
    let (root, scratch) = (all.root(1), all.folder.path().join(name));
    std::fs::create_dir_all(&scratch).unwrap();
    all.sites[0].journal.copy_to(&scratch.join("journal.sqlite")).unwrap();
    let vault = Arc::new(Vault::for_tests(&root.join("vault")));
    AuditedSite::open(&root, &scratch, vault, all.sites[0].plan.clone(), rows).unwrap()
}

/// What a head names first, made again.
pub(super) fn again(audited: &mut AuditedSite, head: &HospitalMessage) -> Result<Again, HospitalError> {
    audited.again(&Object::of(head)[0].0, head)
}

/// A round of all, and hospital 1's part of the model: the heads that it signs for its update, its shares and its part.
fn round(all: &mut Consortium) -> Vec<HospitalMessage> {
    all.round(1);
    let (round, attempt) = (RoundId(1), Attempt::FIRST);
    let mut binding = all.binding(1);
    binding.manifest = Digest([7; 32]);
    let site = &mut all.sites[0];
    let update = site.encrypt(round, attempt).unwrap();
    let shares = site.release_shares(&binding).unwrap();
    let part = site.encrypt_contribution(Attempt(1), everyone()).unwrap();
    let acceptance = Acceptance { round, attempt, manifest: binding.manifest, decryptors: binding.decryptors };
    note(site, &Fact::Sent(sign(HospitalMessage::Acceptance(acceptance))));
    note(site, &Fact::Revealed(Revealed { round, base_model: Digest([4; 32]), cohort: binding.cohort }));
    note(site, &Fact::Released(Released { round, attempt, binding: binding.digest(), chunks: 1 }));
    let (base_model, terms) = (Digest([4; 32]), terms().digest());
    let head = UpdateHead { round, attempt, purpose: RoundPurpose::Train, base_model, terms, body: update };
    let (model, program) = (Digest([8; 32]), Digest([3; 32]));
    [
        HospitalMessage::UpdateHead(head),
        HospitalMessage::ShareHead(ShareHead { round, attempt, binding: binding.digest(), body: shares }),
        HospitalMessage::PublishHead(PublishHead { attempt: Attempt(1), model, program, body: part }),
    ]
    .to_vec()
}

fn signed_for(head: &HospitalMessage) -> BodyRoot {
    Object::of(head)[0].1
}

#[test]
fn everything_that_a_site_sent_and_still_has_the_seeds_of_is_made_again_byte_for_byte() {
    let mut all = keeping();
    let keys = ceremony(&mut all);
    let heads = round(&mut all);
    let before = all.sites[0].journal.all("epoch-1-outbox").unwrap().len();
    let mut audited = audited(&all, "scratch");
    for (step, body) in keys {
        assert_eq!(again(&mut audited, &key_head(step, body)).unwrap(), Again::Made(body), "{step:?}");
    }
    for head in &heads {
        assert_eq!(again(&mut audited, head).unwrap(), Again::Made(signed_for(head)), "{head:?}");
    }
    assert_eq!(audited.signed().count(), 1, "by its journal");
    assert_eq!(all.sites[0].journal.all("epoch-1-outbox").unwrap().len(), before, "nothing changed at the site");
    assert!(!all.root(1).join("audit").exists());
}

#[test]
fn a_site_whose_program_added_a_constant_to_one_share_is_found_in_each_step() {
    let mut all = keeping();
    for (step, honest) in ceremony(&mut all) {
        let id = BlobId::ceremony(step.blob_kind(), Some(party(1)), 0);
        let mut bodies: Vec<Vec<u8>> = (0..honest.count)
            .map(|index| {
                if all.site(1).outbox.stored(&BlobId { index, ..id }).unwrap().is_none() {
                    all.site(1).serving_share(step).unwrap();
                }
                all.site(1).outbox.get(&BlobId { index, ..id }).unwrap().to_vec()
            })
            .collect();
        let last = bodies.last_mut().unwrap();
        let place = last.len() - 1;
        last[place] ^= 1;
        let digests: Vec<Digest> = bodies.iter().map(|body| Digest::of_bytes(body)).collect();
        let sent = BodyRoot::of(&digests, honest.size_bytes);
        let mut audited = audited(&all, &format!("scratch of {step:?}"));
        let again = again(&mut audited, &key_head(step, sent)).unwrap();
        assert_eq!(again, Again::Made(honest), "{step:?}");
        assert_ne!(sent, honest, "{step:?}");
    }
}

#[test]
fn other_updates_and_shares_than_the_sealed_values_give_are_found() {
    let mut all = keeping();
    ceremony(&mut all);
    let heads = round(&mut all);
    // The program encrypted other values than it sealed, stored what it sent, and signed for that.
    let id = BlobId::round(BlobKind::UpdateChunk, RoundId(1), Attempt::FIRST, Some(party(1)), 0);
    let site = all.site(1);
    let mut body = site.outbox.get(&id).unwrap().to_vec();
    let place = body.len() - 1;
    body[place] ^= 1;
    let other = root_of(&body);
    site.journal.remove("epoch-1-outbox", &id.to_bytes()).unwrap();
    site.outbox.put(id, body).unwrap();
    let mut audited = audited(&all, "scratch");
    assert!(matches!(again(&mut audited, &heads[0]).unwrap(), Again::Impossible(_)), "the records differ");
    // A head of shares for something that this site never accepted.
    let HospitalMessage::ShareHead(mut head) = heads[1].clone() else { panic!("{heads:?}") };
    head.binding = Digest([9; 32]);
    assert!(matches!(again(&mut audited, &HospitalMessage::ShareHead(head)).unwrap(), Again::Impossible(_)));
    assert_ne!(other, signed_for(&heads[0]));
}

#[test]
fn what_is_not_kept_is_said_and_is_no_difference() {
    let mut all = Consortium::new();
    let keys = ceremony(&mut all);
    let heads = round(&mut all);
    let is_not_kept = |audited: &mut AuditedSite, head: &HospitalMessage| {
        assert!(matches!(again(audited, head).unwrap(), Again::NotKept(_)), "{head:?}");
    };
    let mut erased = audited(&all, "erased");
    for (step, body) in &keys {
        is_not_kept(&mut erased, &key_head(*step, *body));
    }
    // The epoch's keys are there as before.
    for head in &heads {
        assert_eq!(again(&mut erased, head).unwrap(), Again::Made(signed_for(head)));
    }
    let body = keys[0].1;
    let query = QueryId::new(party(1), 3);
    let (program, model) = (Digest([3; 32]), Digest([8; 32]));
    let question = QueryHead { query, program, model, body };
    is_not_kept(&mut erased, &HospitalMessage::QueryHead(Box::new(question)));
    let share = SwitchShareHead { query, binding: Digest([9; 32]), body };
    is_not_kept(&mut erased, &HospitalMessage::SwitchShareHead(share));
    is_not_kept(&mut erased, &HospitalMessage::DealingsSent(DealingsSent { boxes: Vec::new(), size_bytes: 0 }));
    // Values that went with later rounds, and another attempt's part.
    let HospitalMessage::UpdateHead(mut update) = heads[0].clone() else { panic!("{heads:?}") };
    update.round = RoundId(9);
    is_not_kept(&mut erased, &HospitalMessage::UpdateHead(update));
    let HospitalMessage::PublishHead(mut part) = heads[2].clone() else { panic!("{heads:?}") };
    part.attempt = Attempt(2);
    is_not_kept(&mut erased, &HospitalMessage::PublishHead(part));
}

#[test]
fn a_site_keeps_what_an_audit_needs_or_nothing_as_it_says_also_later() {
    let mut all = keeping();
    ceremony(&mut all);
    let holds = |site: &Site, list| site.holdings.digests(list).unwrap().len();
    let site = all.site(1);
    assert!(site.vault.contains("epoch-1-ceremony") && site.dealt.is_none(), "at rest, and not in memory");
    assert_eq!((holds(site, own_gate(KeySet::Serving)), holds(site, relin_sums(KeySet::Serving))), (1, 1));
    // From the next start on the site file says otherwise.
    site.plan.keeps_ceremony = false;
    site.finish_ceremony().unwrap();
    assert!(!site.vault.contains("epoch-1-ceremony"));
    assert_eq!((holds(site, own_gate(KeySet::Serving)), holds(site, relin_sums(KeySet::Serving))), (0, 0));
}

/// A site that kept nothing when its keys were made and keeps what comes from now on, and one that trained on.
#[test]
fn what_it_was_made_of_may_be_gone_although_the_secret_is_not() {
    let mut all = keeping();
    let keys = ceremony(&mut all);
    let heads = round(&mut all);
    let site = all.site(1);
    for list in [own_gate(KeySet::Serving), relin_sums(KeySet::Serving)] {
        site.holdings.forget(list).unwrap();
    }
    let other = vec![0.5; site.current.parameters.len()];
    super::super::put_model(&site.vault, &other).unwrap();
    let mut audited = audited(&all, "scratch");
    for (step, body) in keys {
        let again = again(&mut audited, &key_head(step, body)).unwrap();
        let is_kept = matches!(step, KeyStep::Gate | KeyStep::RelinRoundOne | KeyStep::Galois);
        assert_eq!((again == Again::Made(body), matches!(again, Again::NotKept(_))), (is_kept, !is_kept), "{step:?}");
    }
    assert!(matches!(again(&mut audited, &heads[2]).unwrap(), Again::NotKept(_)), "a part of another model");
}
