//! Hospitals of one round of mode A in one place, to look at what comes out of it.

use he_agg::Stream;
use he_agg::aggregation::{
    AggregationSecret, BlindedSum, ChunkId, ChunkSum, DecryptionShare, Decryptor, EncryptRequest, LaneLayout, MaskKey,
    MemoryLedger, ReleaseLedger, ShareContext, VaultSecret, encrypt_chunk, open,
};

const EPOCH: [u8; 32] = [0x65; 32];
const MANIFEST: [u8; 32] = [0x6d; 32];

struct Hospital {
    number: u16,
    secret: AggregationSecret,
    decryptor: Decryptor,
    ledger: MemoryLedger,
}

/// All hospitals of an epoch after its key ceremony.
pub(crate) struct Hospitals {
    layout: LaneLayout,
    hospitals: Vec<Hospital>,
}

fn group() -> MaskKey {
    MaskKey::from_bytes([0x67; 32])
}

fn vault(number: u16) -> VaultSecret {
    VaultSecret::from_bytes([number as u8; 32])
}

fn pair(one: u16, other: u16) -> MaskKey {
    MaskKey::pair(&EPOCH, (one, &[one as u8; 32]), (other, &[other as u8; 32]))
}

impl Hospitals {
    pub(crate) fn new(layout: LaneLayout) -> Self {
        let (numbers, mut stream) = (1..=layout.parties(), Stream::from_seed([1; 32]));
        let one = |number| Hospital {
            number,
            secret: AggregationSecret::generate(layout.params(), EPOCH, &mut stream),
            decryptor: Decryptor::new(layout.clone(), EPOCH, number, group(), vault(number)).unwrap(),
            ledger: MemoryLedger::new(layout.flooding()),
        };
        let mut hospitals: Vec<_> = numbers.clone().map(one).collect();
        for dealer in numbers.clone() {
            let shares = hospitals[usize::from(dealer) - 1].secret.deal(&layout, dealer).unwrap();
            for (hospital, share) in hospitals.iter_mut().zip(shares) {
                hospital.decryptor.insert_share(share).unwrap();
                if hospital.number != dealer {
                    hospital.decryptor.insert_pair(dealer, pair(hospital.number, dealer)).unwrap();
                }
            }
        }
        Self { layout, hospitals }
    }

    /// Sums of the integers of all hospitals, as each of them reads the round.
    pub(crate) fn sum(&mut self, integers: &[Vec<i32>]) -> Vec<i64> {
        let values = integers[0].len();
        let mut sums: Vec<i64> = Vec::new();
        for chunk in 0..self.layout.chunks(values) {
            let from = chunk * self.layout.values_per_chunk();
            let to = values.min(from + self.layout.values_per_chunk());
            let own: Vec<&[i32]> = integers.iter().map(|own| &own[from..to]).collect();
            sums.extend(self.sum_chunk(chunk as u32, &own));
        }
        // A chunk ends with a whole coefficient.
        sums.truncate(values);
        sums
    }

    fn sum_chunk(&mut self, chunk: u32, integers: &[&[i32]]) -> Vec<i64> {
        let layout = &self.layout;
        let id = ChunkId { epoch: EPOCH, round: 1, attempt: 0, chunk };
        let mut sum = ChunkSum::new(layout, id);
        for (hospital, &values) in self.hospitals.iter_mut().zip(integers) {
            let request = EncryptRequest { layout, id, sender: hospital.number, weight: 1, values };
            let permit = hospital.ledger.permit_encryption(&request).unwrap();
            let sent = encrypt_chunk(permit, &request, &hospital.secret, &vault(hospital.number), &group()).unwrap();
            sum.absorb_bytes(&sent.to_bytes(), layout).unwrap();
        }
        let everybody: Vec<u16> = (1..=layout.parties()).collect();
        let (decryptors, _) = everybody.split_at(usize::from(layout.threshold()));
        let context = ShareContext::new(layout, id, &everybody, decryptors, MANIFEST).unwrap();
        let share = |hospital: &mut Hospital| {
            let permit = hospital.ledger.permit_share(&context).unwrap();
            let sent = hospital.decryptor.share(permit, &context).unwrap().to_bytes();
            DecryptionShare::from_bytes(&sent, layout, &context).unwrap()
        };
        let shares: Vec<_> = self.hospitals.iter_mut().take(decryptors.len()).map(share).collect();
        let result = BlindedSum::combine(layout, &context, &sum, &shares).unwrap().to_bytes();
        let blinded = BlindedSum::from_bytes(&result, layout, &context).unwrap();
        let opened = open(layout, &context, &group(), &blinded).unwrap();
        opened.weighing(u64::from(layout.parties())).unwrap().values
    }
}
