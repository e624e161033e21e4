//! A coordinator that makes a sum with the help of a hospital: it opens, and no site that adds it up votes for it.
//!
//! What the helper can make a sum of is `he_agg`'s test of faults.

use protocol::drive::hospital::Summands;

use super::super::sealed;
use super::*;

/// The bodies of one kind, as their makers signed for them.
fn bodies(all: &Consortium, kind: BlobKind, makers: &[u16]) -> Vec<(PartyId, Bytes)> {
    let body = |number: &u16| {
        let place = BlobId::round(kind, RoundId(1), Attempt::FIRST, Some(party(*number)), 0);
        (party(*number), all.sites[usize::from(*number) - 1].outbox.get(&place).unwrap())
    };
    makers.iter().map(body).collect()
}

fn summands(
    binding: &ShareBinding,
    sum: Digest,
    updates: &[(PartyId, Bytes)],
    shares: &[(PartyId, Bytes)],
) -> Summands {
    let (binding, updates, shares) = (binding.clone(), updates.to_vec(), shares.to_vec());
    Summands { binding, chunk: 0, sum, is_last: true, updates, shares }
}

/// What a coordinator makes of these.
fn blinded(binding: &ShareBinding, updates: &[(PartyId, Bytes)], shares: &[(PartyId, Bytes)]) -> Bytes {
    let layout = plan(1, &Arc::new(program())).layout;
    let epoch = Crs::new(Preset::Inf13, seed().0).epoch();
    let id = ChunkId { epoch, round: binding.round.0, attempt: binding.attempt.0, chunk: 0 };
    let context = ShareContext::new(&layout, id, &[1, 2, 3], &[1, 2], binding.manifest.0).unwrap();
    let mut sum = ChunkSum::new(&layout, id);
    for (_, update) in updates {
        sum.absorb_bytes(update, &layout).unwrap();
    }
    let read = |(_, share): &(PartyId, Bytes)| DecryptionShare::from_bytes(share, &layout, &context).unwrap();
    let shares: Vec<DecryptionShare> = shares.iter().map(read).collect();
    Bytes::from(BlindedSum::combine(&layout, &context, &sum, &shares).unwrap().to_bytes())
}

#[test]
fn a_sum_with_what_a_helper_did_not_sign_for_opens_and_is_voted_for_by_nobody_who_adds_it_up() {
    let mut all = Consortium::with_keys();
    for site in &mut all.sites {
        site.train(RoundId(1)).unwrap();
    }
    // Hospital 2 makes another update under the same `a`, in a folder whose ledger knows nothing of the first.
    let (root, helper) = all.twin(2, "helper");
    let mut helper = reopened(helper, &root);
    helper.restore_keys(seed()).unwrap();
    let mut other = sealed::round_values(&helper.vault, Epoch(1), RoundId(1)).unwrap();
    other.values.iter_mut().for_each(|value| *value = -*value);
    sealed::put_values(&helper.vault, Epoch(1), RoundId(1), &other).unwrap();
    helper.encrypt(RoundId(1), Attempt::FIRST).unwrap();
    let (binding, sums) = all.sum_of_sealed(1);
    let (updates, shares) = (bodies(&all, BlobKind::UpdateChunk, &[1, 2, 3]), bodies(&all, BlobKind::Share, &[1, 2]));
    assert_eq!(blinded(&binding, &updates, &shares), sums[0]);
    let mut swapped = updates.clone();
    let place = BlobId::round(BlobKind::UpdateChunk, RoundId(1), Attempt::FIRST, Some(party(2)), 0);
    swapped[1].1 = helper.outbox.get(&place).unwrap();
    let forged = blinded(&binding, &swapped, &shares);

    // Whoever takes the coordinator's word has another model, and nothing to object to.
    let honest = all.site(1).open_sum(&binding, RoundPurpose::Train, &sums).unwrap().unwrap();
    let model = all.site(1).open_sum(&binding, RoundPurpose::Train, std::slice::from_ref(&forged)).unwrap().unwrap();
    assert_ne!(model, honest);

    for site in &all.sites {
        let added =
            |sum: &Bytes| site.add_chunk(&summands(&binding, Digest::of_bytes(sum), &updates, &shares)).unwrap();
        assert_eq!(added(&sums[0]), None);
        assert_eq!(added(&forged), Some(Reject::RoundSumDiffers));
    }
}

#[test]
fn what_is_no_update_no_share_or_of_another_is_not_added() {
    let mut all = Consortium::with_keys();
    let (binding, sums) = all.sum(1);
    let (updates, shares) = (bodies(&all, BlobKind::UpdateChunk, &[1, 2, 3]), bodies(&all, BlobKind::Share, &[1, 2]));
    let sum = Digest::of_bytes(&sums[0]);
    let site = all.site(3);
    let added = |binding: &ShareBinding, updates: &[(PartyId, Bytes)], shares: &[(PartyId, Bytes)]| {
        site.add_chunk(&summands(binding, sum, updates, shares)).unwrap()
    };
    type Bodies = Vec<(PartyId, Bytes)>;
    let changed = |bodies: &Bodies, change: fn(&mut Bodies)| {
        let mut bodies = bodies.clone();
        change(&mut bodies);
        bodies
    };
    let changes: [fn(&mut Bodies); 4] = [
        |it| drop(it.pop()),
        |it| it[1].1 = it[1].1.slice(1..),
        |it| it[1].1 = it[0].1.clone(),
        |it| {
            let [(_, first), (_, second), ..] = &mut it[..] else { return };
            std::mem::swap(first, second);
        },
    ];
    assert_eq!(added(&binding, &updates, &shares), None);
    for (at, change) in changes.into_iter().enumerate() {
        assert_eq!(added(&binding, &changed(&updates, change), &shares), Some(Reject::BadSummand), "update {at}");
        assert_eq!(added(&binding, &updates, &changed(&shares, change)), Some(Reject::BadSummand), "share {at}");
    }
    assert_eq!(added(&binding, &shares, &updates), Some(Reject::BadSummand), "one for the other");
    // Bound to another manifest, shares are none of this sum's.
    let other = ShareBinding { manifest: Digest([8; 32]), ..binding.clone() };
    assert_eq!(added(&other, &updates, &shares), Some(Reject::BadSummand));
    // A chunk of another place.
    let elsewhere = Summands { chunk: 1, ..summands(&binding, sum, &updates, &shares) };
    assert_eq!(site.add_chunk(&elsewhere).unwrap(), Some(Reject::BadSummand));
}
