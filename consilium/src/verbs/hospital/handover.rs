//! Handing over the model from which a plan goes on.

use std::path::Path;

use client::handover::{self, HANDOVER_BYTES_MAX};
use protocol::store::{FileFault, write_beside};
use serde_json::json;

use super::HandoverWhat;
use super::consent::Desk;
use crate::{carried, error::Error, exit::Exit, output::Done};

impl Desk {
    /// Does it for the key epoch that is meant.
    pub(super) async fn handover(&self, what: &HandoverWhat, epoch: Option<u32>) -> Result<Done, Error> {
        let seen = self.look(epoch).await?;
        let (epoch, root) = (seen.standing.proposal.epoch.0, self.member.root());
        match what {
            HandoverWhat::Request { to } => {
                write(to, &handover::request(root, &seen, self.member.signing())?)?;
                let text =
                    format!("{}: for `consilium hospital handover give` at any member that holds it", to.display());
                Ok(Done { text, data: json!({"epoch": epoch, "file": to}), exit: Exit::Done })
            }
            HandoverWhat::Give { request, to } => {
                let asked = carried::read(request, HANDOVER_BYTES_MAX)?;
                let (name, model) = handover::give(root, &seen, self.book(), &asked)?;
                write(to, &model)?;
                let text = format!("{}: the model for {name}, which alone can read it; send it there", to.display());
                Ok(Done { text, data: json!({"epoch": epoch, "for": name, "file": to}), exit: Exit::Done })
            }
            HandoverWhat::Take { file } => {
                handover::take(root, &seen, &carried::read(file, HANDOVER_BYTES_MAX)?)?;
                let text =
                    format!("key epoch {epoch} goes on from this model; the site's service sees it within a minute");
                Ok(Done { text, data: json!({"epoch": epoch}), exit: Exit::Done })
            }
        }
    }
}

fn write(to: &Path, bytes: &[u8]) -> Result<(), Error> {
    let fault = |FileFault { source, .. }| Error::CarriedFile { path: to.to_path_buf(), source };
    write_beside(to, bytes).map_err(fault)
}
