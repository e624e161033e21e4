//! One person's circulation as a closed loop of four chambers and four beds of vessels: twelve states, no data.
//!
//! Chambers are time-varying elastances, vessels are resistances, compliances and inertances, valves are resistances
//! that depend on the direction. After the lumped model of Regazzoni et al., "A cardiac electromechanical model
//! coupled with a lumped-parameter model for closed-loop blood circulation" (arXiv 2011.15040). Pressures in mmHg,
//! volumes in mL, time in s.

use std::f64::consts::PI;

/// Steps of the classical Runge-Kutta method in a beat: readings within 0.1 % of an integrator's that chooses its own.
const STEPS: usize = 250;
/// Beats until the loop is periodic; the last one is read.
const BEATS: usize = 24;

/// Resistance of an open valve, in mmHg s / mL.
const VALVE_OPEN: f64 = 0.0075;
/// Of a closed one: it leaks a little, so that no step has to find the moment of closing.
const VALVE_CLOSED: f64 = 1000.0;

/// Volume of a ventricle at no pressure, in mL.
const VENTRICLE_UNSTRESSED: f64 = 10.0;
/// Of an atrium.
const ATRIUM_UNSTRESSED: f64 = 4.0;
/// Elastance of an atrium at rest and what its contraction adds, in mmHg / mL: left, right.
const LEFT_ATRIUM: (f64, f64) = (0.15, 0.07);
const RIGHT_ATRIUM: (f64, f64) = (0.07, 0.06);
/// Of the right ventricle at rest, in mmHg / mL.
const RIGHT_VENTRICLE_REST: f64 = 0.05;
/// Length of an atrium's contraction at a beat of one second, in s; it shortens with the square root of the beat.
const ATRIAL_CONTRACTION: f64 = 0.17;
/// How long before the ventricles the atria begin, in lengths of their contraction.
const ATRIAL_LEAD: f64 = 1.2;

/// Resistance of systemic and pulmonary veins, in mmHg s / mL.
const SYSTEMIC_VEINS_RESISTANCE: f64 = 0.10;
const PULMONARY_VEINS_RESISTANCE: f64 = 0.05;
/// Compliance of systemic veins, pulmonary arteries and pulmonary veins, in mL / mmHg.
const SYSTEMIC_VEINS_COMPLIANCE: f64 = 60.0;
const PULMONARY_ARTERIES_COMPLIANCE: f64 = 5.0;
const PULMONARY_VEINS_COMPLIANCE: f64 = 16.0;
/// Inertance of blood in systemic arteries and in every other bed, in mmHg s^2 / mL.
const SYSTEMIC_ARTERIES_INERTANCE: f64 = 5e-3;
const INERTANCE: f64 = 5e-4;

/// What makes one person's circulation differ from another's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Body {
    /// Beats a minute.
    pub heart_rate: f64,
    /// What contraction adds to the left ventricle's elastance, in mmHg / mL.
    pub left_contractility: f64,
    /// Elastance of the left ventricle at rest, in mmHg / mL.
    pub left_stiffness: f64,
    /// What contraction adds to the right ventricle's elastance, in mmHg / mL.
    pub right_contractility: f64,
    /// Resistance of systemic arteries, in mmHg s / mL.
    pub systemic_resistance: f64,
    /// Compliance of systemic arteries, in mL / mmHg.
    pub arterial_compliance: f64,
    /// Resistance of pulmonary arteries, in mmHg s / mL.
    pub pulmonary_resistance: f64,
    /// Blood that stretches chambers and vessels, in mL.
    pub stressed_volume: f64,
    /// Length of the ventricles' contraction at a beat of one second, in s.
    pub systole: f64,
}

/// The point of reference: a healthy adult at rest.
pub const STANDARD: Body = Body {
    heart_rate: 72.0,
    left_contractility: 3.0,
    left_stiffness: 0.08,
    right_contractility: 0.55,
    systemic_resistance: 1.0,
    arterial_compliance: 1.3,
    pulmonary_resistance: 0.07,
    stressed_volume: 1550.0,
    systole: 0.34,
};

/// What is read off one beat.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Beat {
    /// Highest arterial pressure, in mmHg.
    pub systolic: f64,
    /// Lowest arterial pressure, in mmHg.
    pub diastolic: f64,
    /// Mean arterial pressure, in mmHg.
    pub mean_arterial: f64,
    /// What the left ventricle ejects, in mL.
    pub stroke_volume: f64,
    /// (largest - smallest volume of the left ventricle) / largest, in percent.
    pub ejection_fraction: f64,
    /// Stroke volume times heart rate, in L / min.
    pub cardiac_output: f64,
    /// Largest volume of the left ventricle, in mL.
    pub end_diastolic: f64,
    /// Smallest volume of the left ventricle, in mL.
    pub end_systolic: f64,
    /// Mean pressure in pulmonary arteries, in mmHg.
    pub mean_pulmonary: f64,
    /// Mean pressure in the left atrium, in mmHg.
    pub mean_left_atrial: f64,
}

