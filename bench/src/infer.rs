//! `consilium bench infer`: one encrypted image on an encrypted model, and on the same model in the clear.

use std::path::{Path, PathBuf};

use clap::Args;
use client::model_file::ModelFile;
use experiment::Experiment;
use he_agg::{DeviceChoice, Preset};
use he_infer::{ImageShape, LayerSpec, Network, Program};
use remedy::Exit;

use super::{
    Measured,
    device::{DeviceFlags, Selected},
    engine::{Engine, EngineFlags},
    error::BenchError,
    he,
    progress::Progress,
    random_model::{self, QueryKind},
    resident_model::{self, Asked},
    table::{COLUMNS, Table, cells, three_figures},
    trained, trained_report,
};

/// Most images of one run: an hour at a second each.
const IMAGES_MAX: usize = 3600;

/// Ciphertexts that one image may take.
const INPUTS_MAX: usize = 16;

/// Queries if nothing is said, of random weights.
const QUERIES: usize = 11;

/// Most queries that take every step together.
const QUERIES_MAX: usize = 4096;

/// Flags of `bench infer`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("help/infer.txt"))]
pub struct InferArgs {
    /// A trained model (.safetensors), or an experiment file, whose network is taken with random weights.
    #[arg(long, value_name = "FILE", conflicts_with = "network")]
    pub model: Option<PathBuf>,
    /// A network by name, with random weights.
    #[arg(long, value_name = "NAME", default_value = "tutorial")]
    pub network: String,
    /// Parameter set.
    #[arg(long, value_name = "PRESET", default_value = "INF15-90")]
    pub preset: String,
    /// Queries of random weights; images of a trained model, 0 or absent for the whole test part, fewer are spread over
    /// it.
    #[arg(long, value_name = "N")]
    pub images: Option<usize>,
    /// Images in one query of random weights: a power of two, or best for the least predicted time per image.
    #[arg(long, value_name = "N", value_parser = per_query)]
    pub per_query: Option<PerQuery>,
    /// Queries of random weights that take every step together, beside the single ones.
    #[arg(long, value_name = "N")]
    pub queries: Option<usize>,
    /// The device.
    #[command(flatten)]
    pub device: DeviceFlags,
    /// Encrypt queries of random weights under the asker's own secret: half the bytes, one more key switch.
    #[arg(long)]
    pub own_key: bool,
    /// Where a trained model's images are: an .npz file or a folder.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Hospitals that share the key of a trained model; 5 if absent, 1 where the preset has no room for flooding.
    #[arg(long, value_name = "N")]
    pub hospitals: Option<u16>,
    /// Threads and instruction set.
    #[command(flatten)]
    pub engine: EngineFlags,
}

/// Images in one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerQuery {
    /// So many.
    Images(usize),
    /// As many as make the predicted time per image least.
    Best,
}

fn per_query(text: &str) -> Result<PerQuery, String> {
    match text.parse::<usize>() {
        _ if text == "best" => Ok(PerQuery::Best),
        Ok(images) if images.is_power_of_two() => Ok(PerQuery::Images(images)),
        _ => Err("write a power of two, or best".to_owned()),
    }
}

/// Measures.
///
/// # Errors
/// A flag that does not fit, or a network that does not fit the preset.
pub fn run(arguments: &InferArgs, progress: &mut dyn Progress) -> Result<Measured, BenchError> {
    let preset = he::preset(&arguments.preset)?;
    let trained = |file: &&PathBuf| file.extension().is_some_and(|extension| extension == "safetensors");
    if let Some(file) = arguments.model.as_ref().filter(trained) {
        return run_trained(arguments, file, preset, progress);
    }
    for (flag, given) in [("--data", arguments.data.is_some()), ("--hospitals", arguments.hospitals.is_some())] {
        if given {
            return Err(BenchError::OnlyTrained { flag });
        }
    }
    let queries = arguments.images.unwrap_or(QUERIES);
    if !(1..=IMAGES_MAX).contains(&queries) {
        return Err(BenchError::Images { images: queries, max: IMAGES_MAX });
    }
    let (name, network) = match &arguments.model {
        Some(file) => {
            let experiment = Experiment::load(file, &[]).map_err(|source| BenchError::Model(Box::new(source)))?;
            (experiment.name().to_owned(), experiment.network().clone())
        }
        None => (arguments.network.clone(), named(&arguments.network)?),
    };
    let params = preset.params();
    let program = match arguments.per_query {
        None | Some(PerQuery::Images(1)) => Program::compile_wide(&network, params, INPUTS_MAX),
        Some(PerQuery::Images(images)) => Program::compile_batch(&network, params, images),
        Some(PerQuery::Best) => Program::compile_best_batch(&network, params),
    };
    let program = program.map_err(BenchError::Compile)?;
    let kind = if arguments.own_key { QueryKind::OwnKey } else { QueryKind::PublicKey };
    let engine = Engine::start(&arguments.engine)?;
    let selected = Selected::find(arguments.device)?;
    let together = arguments.queries.unwrap_or(1);
    if !(1..=QUERIES_MAX).contains(&together) {
        return Err(BenchError::Queries { queries: together, max: QUERIES_MAX });
    }
    if arguments.queries.is_some() || !selected.is_cpu() {
        if arguments.own_key {
            return Err(BenchError::OnlyCpu { flag: "--own-key" });
        }
        let asked = Asked { program: &program, name: &name, single: queries, together, engine: &engine };
        return resident(&selected, asked, progress);
    }
    progress.group(&format!("{name} on {preset}"));
    let run = engine.run(|| random_model::answer(&program, kind, queries, progress));
    progress.finish();
    let (rows, summary) = random_model::report(&run?, &program, &name, &engine);
    let mut table = Table::new(&COLUMNS);
    rows.iter().filter(|row| row.median_ns.is_some()).for_each(|row| table.push(cells(row)));
    let each = program.images();
    let head = format!("{name}, {preset}, {queries} queries of {each} image{}", if each == 1 { "" } else { "s" });
    let text = format!("{head}, {}\n{}\n\n{summary}", engine.text(), table.text());
    Ok(Measured { text, rows, exit: Exit::Done })
}

