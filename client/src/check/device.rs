//! What the site computes and trains on.

use std::path::Path;

use experiment::Site;
use he_agg::simd::Isa;
use remedy::Exit;

use super::finding::Finding;
use crate::site_file::site_file;
use crate::train::{TrainDevice, TrainError};

/// Where to train, as the site file says; its rules with it.
pub(super) fn device(root: &Path) -> (Finding, Option<(TrainDevice, Site)>) {
    let site = match site_file(root) {
        Ok(site) => site,
        Err(error) => return (Finding::of(&error), None),
    };
    let found = TrainDevice::find(site.train.device);
    let finding = trains_on(&found);
    (finding, Some((found.unwrap_or_default(), site)))
}

fn trains_on(found: &Result<TrainDevice, TrainError>) -> Finding {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let machine = format!("{threads} threads with {}", Isa::detect());
    match found {
        Ok(device) => Finding::passed(format!("trains on {}; {machine}", device.text())),
        // So it does not serve.
        Err(error) => Finding::failed(
            format!("{error}; {machine}"),
            "set device = \"auto\" or \"cpu\" under [train] in site.toml, or install the GPU's driver",
            Exit::BadInput,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Grade;
    use super::*;

    #[test]
    fn a_gpu_that_is_asked_for_and_not_there_fails() {
        let none = trains_on(&Err(TrainError::NoGpu { reason: "no adapter".to_owned() }));
        assert!(none.grade == Grade::Failed && none.remedy.unwrap().contains("site.toml"));
        let cpu = trains_on(&Ok(TrainDevice::cpu()));
        assert!(cpu.grade == Grade::Passed && cpu.found.contains("the processor"), "{cpu:?}");
    }

    #[test]
    fn a_site_file_is_followed_and_a_wrong_one_fails() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(folder.path().join(crate::site_file::SITE_FILE), text).unwrap();
        write("[policy]\nrounds-max = 3\n[train]\ndevice = \"cpu\"");
        let (finding, found) = device(folder.path());
        assert_eq!(finding.grade, Grade::Passed);
        assert_eq!(found.unwrap().1.policy.rounds_max, Some(3));
        write("[train]\ndevcie = \"cpu\"");
        let (finding, found) = device(folder.path());
        assert!(finding.grade == Grade::Failed && found.is_none());
        assert_eq!(finding.exit, Exit::BadInput);
    }
}
