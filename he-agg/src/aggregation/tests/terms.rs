//! Sums of many chunks at once, where a backend computes, against sums of one chunk at a time.

use super::*;
use crate::backend::Cpu;

/// Chunks 0 and 2 of four hospitals each, chunk 1 of nobody, chunk 3 of one: bytes and senders.
fn chunks(epoch: &mut Epoch) -> Vec<(ChunkId, Vec<Vec<u8>>)> {
    let of = [(0, &[4u16, 1, 5, 2][..]), (1, &[]), (2, &[1, 2, 3, 5]), (3, &[3])];
    of.into_iter()
        .map(|(chunk, parties)| {
            let id = epoch.id(chunk);
            (id, parties.iter().map(|&party| epoch.encrypt(party, id).to_bytes()).collect())
        })
        .collect()
}

#[test]
fn sums_of_many_chunks_at_once_equal_the_sums_of_each() {
    for params in [&TOY13, &TOY14] {
        let mut epoch = Epoch::new(params, 5, 4, 16, Values::Random);
        let chunks = chunks(&mut epoch);
        let layout = &epoch.layout;
        let terms: Vec<ChunkTerms<'_>> = chunks
            .iter()
            .map(|(id, bodies)| {
                let mut terms = ChunkTerms::new(layout, *id);
                bodies.iter().for_each(|bytes| terms.push(&PackedChunk::from_bytes(bytes, layout).unwrap()).unwrap());
                terms
            })
            .collect();
        let together = ChunkTerms::sum_all(&Cpu::new(params), &terms).unwrap();
        assert_eq!(together.len(), chunks.len());
        for ((id, bodies), (sum, terms)) in chunks.iter().zip(together.iter().zip(&terms)) {
            let mut expected = ChunkSum::new(layout, *id);
            bodies.iter().for_each(|bytes| assert!(expected.absorb_bytes(bytes, layout).is_ok()));
            assert_eq!((sum.id(), sum.contributors()), (id, expected.contributors()));
            assert!(sum.to_bytes() == expected.to_bytes(), "{id:?}");
            assert!(terms.sum().to_bytes() == expected.to_bytes(), "{id:?}");
        }
        // A sum may go on where it is.
        let mut more = ChunkTerms::sum_all(&Cpu::new(params), &terms[3..]).unwrap().remove(0);
        let (id, again) = (epoch.id(3), epoch.encrypt(3, epoch.id(3)).to_bytes());
        let duplicate = AggregationError::Duplicate { object: "update chunk", party: 3 };
        assert_eq!(more.absorb_bytes(&again, &epoch.layout), Err(duplicate));
        let other = epoch.encrypt(1, id).to_bytes();
        assert_eq!(more.absorb_bytes(&other, &epoch.layout), Ok(1));
    }
    assert!(ChunkTerms::sum_all(&Cpu::new(&TOY13), &[]).unwrap().is_empty());
}

#[test]
fn terms_refuse_what_a_sum_refuses() {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let mut wide = Epoch::new(&TOY14, 5, 4, 16, Values::Random);
    let (id, layout) = (epoch.id(0), epoch.layout.clone());
    let first = epoch.encrypt(1, id).to_bytes();
    let refused = [
        (first.clone(), layout.clone()),
        (epoch.encrypt(2, epoch.id(1)).to_bytes(), layout.clone()),
        (epoch.encrypt(2, ChunkId { attempt: 1, ..id }).to_bytes(), layout.clone()),
        (wide.encrypt(2, id).to_bytes(), wide.layout.clone()),
    ];
    let (mut terms, mut sum) = (ChunkTerms::new(&layout, id), ChunkSum::new(&layout, id));
    let chunk = PackedChunk::from_bytes(&first, &layout).unwrap();
    assert_eq!((terms.push(&chunk), sum.absorb_packed(&chunk)), (Ok(()), Ok(())));
    let before = sum.to_bytes();
    for (bytes, layout) in &refused {
        let chunk = PackedChunk::from_bytes(bytes, layout).unwrap();
        let error = sum.absorb_packed(&chunk).unwrap_err();
        assert_eq!(terms.push(&chunk), Err(error));
        assert!(terms.sum().to_bytes() == before);
    }
}
