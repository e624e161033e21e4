//! Cases whose truth was recorded in the portal, as a data set of the site.

use std::path::Path;

use client::data_sets::{DataSet, DataSets};
use client::enrolment::Membership;
use client::models::published;
use portal::{ClassImages, Corrected, CorrectedModel, write_corrected};
use serde_json::json;

use crate::{error::Error, exit::Exit, output::Done};

/// Numbers of cases that a line shows; JSON has them all.
const SHOWN_MAX: usize = 20;

/// Makes a set of a model's cases, or brings it up to date, and names it once it is whole.
pub(super) fn write(folder: &Path, set: DataSet, epoch: u32) -> Result<Done, Error> {
    Membership::load(folder)?;
    let mut sets = DataSets::load(folder)?;
    // Before anything is written into a folder of this name.
    sets.check(&set)?;
    let none = || Error::NoModel { folder: folder.to_path_buf(), epoch: Some(epoch) };
    let model = published(folder)?.into_iter().find(|model| model.epoch.0 == epoch).ok_or_else(none)?;
    let classes = &model.asked.classes;
    let meant = CorrectedModel { id: &epoch.to_string(), digest: &model.digest, classes };
    let corrected = write_corrected(folder, meant, &set.path)?;
    let (name, path) = (set.name.clone(), set.path.display().to_string());
    sets.add(folder, set)?;
    let mut data = json!(corrected);
    data["name"] = json!(name);
    data["path"] = json!(path);
    data["model"] = json!(epoch);
    Ok(Done { text: told(&name, &path, &corrected), data, exit: Exit::Done })
}

fn told(name: &str, path: &str, corrected: &Corrected) -> String {
    let Corrected { images, written, classes, groups, unnamed, without_picture, contradictory, unreadable } = corrected;
    let counts: Vec<String> =
        classes.iter().map(|ClassImages { class, images }| format!("{images} of class {class}")).collect();
    let mut lines = vec![
        format!("{name}: {path}, {images} images ({}), {written} written now", counts.join(", ")),
        format!(
            "{groups} groups, each of which stays in one part of a split; the files of {unnamed} images name neither \
             patient nor study, so those stay together that were handed in together, under one reference or file name"
        ),
    ];
    let missing: Vec<&str> =
        classes.iter().filter(|class| class.images == 0).map(|class| class.class.as_str()).collect();
    if !missing.is_empty() {
        lines.push(format!("no image yet of class {}: a plan takes the set once each has one", missing.join(", ")));
    }
    for (cases, why) in [
        (without_picture, "have no kept image"),
        (contradictory, "show the same image under different classes"),
        (unreadable, "have an image that cannot be read"),
    ] {
        if !cases.is_empty() {
            lines.push(format!("left out: {} cases {why}: {}", cases.len(), numbers(cases)));
        }
    }
    lines.join("\n")
}

fn numbers(cases: &[i64]) -> String {
    let shown: Vec<String> = cases.iter().take(SHOWN_MAX).map(|case| format!("#{case}")).collect();
    let more = cases.len().saturating_sub(SHOWN_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted_and_named_and_what_is_complete_is_not_spoken_of() {
        let class = |class: &str, images| ClassImages { class: class.to_owned(), images };
        let whole = Corrected {
            images: 3,
            classes: vec![class("normal", 1), class("ill", 2)],
            groups: 2,
            ..Corrected::default()
        };
        let text = told("cases", "/s/data/cases", &whole);
        assert!(text.contains("3 images (1 of class normal, 2 of class ill)") && text.contains("2 groups"), "{text}");
        assert_eq!(text.lines().count(), 2);
        let without_picture: Vec<i64> = (1..=22).collect();
        let (contradictory, unreadable) = (vec![30, 31], vec![40]);
        let classes = vec![class("normal", 0), class("ill", 3)];
        let partly = Corrected { classes, without_picture, contradictory, unreadable, ..whole };
        let text = told("cases", "/s/data/cases", &partly);
        for words in [
            "no image yet of class normal",
            "22 cases have no kept image: #1, ",
            "#20 and 2 more",
            "2 cases show the same image under different classes: #30, #31",
            "1 cases have an image that cannot be read: #40",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}
