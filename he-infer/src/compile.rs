//! `Program::compile` and everything that can keep a network from becoming a program.

use he_agg::{Params, Preset};
use thiserror::Error;

use crate::layer::ImageShape;
use crate::lower::lower;
use crate::network::Network;
use crate::plan::plan;
use crate::program::Program;
use crate::summary::rotation_bytes;

/// Seeded rotation keys a program may need before fewer keys are preferred to fewer operations.
const KEY_BYTES: usize = 150_000_000;
/// What sparing a key is worth in later attempts; at the last one about all splits are square.
const KEY_WORTHS: [usize; 3] = [4, 16, 64];

/// Why a network does not compile for a parameter set. `layer` counts from 0.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The parameter set cannot multiply.
    #[error("{preset} is for aggregation and has no levels; use INF14-30, INF15-60 or INF15-90")]
    Preset {
        /// The parameter set.
        preset: Preset,
    },
    /// Layers cost levels (a quartic two, an average pool none), and there are too few.
    #[error(
        "layer {layer} ({kind}) exceeds the {depth} levels of {preset}, the network needs {needed}; {}",
        fewer_levels(*.deeper, *.depth)
    )]
    Depth {
        /// First layer without a level.
        layer: usize,
        /// Its kind.
        kind: &'static str,
        /// Levels the whole network needs.
        needed: usize,
        /// The parameter set.
        preset: Preset,
        /// Its levels.
        depth: usize,
        /// A parameter set with enough levels, if there is one.
        deeper: Option<Preset>,
    },
    /// The unfolded image of the first convolution is larger than a ciphertext.
    #[error(
        "layer {layer} (conv): {positions} output positions in each of {tiles} tiles ({taps} taps) do \
         not fit {slots} slots, which hold {capacity} positions per tile; {}",
        smaller(*.stride)
    )]
    Positions {
        /// Index of the layer.
        layer: usize,
        /// Output positions.
        positions: usize,
        /// Input channels times kernel area.
        taps: usize,
        /// Tiles: taps or the widest convolution, padded to a power of two.
        tiles: usize,
        /// Slots of a ciphertext.
        slots: usize,
        /// Positions that would fit.
        capacity: usize,
        /// Smallest larger stride that fits with this kernel and default padding.
        stride: Option<usize>,
    },
    /// The output of a later convolution is larger than the grid its input lives on.
    #[error("layer {layer} ({kind}): output {output} does not fit the grid of its input {input}; use less padding")]
    OutputGrid {
        /// Index of the layer.
        layer: usize,
        /// Its kind.
        kind: &'static str,
        /// Shape that leaves.
        output: ImageShape,
        /// Shape that enters.
        input: ImageShape,
    },
    /// A dense layer with more units than slots.
    #[error("layer {layer} (dense): {units} units, padded to a power of two, exceed {slots} slots; use fewer units")]
    Units {
        /// Index of the layer.
        layer: usize,
        /// Units.
        units: usize,
        /// Slots of a ciphertext.
        slots: usize,
    },
    /// A first dense layer with more pixels than slots.
    #[error("layer {layer} (dense): {pixels} pixels exceed {slots} slots; start with a strided convolution")]
    Pixels {
        /// Index of the layer.
        layer: usize,
        /// Pixels of the image.
        pixels: usize,
        /// Slots of a ciphertext.
        slots: usize,
    },
    /// A layer met a layout that no checked network leads to: a defect of this crate.
    #[error("layer {layer}: no lowering for this order of layers; please report the network")]
    Internal {
        /// Index of the layer.
        layer: usize,
    },
}

fn fewer_levels(deeper: Option<Preset>, depth: usize) -> String {
    match deeper {
        Some(preset) => format!("use at most {depth} levels (quartic 2, average-pool 0, others 1) or {preset}"),
        None => format!("use at most {depth} levels (quartic 2, average-pool 0, others 1)"),
    }
}

fn smaller(stride: Option<usize>) -> String {
    match stride {
        Some(stride) => format!("use stride {stride}, or a smaller kernel"),
        None => "use a smaller kernel or a smaller image".to_owned(),
    }
}

impl Program {
    /// Compiles a network for a parameter set.
    ///
    /// Deterministic: equal inputs give equal digests on every machine.
    ///
    /// # Errors
    /// Too many layers for the levels, or a layer too large for the slots; the message names the
    /// layer and what would fit.
    pub fn compile(network: &Network, params: &'static Params) -> Result<Self, CompileError> {
        Self::compile_wide(network, params, 1)
    }

    /// As `compile`, for images that may take up to `inputs_max` ciphertexts, rounded down to a
    /// power of two. As few as hold the first convolution's taps are used; `inputs` tells.
    ///
    /// # Errors
    /// As `compile`.
    pub fn compile_wide(network: &Network, params: &'static Params, inputs_max: usize) -> Result<Self, CompileError> {
        let (preset, depth) = (params.preset, params.depth());
        if depth == 0 || params.p.is_empty() {
            return Err(CompileError::Preset { preset });
        }
        let needed = network.layers().iter().map(|layer| layer.operation.levels()).sum();
        let mut levels = 0;
        let broke = network.layers().iter().position(|layer| {
            levels += layer.operation.levels();
            levels > depth
        });
        if let Some((index, layer)) = broke.and_then(|index| Some((index, network.layers().get(index)?))) {
            let candidates = Preset::ALL.into_iter().filter(|other| *other != Preset::Inf13);
            return Err(CompileError::Depth {
                layer: index,
                kind: layer.operation.kind(),
                needed,
                preset,
                depth,
                deeper: candidates
                    .filter(|other| other.params().depth() >= needed)
                    .max_by_key(|other| other.params().limbs_per_level),
            });
        }
        let lower_and_plan = |key_worth: usize| {
            let mut lowered = lower(network, params, (key_worth, inputs_max))?;
            let plan = plan(params, &mut lowered.steps, &mut lowered.weights);
            Ok::<_, CompileError>((lowered, plan))
        };
        // The fastest split into baby and giant steps, unless its keys are too many.
        let (mut lowered, mut plan) = lower_and_plan(1)?;
        for key_worth in KEY_WORTHS {
            if rotation_bytes(params, &plan.key_plan) <= KEY_BYTES {
                break;
            }
            (lowered, plan) = lower_and_plan(key_worth)?;
        }
        lowered.packing.sort_unstable();
        let mut program = Self {
            network: network.clone(),
            params,
            steps: lowered.steps,
            weights: lowered.weights,
            packing: lowered.packing,
            inputs: lowered.inputs,
            period: lowered.period,
            input_limbs: plan.input_limbs,
            output_scale: plan.output_scale,
            key_plan: plan.key_plan,
            digest: [0; 32],
        };
        program.digest = program.fingerprint();
        Ok(program)
    }
}
