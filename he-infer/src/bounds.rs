//! The machine of a certificate: what a program computes from intervals, kept as a graph along which errors are traced
//! back.
//!
//! Forwards, every slot gets the interval of its value over all admissible images and weights, and a deviation that its
//! error stays below whatever depends on what. Backwards, from one logit, every slot of every value gets the most by
//! which an error there changes that logit, over the same images and weights. Noise that comes in somewhere is
//! independent between slots and of all other noise, so that there its variance counts times the square of that most:
//! correlations that products and rotations make between errors are in it, exactly, and need no assumption.
//!
//! One image of a query stands for all: rotations are multiples of the number of images, weights the same for each.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use crate::executor::Machine;
use crate::interval::Interval;
use crate::noise_terms::NoiseTerms;
use crate::program::Program;

/// What is known of one slot.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) value: Interval,
    /// No smaller than the deviation of the error.
    pub(crate) deviation: f64,
}

/// Slots of one image at one scale and level, and how they were made.
pub(crate) struct Bounded {
    pub(crate) slots: Vec<Slot>,
    scale: f64,
    limbs: usize,
    made: Made,
    /// Variance of the noise that came into every slot when they were made.
    noise: f64,
}

enum Made {
    Entered,
    Rotated(Arc<Bounded>, usize),
    Summed(Vec<(Arc<Bounded>, usize)>),
    Added(Arc<Bounded>, Arc<Bounded>),
    /// With noise, and nothing else.
    Switched(Arc<Bounded>),
    Offset(Arc<Bounded>, usize),
    /// x (x + beta).
    Squared(Arc<Bounded>, usize),
}

/// A weight vector: its values, and the variance of its noise in a slot.
struct Weight {
    values: Vec<Interval>,
    noise: f64,
}

/// A program over bounds.
pub(crate) struct BoundsMachine<'a> {
    program: &'a Program,
    weights: Vec<Weight>,
    terms: NoiseTerms,
    /// Deviations within which an error is taken to lie where it meets another error.
    deviations: f64,
}

impl<'a> BoundsMachine<'a> {
    /// `parameters`: intervals in the flat order.
    pub(crate) fn new(program: &'a Program, parameters: &[Interval], terms: NoiseTerms, deviations: f64) -> Self {
        let weight = |of: &crate::program::WeightSlot| {
            let mut values = vec![Interval::ZERO; program.image_slots()];
            for &(slot, parameter) in of.entries() {
                let slot = &mut values[slot as usize];
                *slot = slot.plus(parameters[parameter as usize]);
            }
            values.iter_mut().for_each(|value| *value = value.times(of.factor()));
            Weight { values, noise: terms.slot(terms.weight(of.limbs()), of.scale()) }
        };
        Self { program, weights: program.weights().iter().map(weight).collect(), terms, deviations }
    }

    /// A query's ciphertexts, whose pixels are anywhere in an interval.
    pub(crate) fn query(&self, pixels: Interval) -> Vec<Arc<Bounded>> {
        let (limbs, scale, slots) =
            (self.program.input_limbs(), self.program.input_scale(), self.program.image_slots());
        // A query may have room for more images than it carries.
        let pixels = if self.program.images() > 1 { pixels.with_zero() } else { pixels };
        let mut query = vec![vec![Interval::ZERO; slots]; self.program.inputs()];
        for (slot, _) in &self.program.packing {
            query[*slot as usize / slots][*slot as usize % slots] = pixels;
        }
        let noise = self.terms.slot(self.terms.query(limbs), scale);
        let enter = |values: Vec<Interval>| {
            let slots = values.into_iter().map(|value| Slot { value, deviation: noise.sqrt() }).collect();
            Arc::new(Bounded { slots, scale, limbs, made: Made::Entered, noise })
        };
        query.into_iter().map(enter).collect()
    }

    /// The slots of `x` with noise of this variance, at another scale or level.
    fn noisier(&self, x: &Arc<Bounded>, noise: f64, (scale, limbs): (f64, usize)) -> Arc<Bounded> {
        let deviation = noise.sqrt();
        let slots = x.slots.iter().map(|slot| Slot { deviation: slot.deviation + deviation, ..*slot }).collect();
        Arc::new(Bounded { slots, scale, limbs, made: Made::Switched(Arc::clone(x)), noise })
    }

    /// Largest absolute value of a slot, error included.
    fn reach(&self, slot: &Slot) -> f64 {
        slot.value.magnitude() + self.deviations * slot.deviation
    }

    /// The square of an error, which is complex: both parts lie within their deviations.
    fn squared(&self, slot: &Slot) -> f64 {
        2.0 * (self.deviations * slot.deviation).powi(2)
    }

