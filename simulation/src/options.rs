//! What one invocation adds to an experiment: where to read, where to write, whom to lose.

use std::path::PathBuf;

use coordinator::compute::Compute;
use experiment::Site;

use crate::dropout::DropOut;

/// Options of one run; the experiment says the rest.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// `--data`, else the experiment's source; `None` where images are generated.
    pub data: Option<PathBuf>,
    /// The run folder. It exists and holds experiment.toml, resolved.toml and manifest.json.
    pub out: PathBuf,
    /// Hospitals to lose, checked against the experiment.
    pub drops: Vec<DropOut>,
    /// Continue what `out` holds of an earlier invocation with the same plan.
    pub resume: bool,
    /// Where the coordinator computes.
    pub compute: Compute,
    /// What belongs to this machine alone.
    pub site: Site,
    /// The log of this process, to be searched for every secret of the run at its end.
    pub log: Option<PathBuf>,
}
