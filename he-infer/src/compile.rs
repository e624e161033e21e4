//! `Program::compile` and everything that can keep a network from becoming a program.

use he_agg::{Params, Preset};
use thiserror::Error;

use crate::layer::{ImageShape, Operation};
use crate::lower::{Choice, lower, powers};
use crate::network::Network;
use crate::plan::plan;
use crate::program::Program;
use crate::summary::rotation_bytes;

/// Seeded rotation keys a program may need before fewer keys are preferred to fewer operations.
const KEY_BYTES: usize = 150_000_000;
/// What sparing a key is worth in later attempts; at the last one about all splits are square.
const KEY_WORTHS: [usize; 3] = [4, 16, 64];
/// Ciphertexts that a query of several images may take.
const BATCH_INPUTS_MAX: usize = 128;
/// Encrypted model beyond which more images per query are not worth it.
const MODEL_BYTES: usize = 1 << 30;

/// Why a network does not compile for a parameter set. `layer` counts from 0.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The parameter set cannot multiply, or releases no answers.
    #[error("{preset} is not for serving; use INF14-30, INF15-60 or INF15-90")]
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
    /// No image, or more than slots.
    #[error("{images} images in one query of {preset}; use 1 to {slots}, which leaves one slot to an image")]
    Images {
        /// Images asked for.
        images: usize,
        /// The parameter set.
        preset: Preset,
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
        Some(stride) => format!("use stride {stride}, a smaller kernel, or several ciphertexts per image"),
        None => "use a smaller kernel, a smaller image, or several ciphertexts per image".to_owned(),
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
    /// power of two. As few as hold the first layer are used; `inputs` tells.
    ///
    /// # Errors
    /// As `compile`.
    pub fn compile_wide(network: &Network, params: &'static Params, inputs_max: usize) -> Result<Self, CompileError> {
        check_levels(network, params)?;
        // Feature maps of several ciphertexts cost more, and are for what does not fit otherwise.
        let layout = |planes: usize| Layout { inputs_max, planes, images: 1 };
        let mut found = Self::with_layout(network, params, layout(1));
        for planes in powers(2, inputs_max.min(widest(network)) + 1) {
            if found.is_ok() {
                break;
            }
            found = Self::with_layout(network, params, layout(planes)).or(found);
        }
        found
    }

    /// Compiles a network for queries of up to `images` images, rounded up to a power of two: one
    /// evaluation answers all of them, faster per image and later for the first. Queries and
    /// feature maps may take several ciphertexts.
    ///
    /// # Errors
    /// As `compile`; what does not fit may fit with fewer images.
    pub fn compile_batch(network: &Network, params: &'static Params, images: usize) -> Result<Self, CompileError> {
        check_levels(network, params)?;
        let (preset, slots) = (params.preset, params.slots());
        if !(1..=slots).contains(&images) {
            return Err(CompileError::Images { images, preset, slots });
        }
        let images = images.next_power_of_two();
        let mut least: Result<Self, CompileError> = Self::with_layout(network, params, batch_layout(images, 1));
        for planes in powers(2, widest(network).next_power_of_two() + 1) {
            least = match (least, Self::with_layout(network, params, batch_layout(images, planes))) {
                (Ok(least), Ok(other)) if other.cost() >= least.cost() => Ok(least),
                (Ok(least), Err(_)) => Ok(least),
                // Where nothing fits, the widest attempt tells what is missing.
                (_, other) => other,
            };
        }
        least
    }

    /// Compiles for the number of images that the cost model predicts the least time per image for,
    /// among models of at most 2^30 bytes.
    ///
    /// # Errors
    /// As `compile`, if not even one image fits.
    pub fn compile_best_batch(network: &Network, params: &'static Params) -> Result<Self, CompileError> {
        let mut best = Self::compile_batch(network, params, 1)?;
        for images in powers(2, params.slots() / best.period + 1) {
            let Ok(other) = Self::compile_batch(network, params, images) else {
                break;
            };
            if other.summary().model_bytes <= MODEL_BYTES && other.cost() * best.images < best.cost() * images {
                best = other;
            }
        }
        Ok(best)
    }

    fn with_layout(network: &Network, params: &'static Params, layout: Layout) -> Result<Self, CompileError> {
        let Layout { inputs_max, planes, images } = layout;
        let lower_and_plan = |key_worth: usize| {
            let mut lowered = lower(network, params, Choice { key_worth, inputs_max, planes, images })?;
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
            images,
            period: lowered.period,
            input_limbs: plan.input_limbs,
            output_scale: plan.output_scale,
            key_plan: plan.key_plan,
            planes: None,
            digest: [0; 32],
        };
        program.digest = program.fingerprint();
        Ok(program)
    }
}

/// How many ciphertexts and images a program is for.
#[derive(Clone, Copy)]
struct Layout {
    inputs_max: usize,
    planes: usize,
    images: usize,
}

fn batch_layout(images: usize, planes: usize) -> Layout {
    Layout { inputs_max: BATCH_INPUTS_MAX, planes, images }
}

/// Channels of the widest convolution, over which planes share out.
fn widest(network: &Network) -> usize {
    let convs = network.layers().iter().filter(|layer| matches!(layer.operation, Operation::Conv { .. }));
    convs.map(|layer| layer.output.channels).max().unwrap_or(1)
}

/// Refuses parameter sets without levels and networks with too many layers.
fn check_levels(network: &Network, params: &Params) -> Result<(), CompileError> {
    let (preset, depth) = (params.preset, params.depth());
    if !preset.releases() {
        return Err(CompileError::Preset { preset });
    }
    let needed = network.layers().iter().map(|layer| layer.operation.levels()).sum();
    let mut levels = 0;
    let broke = network.layers().iter().position(|layer| {
        levels += layer.operation.levels();
        levels > depth
    });
    let Some((index, layer)) = broke.and_then(|index| Some((index, network.layers().get(index)?))) else {
        return Ok(());
    };
    let candidates = Preset::ALL.into_iter().filter(|other| other.releases() && *other != Preset::Inf13);
    Err(CompileError::Depth {
        layer: index,
        kind: layer.operation.kind(),
        needed,
        preset,
        depth,
        deeper: candidates
            .filter(|other| other.params().depth() >= needed)
            .max_by_key(|other| other.params().limbs_per_level),
    })
}