/// A moment of the beat that is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Since the ventricles began to contract, in s.
    pub time: f64,
    /// Volume of the left ventricle, in mL.
    pub ventricle_volume: f64,
    /// Pressure in the left ventricle, in mmHg.
    pub ventricle_pressure: f64,
    /// Pressure in systemic arteries, in mmHg.
    pub arterial_pressure: f64,
}

/// A simulated life of some seconds: its last beat, and how well the loop kept what it must keep.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeats {
    /// The last beat.
    pub last: Beat,
    /// Largest relative change of systolic and diastolic pressure and of both extreme volumes since the beat before.
    pub drift: f64,
    /// Blood in the loop at the end less what it began with, in mL.
    pub volume_error: f64,
    /// The last beat, moment by moment.
    pub trace: Vec<Moment>,
}

/// Volumes of left atrium, left ventricle, right atrium, right ventricle; pressures in systemic arteries and veins, in
/// pulmonary arteries and veins; flows out of them, in the same order. Last, what has passed the aortic valve forwards,
/// which nothing depends on: as a state it is integrated as precisely as they are.
type State = [f64; 13];

/// How far chambers contract, 0 to 1: ventricles, atria.
type Contraction = (f64, f64);

/// Pressures in the chambers, in mmHg.
struct Chambers {
    left_atrium: f64,
    left_ventricle: f64,
    right_atrium: f64,
    right_ventricle: f64,
}

impl Body {
    /// Beats until the loop is periodic, and what the last beat shows.
    pub fn simulate(&self) -> Heartbeats {
        let period = 60.0 / self.heart_rate;
        let step = period / STEPS as f64;
        // The method looks at the beginning, the middle and the end of a step.
        let contractions: Vec<Contraction> =
            (0..2 * STEPS).map(|half| self.contraction(0.5 * step * half as f64)).collect();
        let mut state = self.start();
        let blood = self.blood(&state);
        let (mut last, mut before, mut trace) = (Beat::default(), Beat::default(), Vec::new());
        for beat in 0..BEATS {
            let mut reading = Reading::new();
            let ejected = state[12];
            for number in 0..STEPS {
                let [begin, middle, end] = [0, 1, 2].map(|half| contractions[(2 * number + half) % (2 * STEPS)]);
                if beat + 2 >= BEATS {
                    reading.add(self, &state, begin);
                }
                if beat + 1 == BEATS {
                    trace.push(self.moment(&state, begin, step * number as f64));
                }
                let k1 = self.change(&state, begin);
                let k2 = self.change(&moved(&state, &k1, 0.5 * step), middle);
                let k3 = self.change(&moved(&state, &k2, 0.5 * step), middle);
                let k4 = self.change(&moved(&state, &k3, step), end);
                for (index, value) in state.iter_mut().enumerate() {
                    *value += step / 6.0 * (k1[index] + 2.0 * k2[index] + 2.0 * k3[index] + k4[index]);
                }
            }
            if beat + 2 >= BEATS {
                (before, last) = (last, reading.beat(self.heart_rate, state[12] - ejected));
            }
        }
        let drift = last.drift_since(&before);
        Heartbeats { last, drift, volume_error: self.blood(&state) - blood, trace }
    }

    /// Plausible volumes and pressures; systemic veins take what is left of the blood.
    fn start(&self) -> State {
        let (volumes, arteries, lungs, lung_veins) = ([60.0, 120.0, 50.0, 120.0], 85.0, 18.0, 10.0);
        let elsewhere = volumes.iter().sum::<f64>()
            + self.arterial_compliance * arteries
            + PULMONARY_ARTERIES_COMPLIANCE * lungs
            + PULMONARY_VEINS_COMPLIANCE * lung_veins;
        let veins = (self.stressed_volume - elsewhere) / SYSTEMIC_VEINS_COMPLIANCE;
        let [a, b, c, d] = volumes;
        [a, b, c, d, arteries, veins, lungs, lung_veins, 0.0, 0.0, 0.0, 0.0, 0.0]
    }

    /// Blood in chambers and vessels, in mL.
    fn blood(&self, state: &State) -> f64 {
        state[..4].iter().sum::<f64>()
            + self.arterial_compliance * state[4]
            + SYSTEMIC_VEINS_COMPLIANCE * state[5]
            + PULMONARY_ARTERIES_COMPLIANCE * state[6]
            + PULMONARY_VEINS_COMPLIANCE * state[7]
    }

    fn contraction(&self, time: f64) -> Contraction {
        let period = 60.0 / self.heart_rate;
        let ventricles = self.systole * period.sqrt();
        let atria = ATRIAL_CONTRACTION * period.sqrt();
        let since_atria = (time - (period - ATRIAL_LEAD * atria)).rem_euclid(period);
        (activation(time, ventricles, 0.5 * ventricles), activation(since_atria, atria, atria))
    }

    fn chambers(&self, state: &State, (ventricles, atria): Contraction) -> Chambers {
        let atrium = |volume: f64, (rest, added): (f64, f64)| (rest + added * atria) * (volume - ATRIUM_UNSTRESSED);
        let ventricle =
            |volume: f64, rest: f64, added: f64| (rest + added * ventricles) * (volume - VENTRICLE_UNSTRESSED);
        Chambers {
            left_atrium: atrium(state[0], LEFT_ATRIUM),
            left_ventricle: ventricle(state[1], self.left_stiffness, self.left_contractility),
            right_atrium: atrium(state[2], RIGHT_ATRIUM),
            right_ventricle: ventricle(state[3], RIGHT_VENTRICLE_REST, self.right_contractility),
        }
    }

