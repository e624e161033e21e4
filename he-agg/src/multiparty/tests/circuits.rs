//! Random circuits against f64, with the noise model carried along.

use super::noise::Model;
use super::plan;
use crate::ckks::{Ciphertext, CkksError};
use crate::multiparty::ideal::Ceremony;
use crate::params::Preset;

const ROTATIONS: [i32; 3] = [1, -3, 100];
/// Values in flight.
const WIDTH: usize = 3;
/// Magnitude at which the next layer shrinks instead of multiplying.
const LARGE: f64 = 2.0;
/// Mean square below which a layer adds a fresh plaintext, so that errors go on growing.
const FAINT: f64 = 0.2;
/// Relative error of f64 transforms and products: below it no noise can be seen.
const FLOOR: f64 = 1.0 / (1u64 << 50) as f64;

/// A ciphertext, what it should hold, and the deviation of its slots that the model expects.
#[derive(Clone)]
struct Tracked {
    encrypted: Ciphertext,
    values: Vec<f64>,
    deviation: f64,
}

impl Tracked {
    fn rms(&self) -> f64 {
        (self.values.iter().map(|x| x * x).sum::<f64>() / self.values.len() as f64).sqrt()
    }

    fn largest(&self) -> f64 {
        self.values.iter().fold(0.0, |m: f64, x| m.max(x.abs()))
    }
}

struct Circuit {
    c: Ceremony,
    model: Model,
}

impl Circuit {
    /// The deviation of a slot whose coefficients have deviation `coefficient`: the real part of
    /// N terms on the unit circle.
    fn in_slots(&self, coefficient: f64, scale: f64) -> f64 {
        coefficient * (self.c.params.n as f64 / 2.0).sqrt() / scale
    }

    fn pick(&mut self, count: usize) -> usize {
        self.c.stream.next_u32() as usize % count
    }

    fn input(&mut self) -> Tracked {
        let (scale, limbs) = (self.c.params.scale(), self.c.params.q.len());
        let values = self.c.random_values(1.0);
        let encrypted = self.c.encrypt(&values, scale, limbs);
        let deviation = self.in_slots(self.model.rounding().hypot((1.0 / 12f64).sqrt()), scale);
        Tracked { encrypted, values, deviation }
    }

    fn rotated(&mut self, x: &Tracked) -> Tracked {
        let steps = ROTATIONS[self.pick(ROTATIONS.len())];
        let encrypted = self.c.evaluator.rotate(&x.encrypted, steps, &self.c.keys).unwrap();
        let mut values = x.values.clone();
        values.rotate_left(steps.rem_euclid(self.c.params.slots() as i32) as usize);
        let switch = self.model.switch(encrypted.limbs(), self.model.galois_key());
        let deviation = x.deviation.hypot(self.in_slots(switch, encrypted.scale()));
        Tracked { encrypted, values, deviation }
    }

    /// The sum of some products, relinearised and rescaled in one step or in two.
    fn products(&mut self, terms: &[(&Tracked, &Tracked)]) -> Tracked {
        let (evaluator, keys) = (self.c.evaluator, &self.c.keys);
        let pairs: Vec<_> = terms.iter().map(|(x, y)| (&x.encrypted, &y.encrypted)).collect();
        let wide = evaluator.mul_accumulate(&pairs).unwrap();
        let fused = self.c.stream.next_u32().is_multiple_of(2);
        let encrypted = if fused {
            evaluator.relinearise_rescale(&wide, keys).unwrap()
        } else {
            evaluator.rescale(&evaluator.relinearise(&wide, keys).unwrap()).unwrap()
        };
        let mut values = vec![0.0; self.c.params.slots()];
        let mut variance = 0.0;
        for (x, y) in terms {
            values.iter_mut().zip(x.values.iter().zip(&y.values)).for_each(|(sum, (x, y))| *sum += x * y);
            // The two errors of a square are one.
            let both = if std::ptr::eq(*x, *y) { 2.0 } else { 1.0 };
            variance += both * ((x.rms() * y.deviation).powi(2) + (y.rms() * x.deviation).powi(2));
        }
        let switch = self.model.switch(wide.limbs(), self.model.relinearization_key());
        let switch = self.in_slots(switch, wide.scale());
        let rounding = self.in_slots(self.model.rounding(), encrypted.scale());
        let deviation = (variance + switch * switch + rounding * rounding).sqrt();
        Tracked { encrypted, values, deviation }
    }

    /// Times a plaintext that brings the values back below one.
    fn weighted(&mut self, x: &Tracked) -> Tracked {
        let bound = 1.0 / x.largest().max(1.0);
        let weights = self.c.random_values(bound);
        let (limbs, scale) = (x.encrypted.limbs(), x.encrypted.scale());
        let plain = self.c.encoder.encode(&weights, scale, limbs).unwrap();
        let product = self.c.evaluator.mul_plain(&x.encrypted, &plain).unwrap();
        let encrypted = self.c.evaluator.rescale(&product).unwrap();
        let values = x.values.iter().zip(&weights).map(|(x, w)| x * w).collect();
        let weight_rms = bound / 3f64.sqrt();
        let encoding = self.in_slots((1.0 / 12f64).sqrt(), scale) * x.rms();
        let rounding = self.in_slots(self.model.rounding(), encrypted.scale());
        let deviation = (weight_rms * x.deviation).hypot(encoding).hypot(rounding);
        Tracked { encrypted, values, deviation }
    }

