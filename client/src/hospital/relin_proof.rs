//! This hospital's proof that its relinearisation shares are made of short secrets, and its look at the others'.
//!
//! Whoever adds a constant to its share of the first round makes everybody add up a key that holds the collective
//! secret times that constant. So all are bound to masks and to a coin of their own, all coins together say which masks
//! are opened, and nobody takes a key whose makers' openings it, or its draw of them, did not check.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use he_agg::multiparty::{
    Crs, R1, R2, RELIN_REPETITIONS, RELIN_SETS, RelinChallenge, RelinCommitment, RelinIntermediate, RelinKeyShare,
    RelinProofError, RelinProver, RelinStatement, RelinWitness,
};
use protocol::Reject;
use protocol::blob::{BlobKind, ListId};
use protocol::ids::{Digest, PartyId};
use protocol::limits::RELIN_ANSWERS;
use protocol::message::{Key, KeySet};

use super::error::{HospitalError, Step};
use super::observer::Activity;
use super::site::Site;

const _: () = assert!(RELIN_ANSWERS as usize == RELIN_REPETITIONS, "the protocol bounds what the library makes");

const STEP: &str = "proving relinearisation shares";

/// What one hospital is bound to before anybody knows a coin: digests of its masks, then 32 bytes of its coin.
pub(super) struct Masks {
    commitment: RelinCommitment,
    coin: [u8; 32],
}

impl Masks {
    fn to_bytes(&self) -> Vec<u8> {
        [self.commitment.to_bytes(), self.coin.to_vec()].concat()
    }

    /// Reads a hospital's masks, or says why they are none.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let (commitment, coin) = bytes.split_last_chunk::<32>().ok_or("it is too short")?;
        let commitment = RelinCommitment::from_bytes(commitment).map_err(|error| error.to_string())?;
        Ok(Self { commitment, coin: *coin })
    }
}

/// Where all hospitals' masks are held until the keys are made, in order of hospital.
pub(super) fn masks(set: KeySet) -> ListId {
    set.list(BlobKind::RelinMasks)
}

/// A hospital's shares of both rounds.
type Shares = (RelinKeyShare<R1>, RelinKeyShare<R2>);

impl Site {
    /// What this hospital is bound to: follows from the ceremony's secret and the sums of round one, like the shares.
    ///
    /// # Errors
    /// [`HospitalError::NoKeys`] before the sums of round one were added here.
    pub(super) fn relin_masks(&self, set: KeySet) -> Result<Vec<u8>, HospitalError> {
        let ((first, second), witness, sums, input) = self.own_shares(set)?;
        let ceremony = &self.dealt(STEP)?.of(set, STEP)?.ceremony;
        let statement = RelinStatement::new(ceremony.crs(), &first, &second, sums).step(STEP)?;
        let seed = ceremony.bytes("relinearisation, masks", &input.0);
        let tells = self.telling(|done, of| Activity::Keys { done, of }, RELIN_SETS * RELIN_REPETITIONS);
        let commitment = RelinProver::new(&statement, witness, &seed).commitment_telling(&tells);
        Ok(Masks { commitment, coin: *ceremony.bytes("relinearisation, coin", &input.0) }.to_bytes())
    }

    /// Opens what the coins of all ask for, one opening after the other, and stores them to be sent; says how many.
    /// For one list of masks and coins, ever: it is on record, and another is refused.
    ///
    /// # Errors
    /// [`HospitalError::MasksOverflow`], [`HospitalError::NoKeys`] before the masks of all are on record here.
    pub(super) fn relin_answers(&self, set: KeySet) -> Result<u32, HospitalError> {
        let ((first, second), witness, sums, input) = self.own_shares(set)?;
        let (challenge, _) = self.relin_challenge(set)?;
        let ceremony = &self.dealt(STEP)?.of(set, STEP)?.ceremony;
        let statement = RelinStatement::new(ceremony.crs(), &first, &second, sums).step(STEP)?;
        let seed = ceremony.bytes("relinearisation, masks", &input.0);
        let answers = match RelinProver::new(&statement, witness, &seed).answers(&challenge) {
            Err(RelinProofError::Overflow) => return Err(HospitalError::MasksOverflow),
            answers => answers.step(STEP)?,
        };
        let mut count = 0;
        for answer in answers.iter() {
            let (party, of) = (self.plan.party, RELIN_REPETITIONS);
            self.observer.activity(party, Activity::Keys { done: count as usize, of });
            let place = ListId { party: Some(party), ..set.list(BlobKind::RelinAnswer) };
            self.outbox.put(place.body(count), answer.to_bytes())?;
            count += 1;
        }
        Ok(count)
    }