    fn moment(&self, state: &State, contraction: Contraction, time: f64) -> Moment {
        Moment {
            time,
            ventricle_volume: state[1],
            ventricle_pressure: self.chambers(state, contraction).left_ventricle,
            arterial_pressure: state[4],
        }
    }

    /// The state's rate of change, a second.
    fn change(&self, state: &State, contraction: Contraction) -> State {
        let heart = self.chambers(state, contraction);
        let [.., arteries, veins, lungs, lung_veins, from_arteries, from_veins, from_lungs, from_lung_veins, _] =
            *state;
        let mitral = valve(heart.left_atrium, heart.left_ventricle);
        let aortic = valve(heart.left_ventricle, arteries);
        let tricuspid = valve(heart.right_atrium, heart.right_ventricle);
        let pulmonary = valve(heart.right_ventricle, lungs);
        let pushed = |from: f64, to: f64, resistance: f64, flow: f64| from - to - resistance * flow;
        [
            from_lung_veins - mitral,
            mitral - aortic,
            from_veins - tricuspid,
            tricuspid - pulmonary,
            (aortic - from_arteries) / self.arterial_compliance,
            (from_arteries - from_veins) / SYSTEMIC_VEINS_COMPLIANCE,
            (pulmonary - from_lungs) / PULMONARY_ARTERIES_COMPLIANCE,
            (from_lungs - from_lung_veins) / PULMONARY_VEINS_COMPLIANCE,
            pushed(arteries, veins, self.systemic_resistance, from_arteries) / SYSTEMIC_ARTERIES_INERTANCE,
            pushed(veins, heart.right_atrium, SYSTEMIC_VEINS_RESISTANCE, from_veins) / INERTANCE,
            pushed(lungs, lung_veins, self.pulmonary_resistance, from_lungs) / INERTANCE,
            pushed(lung_veins, heart.left_atrium, PULMONARY_VEINS_RESISTANCE, from_lung_veins) / INERTANCE,
            aortic.max(0.0),
        ]
    }
}

impl Beat {
    fn drift_since(&self, before: &Beat) -> f64 {
        let of = |beat: &Beat| [beat.systolic, beat.diastolic, beat.end_diastolic, beat.stroke_volume];
        let pairs = of(self).into_iter().zip(of(before));
        pairs.map(|(now, then)| (now - then).abs() / (then.abs() + 1e-9)).fold(0.0, f64::max)
    }
}

/// Rises for `contract` seconds, falls for `relax`, rests until the next beat.
fn activation(since: f64, contract: f64, relax: f64) -> f64 {
    if since < contract {
        0.5 * (1.0 - (PI * since / contract).cos())
    } else if since < contract + relax {
        0.5 * (1.0 + (PI * (since - contract) / relax).cos())
    } else {
        0.0
    }
}

/// Flow through a valve, in mL / s.
fn valve(from: f64, to: f64) -> f64 {
    (from - to) / if from > to { VALVE_OPEN } else { VALVE_CLOSED }
}

fn moved(state: &State, change: &State, time: f64) -> State {
    std::array::from_fn(|index| state[index] + time * change[index])
}

/// What of a beat has been seen so far.
struct Reading {
    beat: Beat,
    steps: f64,
}

impl Reading {
    fn new() -> Self {
        let (least, most) = (f64::INFINITY, f64::NEG_INFINITY);
        let beat =
            Beat { systolic: most, diastolic: least, end_diastolic: most, end_systolic: least, ..Beat::default() };
        Reading { beat, steps: 0.0 }
    }

    fn add(&mut self, body: &Body, state: &State, contraction: Contraction) {
        let heart = body.chambers(state, contraction);
        let beat = &mut self.beat;
        beat.systolic = beat.systolic.max(state[4]);
        beat.diastolic = beat.diastolic.min(state[4]);
        beat.end_diastolic = beat.end_diastolic.max(state[1]);
        beat.end_systolic = beat.end_systolic.min(state[1]);
        // Sums, which the end divides by the number of steps.
        beat.mean_arterial += state[4];
        beat.mean_pulmonary += state[6];
        beat.mean_left_atrial += heart.left_atrium;
        self.steps += 1.0;
    }

    fn beat(self, heart_rate: f64, stroke_volume: f64) -> Beat {
        let Beat { end_diastolic, end_systolic, .. } = self.beat;
        Beat {
            stroke_volume,
            mean_arterial: self.beat.mean_arterial / self.steps,
            mean_pulmonary: self.beat.mean_pulmonary / self.steps,
            mean_left_atrial: self.beat.mean_left_atrial / self.steps,
            ejection_fraction: 100.0 * (end_diastolic - end_systolic) / end_diastolic,
            cardiac_output: stroke_volume * heart_rate / 1000.0,
            ..self.beat
        }
    }
}