    fn sum(&self, terms: &[(&Arc<Bounded>, usize)]) -> Arc<Bounded> {
        let mut slots = vec![Slot { value: Interval::ZERO, deviation: 0.0 }; self.program.image_slots()];
        let (mut scale, mut limbs) = (1.0, self.program.output_limbs());
        for (x, weight) in terms {
            (scale, limbs) = (x.scale * self.program.weights()[*weight].scale(), x.limbs);
            let weight = &self.weights[*weight];
            let noise = weight.noise.sqrt();
            for ((sum, x), w) in slots.iter_mut().zip(&x.slots).zip(&weight.values) {
                sum.value = sum.value.plus(x.value.product(*w));
                // (x + dx) (w + dw) - x w = w dx + (x + dx) dw.
                sum.deviation += w.magnitude() * x.deviation + self.reach(x) * noise;
            }
        }
        let terms = terms.iter().map(|(x, weight)| (Arc::clone(x), *weight)).collect();
        Arc::new(Bounded { slots, scale, limbs, made: Made::Summed(terms), noise: 0.0 })
    }

    fn rescaled(&self, x: &Arc<Bounded>) -> Arc<Bounded> {
        let (divisor, limbs) = self.terms.dropped(x.limbs);
        let scale = x.scale / divisor;
        let switch = self.terms.slot(self.terms.relinearisation(x.limbs), x.scale);
        self.noisier(x, switch + self.terms.slot(self.terms.rounding, scale), (scale, limbs))
    }

    /// No smaller than the deviation of one logit of the result, averaged over its copies.
    pub(crate) fn deviation(&self, result: &Arc<Bounded>, logit: usize) -> f64 {
        let (period, slots) = (self.program.output_period(), self.program.image_slots());
        let share = |slot: usize| if slot % period == logit { period as f64 / slots as f64 } else { 0.0 };
        let mut trace = Trace {
            machine: self,
            effects: BTreeMap::from([(key(result), (0..slots).map(share).collect())]),
            of_weights: BTreeMap::new(),
            variance: 0.0,
            squares: 0.0,
        };
        for value in order(result).iter().rev() {
            trace.back(value);
        }
        let weights: f64 = trace.of_weights.iter().map(|(weight, by)| self.weights[*weight].noise * norm2(by)).sum();
        (trace.variance + weights).sqrt() + trace.squares
    }
}

/// All values that a result was made from, each after those that it was made from itself.
fn order(result: &Arc<Bounded>) -> Vec<&Arc<Bounded>> {
    let mut order = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut open = vec![(result, false)];
    while let Some((value, done)) = open.pop() {
        if done {
            order.push(value);
        } else if seen.insert(key(value)) {
            open.push((value, true));
            match &value.made {
                Made::Entered => {}
                Made::Rotated(x, _) | Made::Switched(x) | Made::Offset(x, _) | Made::Squared(x, _) => {
                    open.push((x, false))
                }
                Made::Added(x, y) => open.extend([(x, false), (y, false)]),
                Made::Summed(terms) => open.extend(terms.iter().map(|(x, _)| (x, false))),
            }
        }
    }
    order
}

/// What tells values of one graph apart. It orders nothing that a result depends on.
fn key(value: &Arc<Bounded>) -> usize {
    Arc::as_ptr(value) as usize
}

fn norm2(by: &[f64]) -> f64 {
    by.iter().map(|by| by * by).sum()
}

/// One walk backwards.
struct Trace<'m, 'a> {
    machine: &'m BoundsMachine<'a>,
    /// By value: the most by which an error of a slot changes the logit.
    effects: BTreeMap<usize, Vec<f64>>,
    /// The same for the noise of weight vectors, each of which may be used several times.
    of_weights: BTreeMap<usize, Vec<f64>>,
    variance: f64,
    /// Squares of errors, which add up whatever they depend on.
    squares: f64,
}

impl Trace<'_, '_> {
    /// Passes on what errors of a value do, to what it was made from.
    fn back(&mut self, value: &Arc<Bounded>) {
        let Some(effect) = self.effects.remove(&key(value)) else { return };
        self.variance += value.noise * norm2(&effect);
        match &value.made {
            Made::Entered => {}
            Made::Rotated(x, by) => {
                let mut effect = effect;
                effect.rotate_right(*by);
                self.pass(x, effect.into_iter());
            }
            Made::Switched(x) => self.pass(x, effect.into_iter()),
            Made::Added(x, y) => {
                self.pass(x, effect.iter().copied());
                self.pass(y, effect.into_iter());
            }
            Made::Summed(terms) => {
                for (x, weight) in terms {
                    let values = &self.machine.weights[*weight].values;
                    self.pass(x, effect.iter().zip(values).map(|(by, w)| by * w.magnitude()));
                    let reach = x.slots.iter().map(|slot| self.machine.reach(slot));
                    self.pass_to_weight(*weight, effect.iter().zip(reach).map(|(by, reach)| by * reach));
                }
            }
            Made::Offset(x, weight) => {
                self.pass_to_weight(*weight, effect.iter().copied());
                self.pass(x, effect.into_iter());
            }
            Made::Squared(x, beta) => {
                let reach = x.slots.iter().map(|slot| self.machine.reach(slot));
                self.pass_to_weight(*beta, effect.iter().zip(reach).map(|(by, reach)| by * reach));
                let squares = x.slots.iter().map(|slot| self.machine.squared(slot));
                self.squares += effect.iter().zip(squares).map(|(by, square)| by * square).sum::<f64>();
                let slopes =
                    x.slots.iter().zip(&self.machine.weights[*beta].values).map(|(x, beta)| x.value.slope(*beta));
                self.pass(x, effect.iter().zip(slopes).map(|(by, slope)| by * slope));
            }
        }
    }

