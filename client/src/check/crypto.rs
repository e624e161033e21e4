//! A whole encrypted sum on this machine, with keys that exist for it alone: three parties encrypt integers, add them
//! and decrypt the sum, which has to be equal. A processor that computes wrongly shows here and not in a round.

use he_agg::aggregation::{
    AggregationSecret, BlindedSum, ChunkId, ChunkSum, DecodedChunk, Decryptor, EncryptRequest, LaneLayout, MaskKey,
    MemoryLedger, ReleaseLedger, ShareContext, UpdateChunk, VaultSecret, encrypt_chunk, open,
};
use he_agg::simd::Isa;
use he_agg::{Preset, Stream};
use remedy::Exit;

use super::finding::Finding;

const PARTIES: [u16; 3] = [1, 2, 3];
const WEIGHT: u32 = 1;
const REMEDY: &str = "take part from another machine: this one's processor or memory computes wrongly, or the program \
                      is damaged; install it again and run a memory test";

/// A step that was refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step}: {found}")]
struct Refused {
    step: &'static str,
    found: String,
}

/// Names the step that an error came from.
trait During<T> {
    fn during(self, step: &'static str) -> Result<T, Refused>;
}

impl<T, E: std::fmt::Display> During<T> for Result<T, E> {
    fn during(self, step: &'static str) -> Result<T, Refused> {
        self.map_err(|error| Refused { step, found: error.to_string() })
    }
}

/// Adds up and compares.
pub(super) fn crypto() -> Finding {
    let expected = |count: usize| (0..count).map(|at| PARTIES.iter().map(|party| value(*party, at)).sum());
    match summed() {
        Ok(opened) => compared(&expected(opened.values.len()).collect::<Vec<i64>>(), &opened.values),
        Err(error) => Finding::failed(error.to_string(), REMEDY, Exit::Verification),
    }
}

fn compared(expected: &[i64], found: &[i64]) -> Finding {
    let wrong = expected.iter().zip(found).filter(|(expected, found)| expected != found).count();
    let (count, isa) = (found.len(), Isa::detect());
    if wrong == 0 && expected.len() == count && count > 0 {
        return Finding::passed(format!("{count} encrypted integers of 3 parties added exactly ({isa})"));
    }
    let found = format!("{wrong} of {count} encrypted sums are wrong ({isa})");
    Finding::failed(found, REMEDY, Exit::Verification)
}

/// What a party adds at a place: all of 16 bits, both signs.
fn value(party: u16, at: usize) -> i64 {
    let mixed = (at as u64 ^ (u64::from(party) << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> 32) % 65_535) as i64 - 32_767
}

/// The sum of all parties' values, through encryption, wire format, decryption shares and opening.
fn summed() -> Result<DecodedChunk, Refused> {
    let layout = LaneLayout::standard(Preset::Agg13, 3).during("lay out a chunk")?.with_three_contributors();
    let mut stream = Stream::from_os().during("draw randomness")?;
    let (epoch, group) = (stream.seed(), stream.seed());
    let id = ChunkId { epoch, round: 1, attempt: 0, chunk: 0 };
    let (secrets, decryptors) = ceremony(&layout, epoch, group, &mut stream)?;
    let mut ledgers = PARTIES.map(|_| MemoryLedger::new(layout.flooding()));
    let mut sum = ChunkSum::new(&layout, id);
    for ((party, secret), ledger) in PARTIES.iter().zip(&secrets).zip(&mut ledgers) {
        let values: Vec<i32> = (0..layout.values_per_chunk()).map(|at| value(*party, at) as i32).collect();
        let request = EncryptRequest { layout: &layout, id, sender: *party, weight: WEIGHT, values: &values };
        let permit = ledger.permit_encryption(&request).during("permit an encryption")?;
        let vault = VaultSecret::generate().during("draw a secret")?;
        let chunk = encrypt_chunk(permit, &request, secret, &vault, &MaskKey::from_bytes(group)).during("encrypt")?;
        let read = UpdateChunk::from_bytes(&chunk.to_bytes(), &layout).during("read a ciphertext")?;
        sum.absorb(&read).during("add a ciphertext")?;
    }
    let context = ShareContext::new(&layout, id, sum.contributors(), &PARTIES, [0; 32]).during("choose decryptors")?;
    let mut shares = Vec::new();
    for (decryptor, ledger) in decryptors.iter().zip(&mut ledgers) {
        let permit = ledger.permit_share(&context).during("permit a share")?;
        shares.push(decryptor.share(permit, &context).during("make a share")?);
    }
    let blinded = BlindedSum::combine(&layout, &context, &sum, &shares).during("add the shares")?;
    open(&layout, &context, &MaskKey::from_bytes(group), &blinded).during("open the sum")
}

/// Keys of all parties, dealt as between hospitals.
fn ceremony(
    layout: &LaneLayout,
    epoch: [u8; 32],
    group: [u8; 32],
    stream: &mut Stream,
) -> Result<(Vec<AggregationSecret>, Vec<Decryptor>), Refused> {
    let mut decryptors = Vec::new();
    for party in PARTIES {
        let vault = VaultSecret::generate().during("draw a secret")?;
        let key = MaskKey::from_bytes(group);
        decryptors.push(Decryptor::new(layout.clone(), epoch, party, key, vault).during("make a decryptor")?);
    }
    for (a, b) in [(1, 2), (1, 3), (2, 3)] {
        let (low, high) = (stream.seed(), stream.seed());
        for (own, peer) in [(a, b), (b, a)] {
            let pair = MaskKey::pair(&epoch, (a, &low), (b, &high));
            decryptors[usize::from(own) - 1].insert_pair(peer, pair).during("share a mask")?;
        }
    }
    let mut secrets = Vec::new();
    for party in PARTIES {
        let secret = AggregationSecret::from_seed(layout.params(), epoch, stream.seed());
        for (decryptor, share) in decryptors.iter_mut().zip(secret.deal(layout, party).during("deal a secret")?) {
            decryptor.insert_share(share).during("take a share")?;
        }
        secrets.push(secret);
    }
    Ok((secrets, decryptors))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Grade;
    use super::*;

    #[test]
    fn three_parties_add_exactly() {
        let opened = summed().unwrap();
        assert_eq!(opened.contributors, PARTIES);
        assert!(opened.values.len() > 10_000 && opened.values.iter().any(|sum| *sum < 0));
        let finding = crypto();
        assert_eq!(finding.grade, Grade::Passed, "{finding:?}");
    }

    #[test]
    fn one_wrong_or_missing_sum_fails() {
        let right = [3, -4, 5];
        assert_eq!(compared(&right, &right).grade, Grade::Passed);
        for wrong in [&[3, -4, 6][..], &[3, -4], &[]] {
            let finding = compared(&right, wrong);
            assert_eq!((finding.grade, finding.exit), (Grade::Failed, Exit::Verification), "{wrong:?}");
        }
    }

    #[test]
    fn parties_add_values_that_differ_and_fill_their_lanes() {
        let all: Vec<i64> = (0..5_000).map(|at| value(1, at)).collect();
        assert!(all.iter().all(|value| value.unsigned_abs() <= 32_767));
        assert!(all.iter().any(|value| *value > 32_000) && all.iter().any(|value| *value < -32_000));
        let same = (0..5_000).filter(|at| value(1, *at) == value(2, *at)).count();
        assert!(same < 10, "{same}");
    }
}