    fn sum(&mut self, x: &Tracked, y: &Tracked) -> Tracked {
        let minus = self.c.stream.next_u32().is_multiple_of(2);
        let (evaluator, sign) = (self.c.evaluator, if minus { -1.0 } else { 1.0 });
        let encrypted = match minus {
            true => evaluator.sub(&x.encrypted, &y.encrypted),
            false => evaluator.add(&x.encrypted, &y.encrypted),
        };
        let values = x.values.iter().zip(&y.values).map(|(x, y)| x + sign * y).collect();
        Tracked { encrypted: encrypted.unwrap(), values, deviation: x.deviation.hypot(y.deviation) }
    }

    /// Plus a plaintext, where hardly anything is left of the values.
    fn refreshed(&mut self, x: Tracked) -> Tracked {
        if x.rms() > FAINT {
            return x;
        }
        let added = self.c.random_values(1.0);
        let (limbs, scale) = (x.encrypted.limbs(), x.encrypted.scale());
        let plain = self.c.encoder.encode(&added, scale, limbs).unwrap();
        let encrypted = self.c.evaluator.add_plain(&x.encrypted, &plain).unwrap();
        let values = x.values.iter().zip(&added).map(|(x, y)| x + y).collect();
        let deviation = x.deviation.hypot(self.in_slots((1.0 / 12f64).sqrt(), scale));
        Tracked { encrypted, values, deviation }
    }

    /// One level: every new value is a product of old ones.
    fn layer(&mut self, old: &[Tracked]) -> Vec<Tracked> {
        let mut new = Vec::with_capacity(WIDTH);
        for _ in 0..WIDTH {
            let [i, j, k] = [0; 3].map(|_| self.pick(old.len()));
            let shrink = old.iter().any(|x| x.largest() > LARGE);
            let product = match self.pick(4) {
                _ if shrink => self.weighted(&old[i]),
                0 => self.products(&[(&old[i], &old[j])]),
                1 => {
                    let turned = self.rotated(&old[j]);
                    self.products(&[(&old[i], &turned)])
                }
                2 => self.products(&[(&old[i], &old[j]), (&old[j], &old[k])]),
                _ => self.weighted(&old[i]),
            };
            new.push(self.refreshed(product));
        }
        let (i, j) = (self.pick(WIDTH), self.pick(WIDTH));
        if i != j {
            new[i] = self.sum(&new[i], &new[j]);
        }
        new
    }

    /// log2 of measured over expected error, where the expected one can be seen.
    fn excess(&self, x: &Tracked) -> (f64, bool) {
        let found = self.c.reveal(&x.encrypted);
        let squares: f64 = found.iter().zip(&x.values).map(|(x, y)| (x - y).powi(2)).sum();
        let found = (squares / x.values.len() as f64).sqrt();
        let floor = FLOOR * x.largest().max(1.0);
        ((found / x.deviation.max(floor)).log2(), x.deviation > floor)
    }
}

fn run(preset: Preset, parties: u16, circuits: usize) {
    let params = preset.params();
    let top = params.q.len();
    let c = Ceremony::run(params, parties, &plan(top, &ROTATIONS.map(|steps| (steps, top))), false);
    let model = Model::of(&c);
    let mut circuit = Circuit { c, model };
    for number in 0..circuits {
        let mut values: Vec<Tracked> = (0..WIDTH).map(|_| circuit.input()).collect();
        for level in 0..params.depth() {
            values = circuit.layer(&values);
            for x in &values {
                let (bits, visible) = circuit.excess(x);
                let deviation = x.deviation.log2();
                println!("{preset} circuit {number} level {level}: model 2^{deviation:.1}, measured {bits:+.2} bits");
                assert!(bits < 3.0, "{preset}, circuit {number}, level {level}: {bits} bits above the model");
                // The model is not so wide that anything passes.
                assert!(!visible || bits > -3.0, "{preset}, circuit {number}, level {level}: {bits} bits below");
            }
        }
        assert!(values.iter().all(|x| x.encrypted.limbs() == params.base_limbs));
    }
    let fresh = circuit.input().encrypted;
    let spent = circuit.c.evaluator.drop_to(&fresh, params.limbs_per_level).unwrap();
    assert!(matches!(circuit.c.evaluator.rescale(&spent), Err(CkksError::LevelExhausted { .. })));
}

#[test]
fn random_circuits_of_scale_30_stay_within_three_bits_of_the_model_at_every_level() {
    run(Preset::Inf13, 3, 8);
    run(Preset::Inf14x30, 2, 3);
}

#[test]
fn random_circuits_of_scale_60_and_90_stay_within_three_bits_of_the_model_at_every_level() {
    run(Preset::Inf15x60, 2, 1);
    run(Preset::Inf15x90, 2, 1);
}
