//! Sums from packed bytes, shares from kept points and permits for copies give
//! what the plain way gives.

use super::*;
use crate::wire;

#[test]
fn a_sum_of_packed_bytes_equals_the_sum_of_polynomials() {
    for params in [&TOY13, &TOY14] {
        let mut epoch = Epoch::new(params, 5, 4, 16, Values::Random);
        let id = epoch.id(0);
        let (mut polynomials, mut packed) = (ChunkSum::new(&epoch.layout, id), ChunkSum::new(&epoch.layout, id));
        for party in [4, 1, 5, 2] {
            let bytes = epoch.encrypt(party, id).to_bytes();
            polynomials.absorb(&UpdateChunk::from_bytes(&bytes, &epoch.layout).unwrap()).unwrap();
            assert_eq!(packed.absorb_bytes(&bytes, &epoch.layout), Ok(party));
            assert_eq!(packed.to_bytes(), polynomials.to_bytes());
        }
        assert_eq!(packed.contributors(), [1, 2, 4, 5]);
        assert_eq!(packed.identity(), wire::identity(&polynomials.to_bytes()));
    }
}

/// The bytes with residue `at` of limb `limb` replaced.
fn with_residue(bytes: &[u8], params: &Params, limb: usize, at: usize, value: u32) -> Vec<u8> {
    let per_limb = wire::packed_len(params.n);
    let from = wire::HEADER_BYTES + limb * per_limb;
    let mut residues = vec![0; params.n];
    wire::unpack(&bytes[from..from + per_limb], &mut residues).unwrap();
    residues[at] = value;
    let mut packed = Vec::new();
    wire::pack(&residues, &mut packed);
    [&bytes[..from], &packed, &bytes[from + per_limb..]].concat()
}

#[test]
fn refused_bytes_leave_the_sum_as_it_was() {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let (id, layout) = (epoch.id(0), epoch.layout.clone());
    let good = epoch.encrypt(2, id).to_bytes();
    let mut bad = vec![good[..good.len() - 1].to_vec(), good[..71].to_vec(), [&good[..], &[0]].concat(), Vec::new()];
    for limb in 0..TOY13.q.len() {
        let q = TOY13.q[limb].modulus().value();
        for at in [0, 1, 130, 254, 255] {
            bad.extend([q, (1 << 30) - 1].map(|value| with_residue(&good, &TOY13, limb, at, value)));
        }
        // The largest residue is fine: what differs is refused for another reason, or not at all.
        let edge = with_residue(&good, &TOY13, limb, 255, q - 1);
        assert!(PackedChunk::from_bytes(&edge, &layout).is_ok());
    }
    for (offset, value) in
        [(0, b'x'), (4, 2), (5, 3), (6, 2), (7, 1), (8, 6), (9, 1), (10, 2), (12, 0), (12, 6), (39, 64)]
    {
        let mut bytes = good.clone();
        bytes[offset] = value;
        bad.push(bytes);
    }
    let mut sum = ChunkSum::new(&layout, id);
    sum.absorb_bytes(&epoch.encrypt(1, id).to_bytes(), &layout).unwrap();
    let before = sum.to_bytes();
    for bytes in bad {
        let expected = UpdateChunk::from_bytes(&bytes, &layout).map(drop).unwrap_err();
        assert_eq!(sum.absorb_bytes(&bytes, &layout), Err(expected));
        assert_eq!((sum.to_bytes() == before, sum.contributors()), (true, &[1][..]));
    }
    // Whole, but not for this sum.
    let elsewhere = epoch.encrypt(2, epoch.id(1)).to_bytes();
    let again = epoch.encrypt(1, id).to_bytes();
    assert!(matches!(sum.absorb_bytes(&elsewhere, &layout), Err(AggregationError::ForeignObject { chunk: 1, .. })));
    let duplicate = AggregationError::Duplicate { object: "update chunk", party: 1 };
    assert_eq!(sum.absorb_bytes(&again, &layout), Err(duplicate));
    assert!(sum.to_bytes() == before);
    assert_eq!(sum.absorb_bytes(&good, &layout), Ok(2));
}

#[test]
fn a_share_does_not_depend_on_what_was_shared_before() {
    let sets: [(&[u16], &[u16]); 4] = [
        (&[1, 2, 3, 4], &[1, 2, 3, 4]),
        (&[1, 2, 3, 4, 5], &[1, 2, 3, 4]),
        (&[1, 2, 3, 4, 5], &[1, 3, 4, 5]),
        (&[1, 2, 3, 5], &[1, 2, 3, 4]),
    ];
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    // In one row, where the joint point of the set before is at hand; each twice, over two chunks.
    let row: Vec<_> = (0..8u32).map(|i| (i, sets[i as usize / 2])).chain([(8, sets[0])]).collect();
    for (chunk, (s, t)) in row {
        let context = epoch.context(epoch.id(chunk), s, t);
        let mut fresh = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
        assert_eq!(epoch.share(1, &context).to_bytes(), fresh.share(1, &context).to_bytes(), "chunk {chunk}");
    }
}

#[test]
fn a_permit_serves_a_copy_of_its_integers_and_nothing_else() {
    let epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let h = &epoch.hospitals[0];
    let id = epoch.id(0);
    let request = EncryptRequest { layout: &epoch.layout, id, sender: 1, weight: h.weight, values: &h.values };
    let encrypt = |asked: &EncryptRequest<'_>| {
        let permit = MemoryLedger::new(epoch.layout.flooding()).permit_encryption(&request).unwrap();
        encrypt_chunk(permit, asked, &h.secret, &vault(1), &group_key()).map(|chunk| chunk.to_bytes())
    };
    let expected = encrypt(&request).unwrap();
    let (layout, values) = (epoch.layout.clone(), h.values.clone());
    assert_eq!(encrypt(&EncryptRequest { layout: &layout, values: &values, ..request }), Ok(expected));
    let foreign = Err(AggregationError::ForeignPermit);
    // A part of the same memory, and each other field.
    assert_eq!(encrypt(&EncryptRequest { values: &h.values[..h.values.len() - 1], ..request }), foreign);
    assert_eq!(encrypt(&EncryptRequest { id: epoch.id(1), ..request }), foreign);
    assert_eq!(encrypt(&EncryptRequest { sender: 2, ..request }), foreign);
    assert_eq!(encrypt(&EncryptRequest { weight: h.weight ^ 1, ..request }), foreign);
    let other = LaneLayout::new(&TOY13, 5, 3, 16, layout.flooding()).unwrap();
    assert_eq!(encrypt(&EncryptRequest { layout: &other, ..request }), foreign);
}

#[test]
fn digests_tell_narrow_integers_from_wide_ones() {
    let epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Max);
    let request = |values| EncryptRequest { layout: &epoch.layout, id: epoch.id(0), sender: 1, weight: 1, values };
    // As bytes of either width some of these would coincide.
    let lists: [&[i32]; 8] =
        [&[], &[0], &[0, 0], &[0x1_0000], &[0, 1], &[32_767, -32_768], &[-32_768, 32_768], &[0x7fff_8000]];
    let digests: std::collections::BTreeSet<_> = lists.iter().map(|values| request(values).digest()).collect();
    assert_eq!(digests.len(), lists.len());
}
