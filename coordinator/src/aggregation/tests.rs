//! A round's sums on the processor, on a device, and on one that fails or is wrong in the middle of it.

use std::sync::{Arc, LazyLock};

use he_agg::aggregation::{
    AggregationSecret, Decryptor, EncryptRequest, Flooding, MaskKey, MemoryLedger, ReleaseLedger, VaultSecret,
    encrypt_chunk,
};
use he_agg::{Params, Preset, Stream};
use protocol::store::Journal;

use super::*;
use crate::compute::faulty::{Ear, Fault, FaultyHost};

static TOY: LazyLock<Params> = LazyLock::new(|| Params::toy(Preset::Agg13, 8));

const EPOCH: [u8; 32] = [0x5e; 32];
const MANIFEST: [u8; 32] = [0x3a; 32];
const CHUNKS: u32 = 6;

fn party(number: u16) -> PartyId {
    PartyId::new(number).unwrap()
}

fn vault(number: u16) -> VaultSecret {
    VaultSecret::from_bytes([number as u8; 32])
}

/// One attempt of a round: what four hospitals uploaded and what three of them released.
struct Uploaded {
    layout: LaneLayout,
    context: SumContext,
    uploads: Vec<(BlobId, Vec<u8>)>,
}

impl Uploaded {
    fn new() -> Self {
        let layout = LaneLayout::new(&TOY, 4, 3, 16, Flooding::secure(40, 1 << 14).unwrap()).unwrap();
        // The last chunk ends with its last value.
        let full = layout.values_per_chunk();
        let layout = layout.for_values((CHUNKS as usize - 1) * full + 40);
        let context = SumContext {
            epoch: Digest(EPOCH),
            round: RoundId(2),
            attempt: Attempt(1),
            cohort: (1..=4).map(party).collect(),
            decryptors: (1..=3).map(party).collect(),
            manifest: Digest(MANIFEST),
        };
        let mut stream = Stream::from_seed([9; 32]);
        let group = || MaskKey::from_bytes([0x77; 32]);
        let mut decryptors: Vec<Decryptor> =
            (1..=3).map(|j| Decryptor::new(layout.clone(), EPOCH, j, group(), vault(j)).unwrap()).collect();
        for (low, high) in [(1u16, 2u16), (1, 3), (2, 3)] {
            let key = stream.seed();
            decryptors[usize::from(low) - 1].insert_pair(high, MaskKey::from_bytes(key)).unwrap();
            decryptors[usize::from(high) - 1].insert_pair(low, MaskKey::from_bytes(key)).unwrap();
        }
        let mut uploads = Vec::new();
        let body = |kind, j, chunk| BlobId::round(kind, RoundId(2), Attempt(1), Some(party(j)), chunk);
        let id = |chunk| ChunkId { epoch: EPOCH, round: 2, attempt: 1, chunk };
        for sender in 1..=4 {
            let secret = AggregationSecret::from_seed(&TOY, EPOCH, stream.seed());
            for (decryptor, share) in decryptors.iter_mut().zip(secret.deal(&layout, sender).unwrap()) {
                decryptor.insert_share(share).unwrap();
            }
            let mut ledger = MemoryLedger::new(layout.flooding());
            for chunk in 0..CHUNKS {
                let values: Vec<i32> = (0..40).map(|_| (stream.next_u32() & 0xfff) as i32 - 0x800).collect();
                let request = EncryptRequest { layout: &layout, id: id(chunk), sender, weight: 3, values: &values };
                let permit = ledger.permit_encryption(&request).unwrap();
                let bytes = encrypt_chunk(permit, &request, &secret, &vault(sender), &group()).unwrap().to_bytes();
                uploads.push((body(BlobKind::UpdateChunk, sender, chunk), bytes));
            }
        }
        for (j, decryptor) in (1..).zip(&decryptors) {
            let mut ledger = MemoryLedger::new(layout.flooding());
            for chunk in 0..CHUNKS {
                let context = ShareContext::new(&layout, id(chunk), &[1, 2, 3, 4], &[1, 2, 3], MANIFEST).unwrap();
                let share = decryptor.share(ledger.permit_share(&context).unwrap(), &context).unwrap();
                uploads.push((body(BlobKind::Share, j, chunk), share.to_bytes()));
            }
        }
        Self { layout, context, uploads }
    }

    /// Everything in a new folder.
    fn stored(&self) -> (tempfile::TempDir, Bodies) {
        let folder = tempfile::tempdir().unwrap();
        let journal = Arc::new(Journal::open(&folder.path().join("journal.sqlite")).unwrap());
        let bodies = Bodies::open(&folder.path().join("spool"), journal).unwrap();
        for (id, bytes) in &self.uploads {
            bodies.put(id, bytes).unwrap();
        }
        (folder, bodies)
    }

