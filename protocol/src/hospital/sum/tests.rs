//! Which chunks are drawn.

use std::collections::BTreeSet;

use super::*;

fn sum(chunks: usize, name: &str) -> SumReady {
    let chunks = (0..chunks).map(|chunk| Digest::of_bytes(format!("{name} {chunk}").as_bytes())).collect();
    SumReady { round: RoundId(1), attempt: Attempt(1), chunks, shares: Vec::new() }
}

#[test]
fn a_short_sum_is_added_whole_and_of_a_long_one_as_many_chunks_as_were_decided() {
    for of in 0..=CHUNKS_ADDED_MAX {
        assert!(draw(&[1; 32], &sum(of, "sum")).into_iter().eq((0..).take(of)), "{of}");
    }
    for of in [CHUNKS_ADDED_MAX + 1, 100, 4096] {
        let drawn = draw(&[1; 32], &sum(of, "sum"));
        assert!(drawn.len() == CHUNKS_DRAWN && drawn.is_sorted(), "{drawn:?}");
        assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), CHUNKS_DRAWN, "none twice");
        assert!(drawn.iter().all(|chunk| (*chunk as usize) < of));
        assert_eq!(draw(&[1; 32], &sum(of, "sum")), drawn);
    }
}

#[test]
fn every_chunk_is_drawn_alike_by_bytes_that_nobody_else_knows_for_one_announcement() {
    let (of, draws) = (20, 3_000_u32);
    let mut counts = vec![0_u32; of];
    for number in 0..draws {
        let fresh = Digest::of_bytes(&number.to_le_bytes()).0;
        draw(&fresh, &sum(of, "sum")).into_iter().for_each(|chunk| counts[chunk as usize] += 1);
    }
    // 900 on the average, with a deviation of 25.
    assert!(counts.iter().all(|count| (775..1_025).contains(count)), "{counts:?}");
    assert_ne!(draw(&[1; 32], &sum(100, "sum")), draw(&[2; 32], &sum(100, "sum")));
    assert_ne!(draw(&[1; 32], &sum(100, "sum")), draw(&[1; 32], &sum(100, "another sum")));
}
