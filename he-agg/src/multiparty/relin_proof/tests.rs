//! What a proof lets through, what it shows, and what would be without it.

use super::mask::{Values, polynomials};
use super::*;
use crate::ckks::{RelinearizationKey, add_gadget, digit_count, extended_basis};
use crate::multiparty::ideal::toy;
use crate::multiparty::{Crs, R1, R2, RelinIntermediate, RelinKeyShare, RelinKeySum, ServingSecret};
use crate::params::{Params, Preset};
use crate::ring::{Eval, Poly};
use crate::stream::Stream;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A deviation that is large for an error and small for the modulus.
const DEVIATION: u32 = 1 << 20;

/// Two hospitals after both rounds; the first adds a constant to bodies of its own.
struct Ceremony {
    params: &'static Params,
    crs: Crs,
    secrets: [ServingSecret; 2],
    first: Vec<RelinKeyShare<R1>>,
    second: Vec<RelinKeyShare<R2>>,
    sums: RelinIntermediate,
    witnesses: Vec<RelinWitness>,
}

/// Adds a constant, which has one value at all points.
fn add_constant(poly: &mut Poly<Eval>, params: &Params, limbs: usize, constant: u32) {
    let basis = extended_basis(params, limbs);
    let mut value = Poly::<Eval>::zero(params.n, basis.len());
    value.par_limbs(&basis, |_, _, x| x.fill(constant));
    poly.add_assign(&value, &basis);
}

impl Ceremony {
    /// `deviates`: polynomials of the first hospital's messages (round, index) that get a constant more.
    fn new(params: &'static Params, limbs: usize, deviates: &[(u8, usize)]) -> Self {
        let (crs, mut stream) = (Crs::over(params, [7; 32]), Stream::from_seed([3; 32]));
        let secrets = [1, 2].map(|party| ServingSecret::over(params, party, &mut stream).unwrap());
        let (mut first, mut ephemerals) = (Vec::new(), Vec::new());
        for secret in &secrets {
            let (share, ephemeral) = RelinKeyShare::<R1>::generate(secret, &crs, limbs, &mut stream).unwrap();
            first.push(share);
            ephemerals.push(ephemeral);
        }
        let deviating = |round| deviates.iter().filter(move |(of, _)| *of == round).map(|(_, index)| *index);
        for index in deviating(1) {
            add_constant(&mut first[0].material_mut().parts[index], params, limbs, DEVIATION);
        }
        let mut sum = RelinKeySum::<R1>::new(&crs, limbs, 2).unwrap();
        first.iter().for_each(|share| sum.absorb(share).unwrap());
        let sums = sum.finish().unwrap();
        let made = secrets.iter().zip(ephemerals);
        let (mut second, witnesses): (Vec<_>, Vec<_>) = made
            .map(|(secret, ephemeral)| {
                RelinKeyShare::<R2>::generate_with_witness(secret, ephemeral, &sums, &mut stream).unwrap()
            })
            .unzip();
        for index in deviating(2) {
            add_constant(&mut second[0].material_mut().parts[index], params, limbs, DEVIATION);
        }
        Self { params, crs, secrets, first, second, sums, witnesses }
    }

    fn statement(&self, hospital: usize) -> RelinStatement<'_> {
        RelinStatement::new(&self.crs, &self.first[hospital], &self.second[hospital], &self.sums).unwrap()
    }

    /// The key that all shares give, added up correctly.
    fn key(&self) -> RelinearizationKey {
        let limbs = self.sums.material().label.limbs;
        let mut sum = RelinKeySum::<R2>::new(&self.crs, limbs, 2).unwrap();
        self.second.iter().for_each(|share| sum.absorb(share).unwrap());
        sum.finish(&self.sums).unwrap()
    }
}

fn challenge(number: u8) -> RelinChallenge {
    RelinChallenge::from_digest(&Stream::from_seed([number; 32]).seed())
}

/// A commitment, and the set and bytes of the answers.
type Proof = (RelinCommitment, u8, Vec<Vec<u8>>);

