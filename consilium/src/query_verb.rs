//! `consilium query RUN IMAGE...`: a diagnosis of one's own images from an encrypted model that is being served.

use std::path::{Path, PathBuf};

use clap::Args;
use client::metrics::{argmax, softmax};
use ndarray::{Array1, Array3};
use serde_json::json;

use crate::{
    counter::{self, Reply},
    error::Error,
    exit::Exit,
    experiment::Experiment,
    federation::FederationError,
    output::Done,
    run_folder,
};

/// Flags of `query`.
#[derive(Debug, Args)]
#[command(
    after_help = "The image is encrypted by the hospital's own process; nobody else sees image or answer.\n\nExamples:\n  consilium query runs/kidney --hospital 2 slice-017.png\n  consilium query runs/kidney --hospital 2 study/*.png --format json"
)]
pub struct QueryArgs {
    /// The run that is being served.
    pub run: PathBuf,
    /// PNG or JPEG files; scaled and normalised as the model's training images were.
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// The hospital that asks.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub hospital: u16,
}

/// Asks for every image in turn.
///
/// # Errors
/// An image that is none, a run that nobody serves, a refusal with its reason; answers before it are printed with it.
pub fn run(arguments: &QueryArgs) -> Result<Done, Error> {
    let experiment = run_folder::experiment(&arguments.run)?;
    let hospitals = experiment.federation().hospitals;
    if !(1..=hospitals).contains(&arguments.hospital) {
        return Err(Error::NoHospital { hospital: arguments.hospital, hospitals });
    }
    let folder = arguments.run.join(format!("hospital-{}", arguments.hospital));
    let options = experiment.load_options();
    // All images first: a wrong path should not cost the budget of those before it.
    let images = arguments
        .images
        .iter()
        .map(|path| datasets::read_picture(path, &options).map(|image| (path.as_path(), image)))
        .collect::<Result<Vec<(&Path, Array3<f32>)>, _>>()
        .map_err(FederationError::from)?;
    let (mut text, mut rows) = (Vec::new(), Vec::new());
    for (path, image) in &images {
        let reply = counter::ask(&folder, image.view()).map_err(FederationError::from)?;
        let row = row(&experiment, path, &reply);
        text.push(words(&experiment, path, &reply));
        rows.push(row);
    }
    Ok(Done { text: text.join("\n"), data: json!({"answers": rows}), exit: Exit::Done })
}

fn words(experiment: &Experiment, path: &Path, reply: &Reply) -> String {
    let classes = &experiment.data().classes;
    let mut ranked: Vec<(f64, &String)> = probabilities(reply).into_iter().zip(classes).collect();
    ranked.sort_by(|one, other| other.0.total_cmp(&one.0));
    let shares: Vec<String> = ranked.iter().map(|(share, class)| format!("{class} {:.1} %", share * 100.0)).collect();
    format!(
        "{}\n  {}\n  query {}: {:.0} ms ({:.0} ms encrypting, {:.0} ms decrypting), {} bytes up, {} bytes down",
        path.display(),
        shares.join("   "),
        reply.query,
        reply.total_ms,
        reply.encrypt_ms,
        reply.decrypt_ms,
        reply.query_bytes,
        reply.reply_bytes
    )
}

fn logits(reply: &Reply) -> Array1<f32> {
    reply.logits.iter().map(|logit| *logit as f32).collect()
}

fn probabilities(reply: &Reply) -> Vec<f64> {
    softmax(logits(reply).view())
}

fn row(experiment: &Experiment, path: &Path, reply: &Reply) -> serde_json::Value {
    let classes = &experiment.data().classes;
    let probabilities = probabilities(reply);
    let best = argmax(logits(reply).view());
    json!({
        "image": path,
        "query": reply.query,
        "class": classes.get(best),
        "probabilities": classes.iter().zip(&probabilities).map(|(class, p)| (class.clone(), json!(p))).collect::<serde_json::Map<_, _>>(),
        "logits": reply.logits,
        "total_ms": reply.total_ms,
        "encrypt_ms": reply.encrypt_ms,
        "decrypt_ms": reply.decrypt_ms,
        "query_bytes": reply.query_bytes,
        "reply_bytes": reply.reply_bytes,
    })
}
