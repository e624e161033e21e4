//! What is drawn, and how much of it.

use std::collections::BTreeSet;

use super::*;
use crate::cast::{COORDINATOR, key, party, roster, terms};
use crate::facts::HospitalFacts;
use crate::hospital::HospitalConfig;

fn sum(name: &str) -> Digest {
    Digest::of_bytes(name.as_bytes())
}

#[test]
fn a_short_sum_is_added_whole_and_of_a_long_one_as_many_chunks_as_were_decided() {
    for of in 0..=CHUNKS_ADDED_MAX {
        assert_eq!(chunks_added(of), of);
        assert!(draw(&[1; 32], sum("sum"), of, chunks_added(of)).into_iter().eq((0..).take(of)), "{of}");
    }
    for of in [CHUNKS_ADDED_MAX + 1, 100, 4096] {
        let drawn = draw(&[1; 32], sum("sum"), of, chunks_added(of));
        assert!(drawn.len() == CHUNKS_DRAWN && drawn.is_sorted(), "{drawn:?}");
        assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), CHUNKS_DRAWN, "none twice");
        assert!(drawn.iter().all(|chunk| (*chunk as usize) < of));
        assert_eq!(draw(&[1; 32], sum("sum"), of, CHUNKS_DRAWN), drawn);
    }
}

#[test]
fn nobody_has_room_made_for_more_than_a_sum_may_have() {
    let most = u32::MAX as usize;
    for drawn in [draw(&[1; 32], sum("sum"), most, most), draw(&[1; 32], sum("sum"), most, CHUNKS_DRAWN)] {
        assert!(drawn.len() <= CHUNKS_MAX && drawn.iter().all(|part| (*part as usize) < CHUNKS_MAX), "{}", drawn.len());
    }
}

#[test]
fn every_part_is_drawn_alike_by_bytes_that_nobody_else_knows_for_one_announcement() {
    let (of, draws) = (20, 3_000_u32);
    let mut counts = vec![0_u32; of];
    for number in 0..draws {
        let fresh = Digest::of_bytes(&number.to_le_bytes()).0;
        draw(&fresh, sum("sum"), of, 6).into_iter().for_each(|chunk| counts[chunk as usize] += 1);
    }
    // 900 on the average, with a deviation of 25.
    assert!(counts.iter().all(|count| (775..1_025).contains(count)), "{counts:?}");
    assert_ne!(draw(&[1; 32], sum("sum"), 100, 6), draw(&[2; 32], sum("sum"), 100, 6));
    assert_ne!(draw(&[1; 32], sum("sum"), 100, 6), draw(&[1; 32], sum("another sum"), 100, 6));
}

/// Counted by trial, with the draw itself: how often one altered part meets no honest hospital.
#[test]
fn one_altered_part_escapes_all_honest_hospitals_once_in_a_hundred_and_twenty_eight_at_most() {
    for hospitals in 2..=HOSPITALS_ADD_ALL_MAX {
        assert_eq!(parts_added(300, hospitals, hospitals - 1), 300);
    }
    let of = 200;
    for (hospitals, threshold, added) in [(6, 4, 161), (16, 11, 111), (64, 43, 40)] {
        assert_eq!(parts_added(of, hospitals, threshold), added, "of {hospitals}");
        let (honest, trials) = (hospitals - threshold + 1, 4_000_u32);
        let escaped = (0..trials).filter(|trial| {
            !(0..honest).any(|hospital| {
                let fresh = Digest::of_bytes(&[&trial.to_le_bytes()[..], &hospital.to_le_bytes()].concat()).0;
                draw(&fresh, sum("sum"), of, added).contains(&77)
            })
        });
        // 31 at 2^-7, with a deviation of 5.6.
        let escaped = escaped.count();
        assert!((8..48).contains(&escaped), "{escaped} of {trials} with {hospitals} hospitals");
    }
    assert_eq!((parts_added(0, 64, 43), parts_added(1, 64, 43)), (0, 1));
}

/// Up to sixteen hospitals check everybody else's proof; of more, one false proof meets somebody but for 2^-40.
#[test]
fn a_false_proof_meets_an_honest_hospital() {
    for (hospitals, threshold, checked) in
        [(3, 3, 2), (5, 4, 4), (16, 11, 15), (17, 12, 16), (32, 22, 29), (64, 43, 46)]
    {
        assert_eq!(proofs_checked(hospitals, threshold), checked, "of {hospitals}");
        let missed = (hospitals - 1 - checked) as f64 / (hospitals - 1) as f64;
        let honest = i32::try_from(hospitals - threshold + 1).unwrap();
        assert!(missed.powi(honest) <= 2f64.powi(-40), "{hospitals}");
        // One fewer would not do, where not all check all.
        let fewer = (hospitals - checked) as f64 / (hospitals - 1) as f64;
        assert!(hospitals <= 16 || fewer.powi(honest) > 2f64.powi(-40), "{hospitals}");
    }
}

/// As many planes as proofs, and not those of the same hospitals.
#[test]
fn of_many_hospitals_each_checks_the_planes_of_a_draw_of_its_own() {
    let machine = |hospitals: u16, fresh| {
        let roster = roster(hospitals, hospitals * 2 / 3 + 1);
        let own = &roster.members()[0];
        let config = HospitalConfig {
            party: party(1),
            epoch: roster.epoch(),
            coordinator: key(COORDINATOR).verifying_key(),
            membership: roster.membership().digest(),
            sealing: own.sealing.clone(),
            tls_key: own.tls_key,
            terms: terms(),
            earlier: Vec::new(),
        };
        let mut machine = HospitalMachine::new(config, key(1), HospitalFacts::default(), fresh);
        machine.roster = Some(roster);
        machine
    };
    assert_eq!(machine(16, [1; 32]).planes_drawn(&1_u8, 15), (0..15).collect::<Vec<_>>(), "all of few");
    let of_many = machine(64, [1; 32]);
    let (planes, proofs) = (of_many.planes_drawn(&1_u8, 63), of_many.proofs_drawn(&1_u8, 63));
    assert_eq!((planes.len(), proofs.len()), (proofs_checked(64, 43), proofs_checked(64, 43)));
    assert_ne!(planes, proofs);
    assert_ne!(planes, machine(64, [2; 32]).planes_drawn(&1_u8, 63), "nobody else knows whose");
}