fn prove(statement: &RelinStatement, witness: RelinWitness, challenge: &RelinChallenge) -> Proof {
    let prover = RelinProver::new(statement, witness, &[5; 32]);
    let commitment = prover.commitment();
    let answers = prover.answers(challenge).unwrap();
    let set = answers.set();
    (commitment, set, answers.iter().map(|answer| answer.to_bytes()).collect())
}

/// What came of each answer.
fn verdicts(
    statement: &RelinStatement,
    challenge: &RelinChallenge,
    (commitment, set, answers): &Proof,
) -> Vec<Result<(), RelinProofError>> {
    let numbered = (0..).zip(answers);
    numbered.map(|(number, answer)| statement.verify(commitment, challenge, (*set, number), answer)).collect()
}

#[test]
fn honest_shares_of_every_shape_pass_and_proofs_are_repeatable() {
    for (preset, limbs) in [(Preset::Inf13, 1), (Preset::Inf13, 2), (Preset::Inf15x90, 19), (Preset::Inf14x30, 5)] {
        let mut all = Ceremony::new(toy(preset, 5), limbs, &[]);
        for hospital in [1, 0] {
            let (witness, coins) = (all.witnesses.remove(hospital), challenge(hospital as u8));
            let statement = all.statement(hospital);
            let proof = prove(&statement, witness, &coins);
            assert_eq!(proof.2.len(), REPETITIONS);
            assert!(verdicts(&statement, &coins, &proof).iter().all(Result::is_ok), "{preset} at {limbs} limbs");
            let whole = |answers: &[Vec<u8>]| statement.verify_all(&proof.0, &coins, answers);
            assert_eq!(whole(&proof.2), Ok(()));
            let told = AtomicUsize::new(0);
            let tells = || {
                told.fetch_add(1, Ordering::Relaxed);
            };
            assert_eq!(statement.verify_all_telling(&proof.0, &coins, &proof.2, &tells), Ok(()));
            assert_eq!(told.into_inner(), REPETITIONS);
            assert_eq!(whole(&proof.2[1..]), Err(RelinProofError::Count { found: REPETITIONS - 1 }));
            let mut swapped = proof.2.clone();
            swapped.swap(7, 30);
            assert!(matches!(whole(&swapped), Err(RelinProofError::Decode(_))), "the first wrong one is the eighth");
            // Openings of two sets: each may be right, and together they prove less.
            let mut mixed = proof.2.clone();
            mixed[3][6] = 1 - proof.1;
            assert!(matches!(whole(&mixed), Err(RelinProofError::Decode(DecodeError::Field { field: "set", .. }))));
            let masked = RelinAnswer::masked_bytes(all.params.n, digit_count(all.params, limbs));
            let heads = (0..).map(|repetition| coins.coin(proof.1, repetition));
            assert!(proof.2.iter().zip(heads).all(|(it, coin)| it.len() == if coin { masked } else { 40 }));
            assert!(proof.2.iter().any(|it| it.len() == 40) && proof.2.iter().any(|it| it.len() == masked));
            let read = RelinCommitment::from_bytes(&proof.0.to_bytes()).unwrap();
            assert_eq!((read, proof.0.to_bytes().len()), (proof.0, RelinCommitment::BYTES));
        }
    }
    let proofs = [1, 2].map(|_| {
        let mut all = Ceremony::new(toy(Preset::Inf13, 5), 2, &[]);
        let witness = all.witnesses.remove(0);
        let proof = prove(&all.statement(0), witness, &challenge(1));
        (proof.0, proof.2)
    });
    assert!(proofs[0] == proofs[1]);
}

