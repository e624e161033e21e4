//! What is refused before anything is released.

use super::*;
use crate::error::DecodeError;

#[test]
fn a_second_share_for_one_chunk_is_refused_and_a_repeat_is_identical() {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let id = epoch.id(0);
    let context = epoch.context(id, &[1, 2, 3, 4], &[1, 2, 3, 4]);
    let first = epoch.share(1, &context).to_bytes();
    assert_eq!(first, epoch.share(1, &context).to_bytes());
    let changed = [
        epoch.context(id, &[1, 2, 3, 4], &[1, 2, 3, 5]),
        epoch.context(id, &[1, 2, 3, 4, 5], &[1, 2, 3, 4]),
        ShareContext::new(&epoch.layout, id, &[1, 2, 3, 4], &[1, 2, 3, 4], [0; 32]).unwrap(),
    ];
    for other in changed {
        let refused = epoch.hospitals[0].ledger.permit_share(&other);
        assert!(matches!(refused, Err(PermitError::Conflict { .. })));
    }
    // A permit for one context does not serve another one.
    let next = epoch.context(epoch.id(1), &[1, 2, 3, 4], &[1, 2, 3, 4]);
    let permit = epoch.hospitals[0].ledger.permit_share(&next).unwrap();
    let misused = epoch.hospitals[0].decryptor.share(permit, &context).map(drop);
    assert_eq!(misused, Err(AggregationError::ForeignPermit));
    // A hospital outside T has no share to give.
    let permit = epoch.hospitals[4].ledger.permit_share(&context).unwrap();
    let outside = epoch.hospitals[4].decryptor.share(permit, &context).map(drop);
    assert_eq!(outside, Err(AggregationError::NotADecryptor { party: 5 }));
}

#[test]
fn other_integers_under_one_common_polynomial_are_refused() {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let id = epoch.id(0);
    let first = epoch.encrypt(1, id).to_bytes();
    assert_eq!(first, epoch.encrypt(1, id).to_bytes());
    assert_eq!(first, epoch_encrypt_again(&epoch, 1, id).to_bytes());
    let layout = epoch.layout.clone();
    let h = &mut epoch.hospitals[0];
    let mut values = h.values.clone();
    let request = EncryptRequest { layout: &layout, id, sender: 1, weight: h.weight, values: &[] };
    assert!(matches!(h.ledger.permit_encryption(&request), Err(PermitError::Conflict { .. })));
    // A permit does not serve changed values.
    let fresh = ChunkId { attempt: 1, ..id };
    let asked = EncryptRequest { id: fresh, values: &values, ..request };
    let permit = h.ledger.permit_encryption(&asked).unwrap();
    let mut changed = values.clone();
    changed[0] ^= 1;
    let changed = EncryptRequest { values: &changed, ..asked };
    let misused = encrypt_chunk(permit, &changed, &h.secret, &vault(1), &group_key()).map(drop);
    assert_eq!(misused, Err(AggregationError::ForeignPermit));
    // The same integers under a new attempt have another ciphertext.
    let permit = h.ledger.permit_encryption(&asked).unwrap();
    let second = encrypt_chunk(permit, &asked, &h.secret, &vault(1), &group_key()).unwrap().to_bytes();
    assert_ne!(first, second);

    // Requests that do not fit the layout.
    let mut try_request = |attempt, weight, values: &[i32]| {
        let id = ChunkId { attempt, ..id };
        let request = EncryptRequest { layout: &layout, id, sender: 1, weight, values };
        let permit = h.ledger.permit_encryption(&request).unwrap();
        encrypt_chunk(permit, &request, &h.secret, &vault(1), &group_key()).map(drop)
    };
    assert!(matches!(try_request(2, 0, &[]), Err(AggregationError::Weight { .. })));
    assert!(matches!(try_request(3, 1 << 16, &[]), Err(AggregationError::Weight { .. })));
    let range = Err(AggregationError::ValueRange { bits: 16 });
    assert_eq!(try_request(4, 1, &[32768]), range);
    assert_eq!(try_request(5, 1, &[-32769]), range);
    assert_eq!(try_request(6, 1, &[i32::MIN]), range);
    assert_eq!(try_request(7, 1, &[32767, -32768]), Ok(()));
    values.push(0);
    assert!(matches!(try_request(8, 1, &values), Err(AggregationError::TooManyValues { .. })));
}

#[test]
fn a_secret_of_another_epoch_or_of_other_parameters_encrypts_nothing() {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let (id, layout) = (epoch.id(0), epoch.layout.clone());
    let request = EncryptRequest { layout: &layout, id, sender: 1, weight: 1, values: &[] };
    let mut encrypted = |params, of_epoch| {
        let permit = epoch.hospitals[0].ledger.permit_encryption(&request).unwrap();
        let secret = AggregationSecret::from_seed(params, of_epoch, [7; 32]);
        encrypt_chunk(permit, &request, &secret, &vault(1), &group_key()).map(drop)
    };
    assert_eq!(encrypted(&TOY13, EPOCH), Ok(()));
    let foreign = AggregationError::ForeignObject { object: "secret", round: 3, attempt: 0, chunk: 0 };
    assert_eq!(encrypted(&TOY13, [1; 32]), Err(foreign.clone()));
    assert_eq!(encrypted(&TOY14, EPOCH), Err(foreign));
}

