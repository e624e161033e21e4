//! Patients are charged for before anything is encrypted, once, and no more than is allowed.

use privacy::{Clipping, DiscreteGaussian, NoisyStep, SamplingRate};
use protocol::Reject;
use protocol::message::{HospitalMessage, Leaving};
use protocol::store::Journal;

use super::super::images::HeldOut;
use super::super::own_audit::{Again, Object};
use super::super::plan::{OwnPatients, PlannedPrivacy};
use super::super::sealed;
use super::own_audit::audited;
use super::*;
use crate::privacy_ledger::{Allowance, Budget, LEDGER_FILE, PrivacyLedger, PrivacyLedgerError, PrivacyRow, Spending};
use crate::train::PrivateSteps;

const STEPS: u32 = 2;
const NOISE: f64 = 2.0;

/// What so many fits cost.
fn cost(fits: u32) -> f64 {
    // The noise takes a part of delta for each.
    NoisyStep::new(rate().value(), NOISE).unwrap().costs(fits * STEPS).epsilon(1e-5 - f64::from(fits) * 1e-9)
}

fn rate() -> SamplingRate {
    SamplingRate::new(0.5).unwrap()
}

fn hidden(plan: HospitalPlan, ledger: PathBuf, budgets: (Budget, Option<Budget>)) -> HospitalPlan {
    let values = plan.program.network().parameter_count();
    let steps = PrivateSteps {
        rate: rate(),
        clipping: Clipping::new(0.5, values, (DiscreteGaussian::ALONE, NOISE)).unwrap(),
        noise: DiscreteGaussian::ALONE,
        steps: STEPS,
        images_per_patient: 1,
        class_prior: vec![0.5; 2],
    };
    let privacy = PlannedPrivacy { steps, step: NoisyStep::new(rate().value(), NOISE).unwrap(), budget: budgets.0 };
    let patients = OwnPatients { declared: 8, ledger, budget: budgets.1 };
    HospitalPlan { privacy: Some(privacy), patients: Some(patients), ..plan }
}

fn budget(epsilon: f64) -> Budget {
    Budget { epsilon, delta: 1e-5 }
}

/// All with keys, the first of whom hides its patients.
fn with_hidden(plan: f64, site: Option<f64>) -> Consortium {
    let mut all = Consortium::with_keys();
    let ledger = all.root(1).join(LEDGER_FILE);
    all.site(1).plan = hidden(all.site(1).plan.clone(), ledger, (budget(plan), site.map(budget)));
    restarted(&mut all);
    all
}

fn restarted(all: &mut Consortium) {
    all.restart(1);
    all.site(1).restore_keys(seed()).unwrap();
}

fn rows(all: &Consortium) -> Vec<PrivacyRow> {
    PrivacyLedger::open(&all.root(1).join(LEDGER_FILE)).unwrap().rows().to_vec()
}

fn spent(all: &Consortium) -> f64 {
    PrivacyLedger::open(&all.root(1).join(LEDGER_FILE)).unwrap().spent(1e-5)
}

#[test]
fn a_round_is_charged_once_before_it_is_encrypted_and_stays_charged() {
    let mut all = with_hidden(50.0, None);
    all.site(1).train(RoundId(1)).unwrap();
    let values = sealed::round_values(&all.site(1).vault, Epoch(1), RoundId(1)).unwrap();
    let [row] = &rows(&all)[..] else { panic!("{:?}", rows(&all)) };
    assert_eq!((row.run.clone(), row.epoch, row.round), (all.site(1).plan.terms.digest().to_string(), 1, 1));
    assert_eq!((row.sampling_rate, row.noise, row.steps), (Some(0.5), Some(NOISE), STEPS));
    assert_eq!((row.values.clone(), row.before.clone()), (values.digest().to_string(), Digest([0; 32]).to_string()));
    assert!((spent(&all) - cost(1)).abs() < 1e-9);
    // Repeats, attempts and restarts encrypt the same values, noise and all.
    let first = all.site(1).encrypt(RoundId(1), Attempt::FIRST).unwrap();
    restarted(&mut all);
    all.site(1).train(RoundId(1)).unwrap();
    assert_eq!(all.site(1).encrypt(RoundId(1), Attempt::FIRST).unwrap(), first);
    all.site(1).encrypt(RoundId(1), Attempt(2)).unwrap();
    assert_eq!(rows(&all).len(), 1);
    all.site(1).train(RoundId(2)).unwrap();
    let both = rows(&all);
    assert_eq!(both.len(), 2);
    assert!(both[1].before != both[0].before && (spent(&all) - cost(2)).abs() < 1e-9, "{}", spent(&all));
}