/// Attack N1: everybody adds up correctly, and the key holds the collective secret times what one hospital chose.
#[test]
fn without_the_proof_a_constant_in_a_share_makes_the_key_hold_the_secret() {
    let (params, limbs) = (toy(Preset::Inf13, 8), 2);
    let basis = extended_basis(params, limbs);
    let mut all = Ceremony::new(params, limbs, &[(1, 0)]);
    let mut secret = all.secrets[0].poly().clone();
    secret.truncate(basis.len());
    let mut other = all.secrets[1].poly().clone();
    other.truncate(basis.len());
    secret.add_assign(&other, &basis);
    let key = all.key();
    let [b, a] = key.key.digits().next().unwrap();
    // The phase less P g s^2: noise, and s times the constant.
    let mut square = secret.clone();
    square.mul_assign(&secret, &basis);
    let mut target = Poly::zero(params.n, basis.len());
    add_gadget(params, limbs, 0, &mut target, &square);
    let mut phase = b.clone();
    phase.mul_add(&a, &secret, &basis);
    phase.sub_assign(&target, &basis);
    let coefficients = |poly: &Poly<Eval>| -> Vec<i64> {
        let mut coefficients = poly.limb(0).to_vec();
        basis[0].inverse(&mut coefficients);
        coefficients.iter().map(|x| basis[0].modulus().centre(*x)).collect()
    };
    let read = coefficients(&phase).into_iter().map(|x| (x as f64 / f64::from(DEVIATION)).round() as i64);
    let expected = coefficients(&secret);
    assert!(expected.iter().any(|x| *x != 0) && read.eq(expected), "s is read off the error");
    // The real path.
    let (witness, coins) = (all.witnesses.remove(0), challenge(2));
    let statement = all.statement(0);
    let proof = prove(&statement, witness, &coins);
    assert!(verdicts(&statement, &coins, &proof).iter().any(Result::is_err));
}

#[test]
fn a_deviation_in_any_polynomial_of_either_round_is_seen_at_every_masked_opening() {
    let params = toy(Preset::Inf15x90, 5);
    let limbs = params.q.len();
    let digits = digit_count(params, limbs);
    let everywhere = (0..2 * digits).map(|index| (1, index)).chain((0..digits).map(|index| (2, index)));
    for (number, deviation) in everywhere.enumerate() {
        let mut all = Ceremony::new(params, limbs, &[deviation]);
        let (witness, coins) = (all.witnesses.remove(0), challenge(number as u8));
        let statement = all.statement(0);
        let proof = prove(&statement, witness, &coins);
        for (repetition, verdict) in (0..).zip(verdicts(&statement, &coins, &proof)) {
            let expected = if coins.coin(proof.1, repetition) {
                Err(RelinProofError::Differs { set: proof.1, repetition })
            } else {
                Ok(())
            };
            assert_eq!(verdict, expected, "{deviation:?}");
        }
    }
}

/// The best that a cheat can do: to commit to L(y) where it expects a seed to be asked for, and to L(z) - x elsewhere.
#[test]
fn a_cheat_that_guesses_the_coins_of_four_repetitions_passes_once_in_sixteen() {
    let all = Ceremony::new(toy(Preset::Inf13, 4), 1, &[(1, 0), (1, 1), (2, 0)]);
    let (statement, mut stream) = (all.statement(0), Stream::from_seed([9; 32]));
    let (n, digits, trials) = (all.params.n, digit_count(all.params, 1), 800);
    let passed = (0..trials).filter(|_| {
        let coins = RelinChallenge::from_digest(&stream.seed());
        let mut commitment = RelinCommitment([[[0; 32]; REPETITIONS]; SETS]);
        (0..4).all(|repetition| {
            let (seed, guess) = (stream.seed(), stream.next_u32() & 1 == 1);
            let values = || Values::expand(&seed, all.params.preset, n, digits);
            commitment.0[0][usize::from(repetition)] = statement.digest(&values(), (0, repetition), guess);
            let shown =
                if coins.coin(0, repetition) { answer::Shown::Masked(values()) } else { answer::Shown::Seed(seed) };
            let answer = RelinAnswer { set: 0, repetition, shown }.to_bytes();
            statement.verify(&commitment, &coins, (0, repetition), &answer).is_ok()
        })
    });
    // 50 on the average, with a deviation of 6.8.
    let passed = passed.count();
    assert!((30..71).contains(&passed), "{passed} of {trials}");
}

