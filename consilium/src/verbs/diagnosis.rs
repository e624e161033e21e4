//! Asking a model in service for a diagnosis, and how the answer is shown.

use std::path::{Path, PathBuf};

use client::counter::{self, CounterError, Reply};
use experiment::AskedModel;
use metrics::{Likeness, PooledFigures, argmax, softmax};
use ndarray::{Array1, Array3};
use serde_json::json;

use crate::{error::Error, exit::Exit, output::Done};

/// Asks at the counter of `folder` for all images, as many at a time as the model takes in one query; `failed` says
/// what a counter's refusal means. `figures` calibrate the probabilities and say how good the model is.
pub(super) fn ask(
    model: &AskedModel,
    figures: Option<&PooledFigures>,
    folder: &Path,
    paths: &[PathBuf],
    failed: impl Fn(CounterError) -> Error,
) -> Result<Done, Error> {
    let options = &model.images;
    // All images first: a wrong path should not cost the budget of those before it.
    let images = paths
        .iter()
        .map(|path| datasets::read_picture(path, options).map(|image| (path.as_path(), image)))
        .collect::<Result<Vec<(&Path, Array3<f32>)>, _>>()
        .map_err(Error::Picture)?;
    let temperature = figures.and_then(|figures| figures.calibration).map_or(1.0, |found| found.temperature);
    let (mut text, mut rows) = (Vec::new(), Vec::new());
    for images in images.chunks(model.together) {
        let views: Vec<_> = images.iter().map(|(_, image)| image.view()).collect();
        let reply = counter::ask(folder, &views).map_err(&failed)?;
        for ((path, image), logits) in images.iter().zip(&reply.logits) {
            let scaled: Vec<f64> = logits.iter().map(|logit| logit / temperature).collect();
            let likeness = figures.and_then(|figures| figures.likeness(image.view(), options.normalisation()));
            text.push(words(model, path, &scaled));
            text.extend(likeness.and_then(warning));
            let mut row = row(model, path, (logits, &scaled), &reply);
            row["likeness"] = json!(likeness);
            rows.push(row);
        }
        text.push(times(&reply));
    }
    if let Some(figures) = figures {
        text.push(format!("this model: {}", report::headline(figures)));
    }
    let data = json!({"answers": rows, "temperature": temperature});
    Ok(Done { text: text.join("\n"), data, exit: Exit::Done })
}

fn words(model: &AskedModel, path: &Path, logits: &[f64]) -> String {
    let classes = &model.classes;
    let mut ranked: Vec<(f64, &String)> = probabilities(logits).into_iter().zip(classes).collect();
    ranked.sort_by(|one, other| other.0.total_cmp(&one.0));
    let shares: Vec<String> = ranked.iter().map(|(share, class)| format!("{class} {:.1} %", share * 100.0)).collect();
    format!("{}\n  {}", path.display(), shares.join("   "))
}

fn warning(found: Likeness) -> Option<String> {
    let words = || {
        format!(
            "  warning: it does not look like the images that the model was measured on (distance {:.1}, theirs is 1 \
             on average): do not rely on the answer",
            found.distance
        )
    };
    found.is_unlike.then(words)
}

fn times(reply: &Reply) -> String {
    format!(
        "query {}: {:.0} ms ({:.0} ms encrypting, {:.0} ms decrypting), {} bytes up, {} bytes down",
        reply.query, reply.total_ms, reply.encrypt_ms, reply.decrypt_ms, reply.query_bytes, reply.reply_bytes
    )
}

fn narrow(logits: &[f64]) -> Array1<f32> {
    logits.iter().map(|logit| *logit as f32).collect()
}

fn probabilities(logits: &[f64]) -> Vec<f64> {
    softmax(narrow(logits).view())
}

fn row(model: &AskedModel, path: &Path, (logits, scaled): (&[f64], &[f64]), reply: &Reply) -> serde_json::Value {
    let classes = &model.classes;
    let probabilities = probabilities(scaled);
    let by_class: serde_json::Map<_, _> =
        classes.iter().zip(&probabilities).map(|(class, p)| (class.clone(), json!(p))).collect();
    let best = argmax(narrow(logits).view());
    json!({
        "image": path,
        "query": reply.query,
        "class": classes.get(best),
        "probabilities": by_class,
        "logits": logits,
        "total_ms": reply.total_ms,
        "encrypt_ms": reply.encrypt_ms,
        "decrypt_ms": reply.decrypt_ms,
        "query_bytes": reply.query_bytes,
        "reply_bytes": reply.reply_bytes,
    })
}

#[cfg(test)]
mod tests {
    use metrics::Statistic;

    use super::*;

    #[test]
    fn an_image_unlike_the_others_is_warned_of_and_one_like_them_is_not() {
        let (most, value, usual, spread) = (Statistic::Border, 0.5, 0.1, 0.02);
        let found = |distance, is_unlike| warning(Likeness { distance, is_unlike, most, value, usual, spread });
        assert!(found(37.04, true).is_some_and(|words| words.contains("warning") && words.contains("distance 37.0,")));
        assert_eq!(found(1.0, false), None);
    }
}
