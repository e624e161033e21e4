//! Five hospitals, one of which disappears: the others' sum is decrypted by any four of them, and
//! the coordinator that adds the ciphertexts reads nothing.
//!
//! `cargo run --release -p he-agg --example encrypted_sum_with_a_drop_out`
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use he_agg::aggregation::*;
use he_agg::{Preset, Stream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Four of five hospitals decrypt. Updates have two values, and chunks are no longer than they need.
    let layout = LaneLayout::standard(Preset::Agg13, 5)?.for_values(2);
    let mut stream = Stream::from_os()?;
    let (epoch, group) = (stream.seed(), stream.seed());

    // Key ceremony. Secrets and pair keys travel sealed from hospital to hospital.
    let parties: Vec<u16> = (1..=5).collect();
    let mut decryptors = Vec::new();
    for &j in &parties {
        decryptors.push(Decryptor::new(
            layout.clone(),
            epoch,
            j,
            MaskKey::from_bytes(group),
            VaultSecret::generate()?,
        )?);
    }
    for (a, b) in parties.iter().flat_map(|&a| (a + 1..=5).map(move |b| (a, b))) {
        let (low, high) = (stream.seed(), stream.seed());
        for (own, peer) in [(a, b), (b, a)] {
            decryptors[usize::from(own) - 1].insert_pair(peer, MaskKey::pair(&epoch, (a, &low), (b, &high)))?;
        }
    }
    let mut secrets = Vec::new();
    for &i in &parties {
        let secret = AggregationSecret::from_seed(layout.params(), epoch, stream.seed());
        for (decryptor, share) in decryptors.iter_mut().zip(secret.deal(&layout, i)?) {
            decryptor.insert_share(share)?;
        }
        secrets.push(secret);
    }

    // The round: hospital 3 is gone before its update arrives.
    let id = ChunkId { epoch, round: 1, attempt: 0, chunk: 0 };
    let quantiser = Quantiser::new(&layout, 1.0)?;
    let mut ledgers: Vec<_> = parties.iter().map(|_| MemoryLedger::new(layout.flooding())).collect();
    let mut sum = ChunkSum::new(&layout, id);
    for &party in parties.iter().filter(|&&party| party != 3) {
        let place = usize::from(party) - 1;
        let weight = Quantiser::weight(&layout, u32::from(party), 5)?;
        let values = quantiser.quantise(&[0.1 * f32::from(party), -0.5], weight, &mut stream)?;
        let request = EncryptRequest { layout: &layout, id, sender: party, weight, values: &values };
        let permit = ledgers[place].permit_encryption(&request)?;
        let (vault, group) = (VaultSecret::generate()?, MaskKey::from_bytes(group));
        let chunk = encrypt_chunk(permit, &request, &secrets[place], &vault, &group)?;
        sum.absorb(&UpdateChunk::from_bytes(&chunk.to_bytes(), &layout)?)?;
    }

    // Hospitals 1, 2, 4, 5 decrypt what hospitals 1, 2, 4, 5 sent.
    let context = ShareContext::new(&layout, id, sum.contributors(), &[1, 2, 4, 5], [0; 32])?;
    let mut shares = Vec::new();
    for place in context.decryptors().iter().map(|&j| usize::from(j) - 1) {
        let permit = ledgers[place].permit_share(&context)?;
        shares.push(decryptors[place].share(permit, &context)?);
    }
    let blinded = BlindedSum::combine(&layout, &context, &sum, &shares)?;
    let opened = open(&layout, &context, &MaskKey::from_bytes(group), &blinded)?;
    let mean = quantiser.dequantise(&opened.values[..2], opened.weight_sum)?;

    // (1 x 0.1 + 2 x 0.2 + 4 x 0.4 + 5 x 0.5) / 12 and -0.5.
    println!("contributors {:?}: weighted means {:.4} and {:.4}", opened.contributors, mean[0], mean[1]);
    assert!((mean[0] - 4.6 / 12.0).abs() < 1e-3 && (mean[1] + 0.5).abs() < 1e-3);
    Ok(())
}