    /// What an inspection of one hospital's bodies finds wrong.
    fn inspect(&self, kind: BlobKind, number: u16) -> Option<String> {
        let (_folder, bodies) = self.stored();
        let list = ListId { kind, round: 2, attempt: 1, party: Some(party(number)) };
        inspect(&bodies, &self.layout, &self.context, list, CHUNKS).err().map(|error| error.to_string())
    }

    fn body(&mut self, kind: BlobKind, number: u16, chunk: u32) -> &mut Vec<u8> {
        let id = BlobId::round(kind, RoundId(2), Attempt(1), Some(party(number)), chunk);
        &mut self.uploads.iter_mut().find(|(other, _)| *other == id).unwrap().1
    }

    /// Adds everything up in a new folder: digests, bytes moved, and the bodies as they are stored.
    fn combine(
        &self,
        compute: &Compute,
        ear: &Ear,
        chunks_per_group: u64,
    ) -> Result<(Combined, Vec<Bytes>), CoordinatorError> {
        let (_folder, bodies) = self.stored();
        let group_bytes = chunks_per_group * 5 * ChunkTerms::polynomial_bytes(&self.layout);
        let (layout, context) = (&self.layout, &self.context);
        let combination = Combination { bodies: &bodies, layout, context, compute, observer: ear, group_bytes };
        let combined = combination.all(CHUNKS)?;
        let sum = |chunk| bodies.get(&BlobId::round(BlobKind::SumChunk, RoundId(2), Attempt(1), None, chunk)).unwrap();
        Ok((combined, (0..CHUNKS).map(sum).collect()))
    }
}

#[test]
fn a_device_gives_the_processors_bytes_and_counts_its_own() {
    let round = Uploaded::new();
    let ear = Ear::default();
    let (expected, bodies) = round.combine(&Compute::cpu(), &ear, 1).unwrap();
    assert_eq!((expected.chunks.len(), expected.moved), (CHUNKS as usize, Moved::default()));
    let polynomial = ChunkTerms::polynomial_bytes(&round.layout);
    for chunks_per_group in [1, 4, 100] {
        let host = FaultyHost::new(Fault::None);
        let (found, again) = round.combine(&host.chosen(), &ear, chunks_per_group).unwrap();
        assert!(found.chunks == expected.chunks && again == bodies, "{chunks_per_group} chunks in a group");
        let chunks = u64::from(CHUNKS);
        assert_eq!(found.moved, Moved { to: chunks * 4 * polynomial, from: chunks * polynomial });
        let groups = host.downloads.load(std::sync::atomic::Ordering::Relaxed) as u64;
        assert_eq!(groups, chunks.div_ceil(chunks_per_group));
    }
    assert!(ear.given_up().is_empty());
}

#[test]
fn a_device_that_is_lost_in_the_middle_costs_one_warning_and_no_bit() {
    let round = Uploaded::new();
    let (expected, bodies) = round.combine(&Compute::cpu(), &Ear::default(), 1).unwrap();
    let faults = [(Fault::Lost(0), "unplugged"), (Fault::Lost(2), "unplugged"), (Fault::Full(1), "no room")];
    for (fault, why) in faults {
        let (host, ear) = (FaultyHost::new(fault), Ear::default());
        let compute = host.chosen();
        let (found, again) = round.combine(&compute, &ear, 2).unwrap();
        assert!(found.chunks == expected.chunks && again == bodies, "{fault:?}");
        let warnings = ear.given_up();
        assert!(warnings.len() == 1 && warnings[0].contains(why), "{warnings:?}");
        assert!(compute.given_up().is_some());
        // The next round does not try again.
        let tried = host.downloads.load(std::sync::atomic::Ordering::Relaxed);
        assert!(round.combine(&compute, &ear, 2).unwrap().0.chunks == expected.chunks);
        assert_eq!(host.downloads.load(std::sync::atomic::Ordering::Relaxed), tried);
        assert_eq!(ear.given_up().len(), 1);
    }
}

#[test]
fn a_device_that_is_wrong_is_found_out_and_its_group_is_summed_again() {
    let round = Uploaded::new();
    let (expected, bodies) = round.combine(&Compute::cpu(), &Ear::default(), 1).unwrap();
    // At least one chunk of a round is compared, wherever it is: here all are in one group.
    let (host, ear) = (FaultyHost::new(Fault::Wrong(0)), Ear::default());
    let compute = host.chosen();
    let (found, again) = round.combine(&compute, &ear, 100).unwrap();
    assert!(found.chunks == expected.chunks && again == bodies);
    let warnings = ear.given_up();
    assert!(
        warnings.len() == 1 && warnings[0].contains("of round 2, attempt 1, is not the processor's"),
        "{warnings:?}"
    );
    assert!(warnings[0].contains("its sum of chunk "), "{warnings:?}");
    assert!(compute.worker().is_none());
}