#[test]
fn a_site_killed_between_sealing_and_charging_charges_before_it_encrypts() {
    let mut all = with_hidden(50.0, None);
    all.site(1).train(RoundId(1)).unwrap();
    std::fs::remove_file(all.root(1).join(LEDGER_FILE)).unwrap();
    restarted(&mut all);
    let refused = all.site(1).encrypt(RoundId(1), Attempt::FIRST).unwrap_err();
    assert!(matches!(refused, HospitalError::NotCharged { round: 1 }), "{refused}");
    assert!(rows(&all).is_empty());
    all.site(1).train(RoundId(1)).unwrap();
    all.site(1).encrypt(RoundId(1), Attempt::FIRST).unwrap();
    assert_eq!(rows(&all).len(), 1);
}

#[test]
fn no_round_is_trained_beyond_what_the_plan_or_the_site_allows() {
    for (plan, site, whose) in [(1.001, None, "the plan"), (50.0, Some(1.001), "max-epsilon")] {
        let mut all = with_hidden(plan * cost(2), site.map(|part| part * cost(2)));
        all.site(1).train(RoundId(1)).unwrap();
        all.site(1).train(RoundId(2)).unwrap();
        for _ in 0..2 {
            let refused = all.site(1).train(RoundId(3)).unwrap_err();
            let is_spent = matches!(&refused, HospitalError::Privacy(PrivacyLedgerError::Spent { found, .. })
                if (*found - cost(3)).abs() < 1e-9);
            assert!(is_spent && refused.to_string().contains(whose), "{refused}");
            // Nothing was trained, and a restart forgets nothing.
            assert!(!sealed::has_values(&all.site(1).vault, Epoch(1), RoundId(3)));
            restarted(&mut all);
        }
        assert_eq!(rows(&all).len(), 2);
    }
}

#[test]
fn other_trainings_count_for_the_site_and_not_for_the_plan() {
    let mut all = with_hidden(1.001 * cost(1), Some(1.001 * cost(2)));
    all.site(1).train(RoundId(1)).unwrap();
    assert!(all.site(1).train(RoundId(2)).is_err());
    // Another plan begins anew, in another key epoch; the site's own bound goes on.
    all.site(1).plan.terms.rounds += 1;
    all.site(1).train(RoundId(2)).unwrap();
    all.site(1).plan.terms.rounds += 1;
    let refused = all.site(1).train(RoundId(3)).unwrap_err();
    assert!(refused.to_string().contains("max-epsilon"), "{refused}");
}

#[test]
fn a_part_of_the_published_model_has_an_update_only_while_that_may_be_spent() {
    let plain = |site: &Site, attempt| {
        let part = sealed::contribution(&site.vault, Epoch(1), attempt).unwrap().parameters;
        let model = site.current.parameters.iter().map(|value| (f64::from(*value) / f64::from(N)) as f32);
        model.eq(part.iter().copied())
    };
    let mut all = with_hidden(1.001 * cost(2), None);
    all.gates();
    all.round(1);
    let first = all.site(1).encrypt_contribution(Attempt(1), everyone()).unwrap();
    assert!(!plain(&all.sites[0], Attempt(1)));
    let charged = rows(&all);
    assert_eq!((charged.len(), charged[1].round), (2, 4));
    restarted(&mut all);
    assert_eq!(all.site(1).encrypt_contribution(Attempt(1), everyone()).unwrap(), first);
    assert_eq!(rows(&all).len(), 2);
    // Killed before it was charged: nothing of it is encrypted uncharged.
    Journal::open(&all.root(1).join(LEDGER_FILE)).unwrap().remove("privacy", b"0000000001").unwrap();
    restarted(&mut all);
    assert_eq!(all.site(1).encrypt_contribution(Attempt(1), everyone()).unwrap(), first);
    assert_eq!(rows(&all).len(), 2);
    // Another one would be one too many: it brings the model alone.
    all.site(1).encrypt_contribution(Attempt(2), everyone()).unwrap();
    assert!(plain(&all.sites[0], Attempt(2)) && rows(&all).len() == 2);
    // Where the plan wants no update nobody trains for it, hidden or not.
    all.site(2).plan.final_step = false;
    all.site(2).encrypt_contribution(Attempt(1), everyone()).unwrap();
    assert!(plain(&all.sites[1], Attempt(1)));
}

#[test]
fn figures_of_other_patients_are_noted_and_cost_those_that_were_trained_on_nothing() {
    let mut all = with_hidden(1.001 * cost(1), None);
    all.round(1);
    let images = |from: u16| samples_of(from, 10);
    all.site(1).held_out = Some(HeldOut { validation: images(11), test: images(21) });
    assert!(all.site(1).count(RoundId(2)).unwrap());
    all.site(1).encrypt(RoundId(2), Attempt::FIRST).unwrap();
    let [_, row] = &rows(&all)[..] else { panic!("{:?}", rows(&all)) };
    assert_eq!((row.round, row.steps, row.noise, row.sampling_rate, row.delta), (2, 0, None, None, 0.0));
    assert!((spent(&all) - cost(1)).abs() < 1e-9);
    // A restart notes them once.
    restarted(&mut all);
    all.site(1).held_out = Some(HeldOut { validation: images(11), test: images(21) });
    assert!(all.site(1).count(RoundId(2)).unwrap());
    assert_eq!(rows(&all).len(), 2);
    // What it says that it trained on is what it declares to all.
    let counted = all.site(1).trained_on();
    assert_eq!((counted.images, counted.groups), (8, 8));
    all.site(1).data = samples_of(1, 7);
    assert_eq!(all.site(1).trained_on(), counted);
    all.site(2).data = samples_of(1, 7);
    assert_eq!(all.site(2).trained_on().images, 7);
}