#[test]
fn a_proof_is_of_one_hospital_one_epoch_and_one_sum() {
    let params = toy(Preset::Inf13, 5);
    let mut all = Ceremony::new(params, 2, &[]);
    let (witness, coins) = (all.witnesses.remove(0), challenge(3));
    let proof = prove(&all.statement(0), witness, &coins);
    // Of another hospital, and on a sum that the coordinator named.
    assert!(verdicts(&all.statement(1), &coins, &proof).iter().all(Result::is_err));
    let named = RelinIntermediate::from_bytes(&Ceremony::new(params, 2, &[(1, 1)]).sums.to_bytes(), &all.crs).unwrap();
    let statement = RelinStatement::new(&all.crs, &all.first[0], &all.second[0], &named).unwrap();
    assert!(verdicts(&statement, &coins, &proof).iter().all(Result::is_err));
    // Of other coins: neither length nor digest fits.
    assert!(verdicts(&all.statement(0), &challenge(4), &proof).iter().any(Result::is_err));
    // Shares that do not belong together.
    let elsewhere = Crs::over(params, [8; 32]);
    let refused = |crs, first, second| RelinStatement::new(crs, first, second, &all.sums).err();
    assert!(matches!(refused(&elsewhere, &all.first[0], &all.second[0]), Some(CeremonyError::Epoch { .. })));
    let mixed = refused(&all.crs, &all.first[0], &all.second[1]);
    assert!(matches!(mixed, Some(CeremonyError::Mismatch { field: "party", .. })), "{mixed:?}");
    let lower = Ceremony::new(params, 1, &[]);
    let mixed = refused(&all.crs, &lower.first[0], &all.second[0]);
    assert!(matches!(mixed, Some(CeremonyError::Mismatch { field: "limbs", .. })), "{mixed:?}");
    let mixed = refused(&all.crs, &all.first[0], &lower.second[0]);
    assert!(matches!(mixed, Some(CeremonyError::Mismatch { field: "limbs", .. })), "{mixed:?}");
}

#[test]
fn malformed_answers_and_commitments_are_refused_by_name() {
    let mut all = Ceremony::new(toy(Preset::Inf13, 5), 2, &[]);
    let (witness, coins) = (all.witnesses.remove(0), challenge(5));
    let statement = all.statement(0);
    let (commitment, set, answers) = prove(&statement, witness, &coins);
    let place = |is_masked| (0..).find(|repetition| coins.coin(set, *repetition) == is_masked).unwrap();
    for repetition in [place(false), place(true)] {
        let honest = &answers[usize::from(repetition)];
        let check = |set, repetition, bytes: &[u8]| statement.verify(&commitment, &coins, (set, repetition), bytes);
        let changed = |at: usize, byte: u8| {
            let mut bytes = honest.clone();
            bytes[at] = byte;
            check(set, repetition, &bytes).unwrap_err()
        };
        let decoded = |error| matches!(error, RelinProofError::Decode(_));
        assert!(check(set, repetition, honest).is_ok());
        assert!(decoded(check(set, repetition, &honest[1..]).unwrap_err()));
        assert!(decoded(check(set, repetition, &[&honest[..], &[0]].concat()).unwrap_err()));
        assert!(decoded(check(set, repetition, &[]).unwrap_err()));
        assert!(matches!(changed(0, 0), RelinProofError::Decode(DecodeError::Magic { .. })));
        assert!(matches!(changed(4, 9), RelinProofError::Decode(DecodeError::Version { found: 9, .. })));
        assert!(matches!(changed(5, 29), RelinProofError::Decode(DecodeError::Kind { found: 29, .. })));
        let fields = [(6, "set", set + 1), (7, "repetition", repetition + 1)];
        for (at, name, byte) in fields {
            let error = changed(at, byte);
            assert!(matches!(error, RelinProofError::Decode(DecodeError::Field { field, .. }) if field == name));
        }
        assert_eq!(changed(20, honest[20] ^ 1), RelinProofError::Differs { set, repetition });
        for (set, repetition) in [(SETS as u8, 0), (0, REPETITIONS as u8), (u8::MAX, u8::MAX)] {
            assert_eq!(check(set, repetition, honest), Err(RelinProofError::Differs { set, repetition }));
        }
    }
    // -2^35, and the first value beyond the bound on the other side.
    let repetition = place(true);
    let beyond = (OPENED_MAX + 1 + (1 << 35)) as u64;
    for (field, found) in [(0, -(1_i64 << 35)), (beyond, OPENED_MAX + 1)] {
        let mut long = answers[usize::from(repetition)].clone();
        long[8..12].copy_from_slice(&field.to_le_bytes()[..4]);
        long[12] = long[12] & 0xf0 | (field >> 32) as u8;
        let refused = statement.verify(&commitment, &coins, (set, repetition), &long);
        assert_eq!(refused, Err(RelinProofError::TooLong { polynomial: 0, found }));
    }
    let bytes = commitment.to_bytes();
    for (at, byte) in [(0, 0), (4, 9), (5, 30), (6, 3), (7, 40)] {
        let mut other = bytes.clone();
        other[at] = byte;
        assert!(RelinCommitment::from_bytes(&other).is_err(), "byte {at}");
    }
    for other in [&bytes[1..], &[&bytes[..], &[0]].concat(), &[]] {
        assert!(matches!(RelinCommitment::from_bytes(other), Err(DecodeError::Length { .. })));
    }
}