/// Keys and model where they are computed on.
fn resident(selected: &Selected, asked: Asked<'_>, progress: &mut dyn Progress) -> Result<Measured, BenchError> {
    let Asked { program, name, single, together, engine } = asked;
    let preset = program.params().preset;
    progress.group(&format!("{name} on {preset}"));
    let answered = resident_model::answer(selected, asked, progress)?;
    progress.finish();
    let mut table = Table::new(&[&COLUMNS[..], &["together", "images/s"]].concat());
    for row in answered.rows.iter().filter(|row| row.median_ns.is_some()) {
        let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), three_figures);
        let together = row.batch.map_or_else(|| "–".to_owned(), |batch| batch.to_string());
        table.push([cells(row), vec![together, number(row.images_per_second)]].concat());
    }
    let verdict = match answered.wrong {
        0 => format!("exact       all {} answers are the processor's bit for bit", answered.compared),
        wrong => format!("NOT EXACT   {wrong} of {} answers differ from the processor's", answered.compared),
    };
    let [agreed, images] = answered.agreed;
    let text = format!(
        "{}\n\n{name}, {preset}, {single} single queries, {together} together, {} in each, {}\n{}\n\n  \
         {verdict}\n\n{}\nlargest logit difference from the plain forward pass {:.1e}, {agreed} of {images} answers \
         equal",
        selected.line(),
        if program.images() == 1 { "1 image".to_owned() } else { format!("{} images", program.images()) },
        engine.text(),
        table.text(),
        program.summary(),
        answered.delta,
    );
    let exit = if answered.wrong == 0 { Exit::Done } else { Exit::Verification };
    Ok(Measured { text, rows: answered.rows, exit })
}

fn run_trained(
    arguments: &InferArgs,
    file: &Path,
    preset: Preset,
    progress: &mut dyn Progress,
) -> Result<Measured, BenchError> {
    for (flag, given) in [
        ("--per-query", arguments.per_query.is_some()),
        ("--own-key", arguments.own_key),
        ("--queries", arguments.queries.is_some()),
        ("--device", arguments.device.device != DeviceChoice::Cpu),
    ] {
        if given {
            return Err(BenchError::OnlyRandom { flag });
        }
    }
    let model = ModelFile::read(file)?;
    let hospitals = trained::hospitals(preset, arguments.hospitals)?;
    let network = &model.heading().network;
    let program = Program::compile_wide(network, preset.params(), INPUTS_MAX).map_err(BenchError::Compile)?;
    let chosen = trained::images(&model, arguments.data.as_deref(), arguments.images.unwrap_or(0))?;
    let engine = Engine::start(&arguments.engine)?;
    progress.group(&format!("{} on {preset}", model.heading().name));
    let answers = engine.run(|| trained::answer((&model, &program), &chosen, hospitals, progress));
    progress.finish();
    Ok(trained_report::measured(&answers?, (&program, &model.heading().name), hospitals, &engine))
}

/// A network of the README's table.
fn named(name: &str) -> Result<Network, BenchError> {
    let (conv, q, dense) = (LayerSpec::conv, LayerSpec::quadratic(), LayerSpec::dense);
    let tutorial = LayerSpec::Conv { channels: 4, kernel: 7, stride: 3, padding: Some(0) };
    let (side, layers) = match name {
        "tutorial" => (28, vec![tutorial, q, dense(64), q, dense(10)]),
        "lola" => (28, vec![conv(5, 5, 2), q, dense(100), q, dense(10)]),
        "two-conv-64" => (64, vec![conv(16, 5, 4), q, conv(16, 3, 2), q, dense(4)]),
        "two-conv-128" => (128, vec![conv(16, 8, 8), q, conv(16, 3, 2), q, dense(4)]),
        "two-conv-256" => (256, vec![conv(8, 8, 8), q, conv(8, 3, 2), q, dense(4)]),
        _ => return Err(BenchError::Network { name: name.to_owned() }),
    };
    Network::new(ImageShape::new(1, side, side), layers).map_err(BenchError::Layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_network_exists_and_others_are_refused_with_the_names() {
        for name in ["tutorial", "lola", "two-conv-64", "two-conv-128", "two-conv-256"] {
            assert!(named(name).is_ok(), "{name}");
        }
        let error = named("resnet").expect_err("unknown");
        assert!(error.to_string().contains("lola") && error.flag() == Some("--network"), "{error}");
    }
}
