//! One chunk of a training round of ten hospitals, stage by stage, for development.
//!
//! Threads are rayon's: `RAYON_NUM_THREADS=1 cargo bench -p he-agg --bench aggregation`
#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]
#![expect(missing_docs, reason = "the macro makes a public function")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use he_agg::aggregation::*;
use he_agg::{Preset, Stream};

const HOSPITALS: u16 = 10;

fn vault(party: u16) -> VaultSecret {
    VaultSecret::from_bytes([party as u8; 32])
}

fn round(criterion: &mut Criterion) {
    let layout = LaneLayout::standard(Preset::Agg13, HOSPITALS).unwrap();
    let (epoch, group_key) = ([7; 32], || MaskKey::from_bytes([9; 32]));
    let threshold = layout.threshold();
    let mut decryptors: Vec<Decryptor> =
        (1..=threshold).map(|j| Decryptor::new(layout.clone(), epoch, j, group_key(), vault(j)).unwrap()).collect();
    for (j, decryptor) in (1..).zip(&mut decryptors) {
        for k in (1..=threshold).filter(|&k| k != j) {
            let key = MaskKey::from_bytes([16 * j.min(k) as u8 + j.max(k) as u8; 32]);
            decryptor.insert_pair(k, key).unwrap();
        }
    }
    let id = ChunkId { epoch, round: 1, attempt: 0, chunk: 0 };
    let quantiser = Quantiser::new(&layout, 0.1).unwrap();
    let update: Vec<f32> = (0..layout.values_per_chunk()).map(|i| (i % 2001) as f32 * 1e-4 - 0.1).collect();
    let mut ledgers: Vec<MemoryLedger> = (0..HOSPITALS).map(|_| MemoryLedger::new(layout.flooding())).collect();
    let mut encrypted = Vec::new();
    let mut group = criterion.benchmark_group("AGG13 chunk of 10 hospitals");
    group.throughput(Throughput::Elements(update.len() as u64));
    for party in 1..=HOSPITALS {
        let secret = AggregationSecret::from_seed(layout.params(), epoch, [100 + party as u8; 32]);
        for (decryptor, share) in decryptors.iter_mut().zip(secret.deal(&layout, party).unwrap()) {
            decryptor.insert_share(share).unwrap();
        }
        let quantise = || quantiser.quantise(&update, 65_535, &mut Stream::from_seed([party as u8; 32])).unwrap();
        let values = quantise();
        let request = EncryptRequest { layout: &layout, id, sender: party, weight: 65_535, values: &values };
        let ledger = &mut ledgers[usize::from(party) - 1];
        let mut encrypt = || {
            let permit = ledger.permit_encryption(&request).unwrap();
            encrypt_chunk(permit, &request, &secret, &vault(party), &group_key()).unwrap().to_bytes()
        };
        encrypted.push(encrypt());
        if party == 1 {
            group.bench_function("quantise", |b| b.iter(quantise));
            group.bench_function("encrypt", |b| b.iter(&mut encrypt));
        }
    }
    let add = || {
        let mut sum = ChunkSum::new(&layout, id);
        for bytes in &encrypted {
            sum.absorb_bytes(bytes, &layout).unwrap();
        }
        sum
    };
    group.bench_function("add", |b| b.iter(add));

    let sum = add();
    let everybody: Vec<u16> = (1..=threshold).collect();
    let context = ShareContext::new(&layout, id, sum.contributors(), &everybody, [0; 32]).unwrap();
    let shares: Vec<Vec<u8>> = decryptors
        .iter()
        .zip(&mut ledgers)
        .map(|(decryptor, ledger)| {
            let permit = ledger.permit_share(&context).unwrap();
            decryptor.share(permit, &context).unwrap().to_bytes()
        })
        .collect();
    group.bench_function("share", |b| {
        b.iter(|| decryptors[0].share(ledgers[0].permit_share(&context).unwrap(), &context).unwrap().to_bytes());
    });
    let combine = || {
        let read = |bytes: &Vec<u8>| DecryptionShare::from_bytes(bytes, &layout, &context).unwrap();
        let shares: Vec<_> = shares.iter().map(read).collect();
        BlindedSum::combine(&layout, &context, &sum, &shares).unwrap().to_bytes()
    };
    group.bench_function("combine", |b| b.iter(combine));
    let bytes = combine();
    group.bench_function("open", |b| {
        b.iter(|| {
            let blinded = BlindedSum::from_bytes(&bytes, &layout, &context).unwrap();
            open(&layout, &context, &group_key(), &blinded).unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, round);
criterion_main!(benches);