    fn pass(&mut self, value: &Arc<Bounded>, effect: impl Iterator<Item = f64>) {
        add(self.effects.entry(key(value)).or_default(), effect);
    }

    fn pass_to_weight(&mut self, weight: usize, effect: impl Iterator<Item = f64>) {
        add(self.of_weights.entry(weight).or_default(), effect);
    }
}

fn add(sum: &mut Vec<f64>, effect: impl Iterator<Item = f64>) {
    if sum.is_empty() {
        sum.extend(effect);
    } else {
        sum.iter_mut().zip(effect).for_each(|(sum, by)| *sum += by);
    }
}

impl Machine for BoundsMachine<'_> {
    type Value = Arc<Bounded>;
    type Error = Infallible;

    fn rotate(&self, x: &Arc<Bounded>, rotation: i32) -> Result<Arc<Bounded>, Infallible> {
        // As many images lie side by side in the ciphertext; here is one.
        let by = i64::from(rotation) / self.program.images() as i64;
        let by = by.rem_euclid(x.slots.len() as i64) as usize;
        let noise = self.terms.slot(self.terms.rotation(x.limbs), x.scale);
        let deviation = noise.sqrt();
        let mut slots: Vec<Slot> =
            x.slots.iter().map(|slot| Slot { deviation: slot.deviation + deviation, ..*slot }).collect();
        slots.rotate_left(by);
        Ok(Arc::new(Bounded { slots, scale: x.scale, limbs: x.limbs, made: Made::Rotated(Arc::clone(x), by), noise }))
    }

    fn sum_products(&self, sums: &[Vec<(&Arc<Bounded>, usize)>]) -> Result<Vec<Arc<Bounded>>, Infallible> {
        Ok(sums.iter().map(|terms| self.sum(terms)).collect())
    }

    fn nothing(&self) -> Result<Arc<Bounded>, Infallible> {
        Ok(self.sum(&[]))
    }

    fn add(&self, x: Arc<Bounded>, y: &Arc<Bounded>) -> Result<Arc<Bounded>, Infallible> {
        let both = |(x, y): (&Slot, &Slot)| Slot { value: x.value.plus(y.value), deviation: x.deviation + y.deviation };
        let slots = x.slots.iter().zip(&y.slots).map(both).collect();
        let (scale, limbs) = (x.scale, x.limbs);
        Ok(Arc::new(Bounded { slots, scale, limbs, made: Made::Added(x, Arc::clone(y)), noise: 0.0 }))
    }

    fn relinearise(&self, x: &Arc<Bounded>) -> Result<Arc<Bounded>, Infallible> {
        let coefficient = self.terms.rounding + self.terms.relinearisation(x.limbs);
        Ok(self.noisier(x, self.terms.slot(coefficient, x.scale), (x.scale, x.limbs)))
    }

    fn rescale(&self, x: &Arc<Bounded>) -> Result<Arc<Bounded>, Infallible> {
        Ok(self.rescaled(x))
    }

    fn add_weight(&self, x: Arc<Bounded>, weight: usize) -> Result<Arc<Bounded>, Infallible> {
        let of = &self.weights[weight];
        let deviation = of.noise.sqrt();
        let sum = |(x, w): (&Slot, &Interval)| Slot { value: x.value.plus(*w), deviation: x.deviation + deviation };
        let slots = x.slots.iter().zip(&of.values).map(sum).collect();
        let (scale, limbs) = (x.scale, x.limbs);
        Ok(Arc::new(Bounded { slots, scale, limbs, made: Made::Offset(x, weight), noise: 0.0 }))
    }

    fn quadratic(&self, x: &Arc<Bounded>, weight: usize) -> Result<Arc<Bounded>, Infallible> {
        let beta = &self.weights[weight];
        let noise = beta.noise.sqrt();
        let square = |(x, beta): (&Slot, &Interval)| Slot {
            value: x.value.quadratic(*beta),
            // (x + dx) (x + dx + beta + dbeta) - x (x + beta) = (2 x + beta) dx + dx^2 + (x + dx) dbeta.
            deviation: x.value.slope(*beta) * x.deviation + self.squared(x) + self.reach(x) * noise,
        };
        let slots = x.slots.iter().zip(&beta.values).map(square).collect();
        let (scale, limbs) = (x.scale * x.scale, x.limbs);
        let y = Bounded { slots, scale, limbs, made: Made::Squared(Arc::clone(x), weight), noise: 0.0 };
        Ok(self.rescaled(&Arc::new(y)))
    }
}
