//! Queries under the asker's own secret: half the bytes of a public-key query, one key switch each.

use he_agg::Stream;
use he_agg::ckks::{Ciphertext, Encoder, SeededCiphertext};
use he_agg::multiparty::{QueryKey, QuerySecret};
use ndarray::ArrayView3;
use rayon::prelude::*;

use crate::encrypted::{EncryptedExecutor, ExecuteError};
use crate::model::{ModelError, Place, at};
use crate::program::Program;

impl Program {
    /// As `encrypt_images`, under the asker's own secret: one polynomial and a seed per ciphertext.
    ///
    /// # Errors
    /// As `encrypt_images`, or a secret of another parameter set.
    pub fn encrypt_own(
        &self,
        images: &[ArrayView3<'_, f32>],
        secret: &QuerySecret,
        stream: &mut Stream,
    ) -> Result<Vec<SeededCiphertext>, ModelError> {
        let encoder = Encoder::new(self.params().preset).map_err(|source| at(Place::Query, source))?;
        let packed = self.pack_images(images)?;
        let mut encrypt = |slots: &Vec<f64>| {
            let plain = encoder.encode(slots, self.input_scale(), self.input_limbs())?;
            secret.encrypt(&plain, stream)
        };
        packed.iter().map(|slots| encrypt(slots).map_err(|source| at(Place::Query, source))).collect()
    }
}

impl EncryptedExecutor<'_> {
    /// A query under the asker's secret as one for `run_all`.
    ///
    /// # Errors
    /// Another number of ciphertexts, another preset, level or scale, a key of another preset or
    /// trimmed below the program's top level.
    pub fn switch_query(&self, query: &[SeededCiphertext], key: &QueryKey) -> Result<Vec<Ciphertext>, ExecuteError> {
        self.program().check_inputs(query.len()).map_err(ModelError::Input)?;
        let switch = |input: &SeededCiphertext| self.evaluator().switch_to_collective(input, key);
        let switched = query.par_iter().map(switch).collect::<Result<_, _>>();
        Ok(switched.map_err(|source| at(Place::Query, source))?)
    }
}