#[test]
fn a_device_changes_no_refusal() {
    let mut round = Uploaded::new();
    let chunk = |round: &Uploaded, j: u16, chunk| {
        let id = BlobId::round(BlobKind::UpdateChunk, RoundId(2), Attempt(1), Some(party(j)), chunk);
        round.uploads.iter().position(|(other, _)| *other == id).unwrap()
    };
    let place = chunk(&round, 3, 4);
    let good = round.uploads[place].1.clone();
    let (of_another_chunk, of_another_hospital) =
        (round.uploads[chunk(&round, 3, 5)].1.clone(), round.uploads[chunk(&round, 2, 4)].1.clone());
    for bad in [good[..good.len() - 1].to_vec(), Vec::new(), of_another_chunk, of_another_hospital] {
        round.uploads[place].1 = bad;
        let refusal = |compute: &Compute| {
            let ear = Ear::default();
            let text = round.combine(compute, &ear, 2).unwrap_err().to_string();
            assert!(ear.given_up().is_empty(), "a hospital's fault is none of the device's");
            text
        };
        let expected = refusal(&Compute::cpu());
        assert!(expected.contains("hospital-3"), "{expected}");
        assert_eq!(refusal(&FaultyHost::new(Fault::None).chosen()), expected);
    }
}

/// What an inspection lets pass can be added, so a sum fails for nobody's bodies any more.
#[test]
fn an_inspection_refuses_what_cannot_be_added_and_names_its_maker() {
    let round = Uploaded::new();
    for number in 1..=4 {
        assert_eq!(round.inspect(BlobKind::UpdateChunk, number), None);
    }
    for number in 1..=3 {
        assert_eq!(round.inspect(BlobKind::Share, number), None);
    }
    for kind in [BlobKind::UpdateChunk, BlobKind::Share] {
        let mut round = Uploaded::new();
        let good = round.body(kind, 3, 4).clone();
        let (of_another_chunk, of_another_hospital) = (round.body(kind, 3, 5).clone(), round.body(kind, 2, 4).clone());
        for bad in [good[..good.len() - 1].to_vec(), Vec::new(), of_another_chunk, of_another_hospital] {
            *round.body(kind, 3, 4) = bad;
            let found = round.inspect(kind, 3).expect("refused");
            assert!(found.contains("hospital-3"), "{found}");
            assert_eq!(round.inspect(kind, 2), None, "nobody else's");
        }
    }
}

/// The layout says how long each chunk is, not the hospital.
#[test]
fn a_last_chunk_of_another_length_is_refused_on_every_path() {
    let short = CHUNKS - 1;
    for kind in [BlobKind::UpdateChunk, BlobKind::Share] {
        let mut round = Uploaded::new();
        let good = round.body(kind, 3, short).clone();
        let mut full = round.body(kind, 3, 0).clone();
        assert_eq!((good.len(), full.len()), (round.layout.object_bytes(short), round.layout.object_bytes(0)));
        assert!(20 * good.len() < full.len());
        // The number of the chunk, in the header.
        full[24] = short as u8;
        let longer = [&good[..], &[0]].concat();
        for bad in [good[..good.len() - 1].to_vec(), longer, full] {
            let lengths = format!("{} bytes where {} were expected", bad.len(), good.len());
            *round.body(kind, 3, short) = bad;
            let found = round.inspect(kind, 3).expect("refused");
            assert!(found.contains("hospital-3") && found.contains(&lengths), "{found}");
            for compute in [Compute::cpu(), FaultyHost::new(Fault::None).chosen()] {
                let refused = round.combine(&compute, &Ear::default(), 2).unwrap_err().to_string();
                assert_eq!(refused, found);
            }
        }
    }
}

#[test]
fn an_inspection_refuses_what_is_bound_to_another_context() {
    let round = Uploaded::new();
    let (_folder, bodies) = round.stored();
    let list = |kind| ListId { kind, round: 2, attempt: 1, party: Some(party(1)) };
    let refused = |change: &dyn Fn(&mut SumContext), kind| {
        let mut context = round.context.clone();
        change(&mut context);
        inspect(&bodies, &round.layout, &context, list(kind), CHUNKS).is_err()
    };
    assert!(!refused(&|_| {}, BlobKind::Share) && !refused(&|_| {}, BlobKind::UpdateChunk));
    assert!(refused(&|context| context.epoch = Digest([1; 32]), BlobKind::UpdateChunk));
    assert!(refused(&|context| context.manifest = Digest([1; 32]), BlobKind::Share));
    assert!(refused(&|context| context.cohort = (1..=3).map(party).collect(), BlobKind::Share));
    assert!(refused(&|context| context.decryptors = [1, 2, 4].map(party).into_iter().collect(), BlobKind::Share));
}