#[test]
fn who_does_not_say_how_many_patients_it_has_trains_nothing_that_hides_them() {
    let mut all = with_hidden(50.0, None);
    all.site(1).plan.patients = None;
    restarted(&mut all);
    assert!(matches!(all.site(1).train(RoundId(1)), Err(HospitalError::UndeclaredPatients)));
}

#[test]
fn an_audit_makes_again_what_was_charged_and_names_what_was_not() {
    let mut all = with_hidden(50.0, None);
    all.gates();
    all.round(1);
    all.site(1).train(RoundId(2)).unwrap();
    let update = all.site(1).encrypt(RoundId(2), Attempt::FIRST).unwrap();
    let part = all.site(1).encrypt_contribution(Attempt(1), everyone()).unwrap();
    let objects = [Object::Update(RoundId(2), Attempt::FIRST), Object::Contribution(Attempt(1))];
    // What the head says beside the number matters for shares alone.
    let head = HospitalMessage::Leaving(Leaving { reject: Reject::Stopping });
    let mut audit = audited(&all, "honest");
    let made = objects.clone().map(|object| audit.again(&object, &head).unwrap());
    assert_eq!(made, [Again::Made(update), Again::Made(part)]);
    std::fs::remove_file(all.root(1).join(LEDGER_FILE)).unwrap();
    let mut audit = audited(&all, "uncharged");
    for object in objects {
        let again = audit.again(&object, &head).unwrap();
        assert!(matches!(&again, Again::Impossible(why) if why.contains("never charged")), "{again:?}");
    }
    assert!(rows(&all).is_empty(), "an audit charges for nothing");
}

#[test]
fn two_key_epochs_of_a_site_share_one_list_and_one_bound() {
    let mut all = with_hidden(50.0, Some(1.001 * cost(2)));
    let path = all.root(1).join(LEDGER_FILE);
    let mut other = PrivacyLedger::open(&path).unwrap();
    all.site(1).train(RoundId(1)).unwrap();
    let step = Some(NoisyStep::new(rate().value(), NOISE).unwrap());
    let spending = |values: u8| Spending {
        run: Digest([9; 32]),
        epoch: Epoch(2),
        round: 1,
        values: Digest([values; 32]),
        step,
        steps: STEPS,
    };
    let allowed = Allowance { plan: budget(50.0), site: Some(budget(1.001 * cost(2))) };
    other.charge(&spending(1), allowed).unwrap();
    // Either sees what the other spent.
    assert!(matches!(other.charge(&spending(2), allowed), Err(PrivacyLedgerError::Spent { .. })));
    assert!(matches!(all.site(1).train(RoundId(2)), Err(HospitalError::Privacy(PrivacyLedgerError::Spent { .. }))));
    assert_eq!((rows(&all).len(), other.rows().len()), (2, 2));
}

#[test]
fn a_ledger_that_was_changed_is_noticed() {
    let all = {
        let mut all = with_hidden(50.0, None);
        all.site(1).train(RoundId(1)).unwrap();
        all.site(1).train(RoundId(2)).unwrap();
        all
    };
    let path = all.root(1).join(LEDGER_FILE);
    let journal = Journal::open(&path).unwrap();
    let lines: Vec<_> = journal.all("privacy").unwrap().into_iter().map(|row| row.value).collect();
    let of = |lines: &[Vec<u8>]| {
        (0..2u64).for_each(|at| journal.remove("privacy", format!("{at:010}").as_bytes()).unwrap());
        for (at, line) in (0u64..).zip(lines) {
            journal.insert_once("privacy", format!("{at:010}").as_bytes(), line).unwrap();
        }
        PrivacyLedger::open(&path).map(|ledger| ledger.rows().len())
    };
    let changed = |line: &[u8]| String::from_utf8(line.to_vec()).unwrap().replace("\"steps\":2", "\"steps\":1");
    let cheaper = [changed(&lines[0]).into_bytes(), lines[1].clone()];
    for (lines, row) in [(&cheaper[..], 2), (&lines[1..], 1), (&[b"{}".to_vec()][..], 1)] {
        let damaged = of(lines);
        assert!(matches!(damaged, Err(PrivacyLedgerError::Damaged { row: found }) if found == row), "{row}");
    }
    assert_eq!(of(&lines).unwrap(), 2);
}