    /// Whether another hospital's openings prove its shares of both rounds; the refusal where they do not.
    ///
    /// # Errors
    /// [`HospitalError`] where this site itself fails.
    pub(super) fn check_proof(
        &self,
        (set, of): (KeySet, PartyId),
        shares: [&[u8]; 2],
        answers: &[Bytes],
    ) -> Result<Option<Reject>, HospitalError> {
        let (sums, _) = self.sums.of_round_one(set).ok_or(HospitalError::NoKeys { step: STEP })?;
        let (challenge, all) = self.relin_challenge(set)?;
        let masks = all.get(usize::from(of.number()) - 1).ok_or(HospitalError::NoKeys { step: STEP })?;
        let tells = self.telling(|done, of| Activity::Verifying { done, of }, RELIN_REPETITIONS);
        let crs = self.crs_of(set, STEP)?;
        let checked = read_shares(of, shares, crs).and_then(|shares| {
            let opened = check_answers(&shares, (crs, sums), (&masks.commitment, &challenge), (answers, &tells));
            opened.map_err(|error| (Reject::RelinProofWrong, error.to_string()))
        });
        let Err((reject, why)) = checked else { return Ok(None) };
        self.observer.refused(self.plan.party, &format!("{of} does not prove its relinearisation shares: {why}"));
        Ok(Some(reject))
    }

    /// Says with every piece that is done how far it is: what takes seconds in one call is no standstill.
    pub(super) fn telling(&self, says: impl Fn(usize, usize) -> Activity + Sync, of: usize) -> impl Fn() + Sync {
        let done = AtomicUsize::new(0);
        move || self.observer.activity(self.plan.party, says(done.fetch_add(1, Ordering::Relaxed) + 1, of))
    }

    /// The coins of all, from the masks on record.
    fn relin_challenge(&self, set: KeySet) -> Result<(RelinChallenge, Vec<Masks>), HospitalError> {
        let digests = self.holdings.digests(masks(set))?;
        self.is_noted((set, Key::RelinMasks), masks_digest(&digests))?;
        let mut bytes = self.crs_of(set, STEP)?.epoch().to_vec();
        let mut all = Vec::new();
        for digest in digests {
            let body = self.holdings.read(digest)?;
            bytes.extend_from_slice(&body);
            all.push(Masks::from_bytes(&body).map_err(|_| HospitalError::NoKeys { step: STEP })?);
        }
        let challenge = Digest::of("consilium relinearisation coins v1", &Digest::of_bytes(&bytes));
        Ok((RelinChallenge::from_digest(&challenge.0), all))
    }

    /// Own shares made again, with what they are made of, and the sums of round one with their digest.
    fn own_shares(&self, set: KeySet) -> Result<(Shares, RelinWitness, &RelinIntermediate, Digest), HospitalError> {
        let (sums, input) = self.sums.of_round_one(set).ok_or(HospitalError::NoKeys { step: STEP })?;
        let (first, mask) = self.relin_round_one(set, STEP)?;
        let dealt = self.dealt(STEP)?.of(set, STEP)?;
        let mut stream = dealt.ceremony.stream("relinearisation, round two", &input.0);
        let second = RelinKeyShare::<R2>::generate_with_witness(&dealt.secret, mask, sums, &mut stream);
        let (second, witness) = second.step(STEP)?;
        Ok(((first, second), witness, sums, input))
    }
}

/// By which the masks of all are on record.
pub(super) fn masks_digest(digests: &[Digest]) -> Digest {
    Digest::of("consilium relinearisation masks v1", &digests.to_vec())
}

fn read_shares(of: PartyId, [first, second]: [&[u8]; 2], crs: &Crs) -> Result<Shares, (Reject, String)> {
    let bad = |why: String| (Reject::BadKeyShare, why);
    let first = RelinKeyShare::<R1>::from_bytes(first, crs).map_err(|error| bad(error.to_string()))?;
    let second = RelinKeyShare::<R2>::from_bytes(second, crs).map_err(|error| bad(error.to_string()))?;
    match [first.sender(), second.sender()].into_iter().find(|sender| *sender != of.number()) {
        Some(sender) => Err(bad(format!("a share is of hospital {sender}"))),
        None => Ok((first, second)),
    }
}

/// All openings of one set: the first says which.
fn check_answers(
    (first, second): &Shares,
    (crs, sums): (&Crs, &RelinIntermediate),
    (commitment, challenge): (&RelinCommitment, &RelinChallenge),
    (answers, tells): (&[Bytes], &(dyn Fn() + Sync)),
) -> Result<(), RelinProofError> {
    let statement = RelinStatement::new(crs, first, second, sums)?;
    statement.verify_all_telling(commitment, challenge, answers, tells)
}