#[test]
fn every_attempt_is_charged_once_and_the_budget_ends() {
    let layout = Epoch::new(&TOY13, 5, 4, 16, Values::Random).layout;
    let mut ledger = MemoryLedger::new(Flooding::secure(40, 2).unwrap());
    let context = |attempt| {
        let id = ChunkId { epoch: EPOCH, round: 1, attempt, chunk: 0 };
        ShareContext::new(&layout, id, &[1, 2, 3, 4], &[1, 2, 3, 4], MANIFEST).unwrap()
    };
    let request =
        |attempt| EncryptRequest { layout: &layout, id: *context(attempt).id(), sender: 1, weight: 1, values: &[] };
    assert!(ledger.permit_encryption(&request(0)).is_ok());
    assert!(ledger.permit_share(&context(0)).is_ok());
    assert!(ledger.permit_share(&context(0)).is_ok());
    assert_eq!(ledger.left(), 1);
    // Encrypted, then abandoned: charged all the same.
    assert!(ledger.permit_encryption(&request(1)).is_ok());
    assert_eq!(ledger.left(), 0);
    assert!(matches!(ledger.permit_encryption(&request(2)), Err(PermitError::Exhausted(_))));
    assert!(matches!(ledger.permit_share(&context(2)), Err(PermitError::Exhausted(_))));
    assert!(ledger.permit_share(&context(1)).is_ok());
}

#[test]
fn sets_that_would_expose_a_hospital_are_refused() {
    let flooding = Flooding::secure(40, 1 << 14).unwrap();
    let layout = LaneLayout::new(&TOY13, 5, 3, 16, flooding).unwrap();
    let id = ChunkId { epoch: EPOCH, round: 1, attempt: 0, chunk: 0 };
    let new = |s: &[u16], t: &[u16]| ShareContext::new(&layout, id, s, t, MANIFEST).map(drop);
    assert_eq!(new(&[1, 2, 3, 4], &[1, 2, 3]), Ok(()));
    let few = AggregationError::TooFewContributors { found: 3, min: 4 };
    assert_eq!(new(&[1, 2, 3], &[1, 2, 3]), Err(few));
    let three = layout.clone().with_three_contributors();
    assert!(ShareContext::new(&three, id, &[1, 2, 3], &[1, 2, 3], MANIFEST).is_ok());
    assert!(ShareContext::new(&three, id, &[1, 2], &[1, 2, 3], MANIFEST).is_err());
    let count = AggregationError::DecryptorCount { found: 4, expected: 3 };
    assert_eq!(new(&[1, 2, 3, 4], &[1, 2, 3, 4]), Err(count));
    let order = AggregationError::PartyOrder { previous: 2, party: 2 };
    assert_eq!(new(&[1, 2, 2, 4], &[1, 2, 3]), Err(order));
    let order = AggregationError::PartyOrder { previous: 3, party: 1 };
    assert_eq!(new(&[1, 2, 3, 4], &[2, 3, 1]), Err(order));
    for party in [0, 6] {
        let unknown = AggregationError::UnknownParty { party, parties: 5 };
        assert_eq!(new(&[1, 2, 3, 4], &[party, 2, 3]), Err(unknown));
    }
}

#[test]
fn key_shares_of_another_epoch_receiver_or_threshold_are_refused() {
    let epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let layout = &epoch.layout;
    let secret = &epoch.hospitals[0].secret;
    let share = secret.deal(layout, 1).unwrap().remove(1);
    let bytes = share.expose_bytes();
    assert_eq!((share.dealer(), share.receiver()), (1, 2));
    assert!(KeyShare::from_bytes(&bytes, layout, &EPOCH).is_ok());
    assert!(KeyShare::from_bytes(&bytes, layout, &[0; 32]).is_err());
    let other = LaneLayout::new(&TOY13, 5, 3, 16, layout.flooding()).unwrap();
    assert!(KeyShare::from_bytes(&bytes, &other, &EPOCH).is_err());
    for len in [0, 71, bytes.len() - 1] {
        let truncated = KeyShare::from_bytes(&bytes[..len], layout, &EPOCH).map(drop);
        assert!(matches!(truncated, Err(AggregationError::Decode(DecodeError::Length { .. }))));
    }
    let mut wide = bytes.to_vec();
    // The first residue becomes 2^30 - 1, above every prime.
    wide[72..76].fill(0xff);
    let residue = KeyShare::from_bytes(&wide, layout, &EPOCH).map(drop);
    assert!(matches!(residue, Err(AggregationError::Decode(DecodeError::Residue { .. }))));
    let mut decryptor = Decryptor::new(layout.clone(), EPOCH, 3, group_key(), vault(3)).unwrap();
    assert!(matches!(decryptor.insert_share(share), Err(AggregationError::ForeignObject { .. })));
    // Dealing is repeatable, and a seed means another secret in another epoch.
    let again = secret.deal(layout, 1).unwrap().remove(1);
    assert_eq!(again.expose_bytes(), bytes);
    let seed = *secret.expose_seed();
    let elsewhere = AggregationSecret::from_seed(&TOY13, [1; 32], seed);
    assert!(elsewhere.eval() != secret.eval());
}

#[test]
fn a_share_needs_every_key_it_is_made_of() {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let context = epoch.context(epoch.id(0), &[1, 2, 3, 4], &[1, 2, 3, 4]);
    let mut bare = Decryptor::new(epoch.layout.clone(), EPOCH, 1, group_key(), vault(1)).unwrap();
    let permit = epoch.hospitals[0].ledger.permit_share(&context).unwrap();
    let missing = AggregationError::Missing { object: "key share", party: 1 };
    assert_eq!(bare.share(permit, &context).map(drop), Err(missing));
    for party in 1..=5u16 {
        let dealer = &epoch.hospitals[usize::from(party) - 1].secret;
        bare.insert_share(dealer.deal(&epoch.layout, party).unwrap().remove(0)).unwrap();
    }
    let permit = epoch.hospitals[0].ledger.permit_share(&context).unwrap();
    let missing = AggregationError::Missing { object: "mask key", party: 2 };
    assert_eq!(bare.share(permit, &context).map(drop), Err(missing));
}