/// Secrets so long that many masks do not hide them: the first set that hides them all is opened, or none.
#[test]
fn what_would_show_a_secret_is_never_opened() {
    let all = Ceremony::new(toy(Preset::Inf13, 4), 1, &[]);
    let (statement, n, digits) = (all.statement(0), all.params.n, digit_count(all.params, 1));
    let mut ends = [0; SETS + 1];
    for number in 0..60 {
        let witness = RelinWitness::constant(polynomials(digits), n, 1 << 25);
        let coins = challenge(number);
        match RelinProver::new(&statement, witness, &[number; 32]).answers(&coins) {
            Err(error) => {
                assert_eq!(error, RelinProofError::Overflow);
                ends[SETS] += 1;
            }
            Ok(answers) => {
                ends[usize::from(answers.set())] += 1;
                for answer in answers.iter() {
                    let answer::Shown::Masked(values) = answer.shown else { continue };
                    let mut all = values.polynomials().iter().flat_map(|values| values.iter());
                    assert!(all.all(|value| value.abs() < (1 << 35) - i64::from(ERROR_MAX)));
                }
            }
        }
    }
    assert!(ends.iter().all(|count| *count > 0), "{ends:?}");
}

#[test]
fn masks_are_uniform_over_their_whole_range() {
    let values = Values::expand(&[1; 32], Preset::Inf13, 1 << 12, 2);
    let all: Vec<i64> = values.polynomials().iter().flat_map(|values| values.iter().copied()).collect();
    assert_eq!((values.polynomials().len(), all.len()), (8, 8 << 12));
    let mut eighths = [0; 8];
    all.iter().for_each(|value| eighths[((value + (1 << 35)) >> 33) as usize] += 1);
    // 4096 each, with a deviation of 60.
    assert!(eighths.iter().all(|count| (3_850..4_350).contains(count)), "{eighths:?}");
    let other = Values::expand(&[2; 32], Preset::Inf13, 1 << 12, 2);
    assert!(values.polynomials()[0] != values.polynomials()[1] && values.polynomials()[0] != other.polynomials()[0]);
}

/// At full size, with all openings.
#[test]
fn shares_of_the_largest_preset_are_proved_and_a_cheat_is_found() {
    let params = Preset::Inf15x90.params();
    let mut all = Ceremony::new(params, params.q.len(), &[(1, 0)]);
    for hospital in [1, 0] {
        let (witness, coins) = (all.witnesses.remove(hospital), challenge(6));
        let statement = all.statement(hospital);
        let proof = prove(&statement, witness, &coins);
        let passed = verdicts(&statement, &coins, &proof).iter().filter(|verdict| verdict.is_ok()).count();
        assert_eq!(statement.verify_all(&proof.0, &coins, &proof.2).is_ok(), hospital == 1);
        let seeds = (0..REPETITIONS as u8).filter(|repetition| !coins.coin(proof.1, *repetition)).count();
        assert_eq!(passed, if hospital == 1 { REPETITIONS } else { seeds });
    }
}
