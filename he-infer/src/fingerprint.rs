//! The digest of a program, by which those who compile it alone compare what they got.

use sha2::{Digest, Sha256};

use crate::diagonal::Entry;
use crate::network::Network;
use crate::program::Program;
use crate::step::Step;

impl Program {
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Fingerprint(Sha256::new_with_prefix(b"he-infer/program/v3"));
        hash.0.update(self.params.digest());
        hash.network(&self.network);
        hash.number(self.steps.len());
        for step in &self.steps {
            hash.step(step);
        }
        hash.number(self.weights.len());
        for weight in &self.weights {
            hash.numbers([weight.layer(), weight.limbs]);
            hash.0.update(weight.scale.to_bits().to_le_bytes());
            hash.0.update(weight.factor.to_bits().to_le_bytes());
            hash.entries(&weight.entries);
        }
        hash.entries(&self.packing);
        hash.numbers([self.period, self.input_limbs, self.inputs, self.images]);
        hash.0.update(self.output_scale.to_bits().to_le_bytes());
        if let Some(pixels) = self.planes {
            hash.0.update(b"planes");
            for end in [pixels.least(), pixels.most()] {
                hash.0.update(end.to_bits().to_le_bytes());
            }
        }
        hash.0.finalize().into()
    }
}

/// Length-prefixed, little-endian: two different programs never hash the same bytes.
struct Fingerprint(Sha256);

impl Fingerprint {
    fn number(&mut self, value: usize) {
        self.0.update((value as u64).to_le_bytes());
    }

    fn numbers(&mut self, values: impl IntoIterator<Item = usize>) {
        for value in values {
            self.number(value);
        }
    }

    fn rotations(&mut self, rotations: &[i32]) {
        self.number(rotations.len());
        for rotation in rotations {
            self.0.update(rotation.to_le_bytes());
        }
    }

    fn entries(&mut self, entries: &[Entry]) {
        self.number(entries.len());
        for (slot, index) in entries {
            self.0.update(slot.to_le_bytes());
            self.0.update(index.to_le_bytes());
        }
    }

    fn network(&mut self, network: &Network) {
        let image = network.image();
        self.numbers([image.channels, image.height, image.width]);
        self.numbers([network.classes(), network.tensors().len()]);
        for tensor in network.tensors() {
            self.number(tensor.name.len());
            self.0.update(tensor.name.as_bytes());
            self.number(tensor.shape.len());
            self.numbers(tensor.shape.iter().copied());
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Linear(step) => {
                self.numbers([0, step.layer, step.limbs, step.inputs]);
                self.rotations(&step.shifts);
                self.rotations(&step.babies);
                self.rotations(&[step.giant]);
                self.rotations(&step.folds);
                self.number(step.outputs.len());
                for output in &step.outputs {
                    self.numbers([output.bias, output.groups.len()]);
                    for group in &output.groups {
                        self.number(group.len());
                        for term in group {
                            self.numbers([term.input, term.shift, term.baby, term.weight]);
                        }
                    }
                }
            }
            Step::Quadratic(step) => {
                self.numbers([1, step.layer, step.limbs, step.betas.len()]);
                self.numbers(step.betas.iter().copied());
            }
        }
    }
}
