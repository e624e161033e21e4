//! How a site in service stands in its key epochs, and the note of it for other programs of the site.

use std::collections::BTreeMap;
use std::path::Path;

use protocol::ids::Epoch;
use protocol::party_set::PartySet;
use protocol::store::{FileFault, write_beside};
use serde::{Deserialize, Serialize};

use crate::models::{self, ModelsError};

/// In the site's folder: how it stands.
const STANDS: &str = "stands.json";

/// How this site stands in an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Other members have not promised or shown their nonces.
    AwaitsMembers(PartySet),
    /// The officer is to compare words and read the terms.
    AwaitsOfficer,
    /// Other officers are awaited.
    AwaitsApprovals(PartySet),
    /// It takes part.
    TakesPart,
    /// It cannot: with the reason.
    Hindered(String),
    /// It is over: with the reason.
    Over(String),
}

/// How the service of a site stood when it last noted it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stand", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NotedStand {
    /// [`Stand::AwaitsMembers`].
    AwaitsMembers {
        /// Their numbers in the key epoch.
        members: Vec<u16>,
    },
    /// [`Stand::AwaitsOfficer`].
    AwaitsOfficer,
    /// [`Stand::AwaitsApprovals`].
    AwaitsApprovals {
        /// Their numbers in the key epoch.
        members: Vec<u16>,
    },
    /// [`Stand::TakesPart`].
    TakesPart,
    /// [`Stand::Hindered`].
    Hindered {
        /// Why.
        reason: String,
    },
    /// [`Stand::Over`].
    Over {
        /// Why.
        reason: String,
    },
}

impl From<&Stand> for NotedStand {
    fn from(stand: &Stand) -> Self {
        match stand {
            Stand::AwaitsMembers(members) => Self::AwaitsMembers { members: members.numbers() },
            Stand::AwaitsOfficer => Self::AwaitsOfficer,
            Stand::AwaitsApprovals(members) => Self::AwaitsApprovals { members: members.numbers() },
            Stand::TakesPart => Self::TakesPart,
            Stand::Hindered(reason) => Self::Hindered { reason: reason.clone() },
            Stand::Over(reason) => Self::Over { reason: reason.clone() },
        }
    }
}

/// Notes how the site stands.
pub(super) fn note(root: &Path, stands: &BTreeMap<Epoch, Stand>) -> Result<(), FileFault> {
    let stands: BTreeMap<u32, NotedStand> = stands.iter().map(|(epoch, stand)| (epoch.0, stand.into())).collect();
    // Numbers and texts: there is nothing in it that has no JSON form.
    write_beside(&root.join(STANDS), &serde_json::to_vec_pretty(&stands).unwrap_or_default())
}

/// How the site in this folder stood in each of its key epochs when its service last noted it; nothing where none ever
/// did. A service that does not run notes nothing.
///
/// # Errors
/// [`ModelsError::Damaged`].
pub fn noted_stands(root: &Path) -> Result<BTreeMap<Epoch, NotedStand>, ModelsError> {
    let path = root.join(STANDS);
    let Some(text) = models::read(&path)? else { return Ok(BTreeMap::new()) };
    let stands: BTreeMap<u32, NotedStand> = serde_json::from_str(&text)
        .map_err(|error| ModelsError::Damaged { path: path.clone(), found: error.to_string() })?;
    Ok(stands.into_iter().map(|(epoch, stand)| (Epoch(epoch), stand)).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn how_a_site_stands_is_found_as_it_was_noted_last() {
        let site = tempfile::tempdir().unwrap();
        assert!(noted_stands(site.path()).unwrap().is_empty());
        let members: PartySet = [2, 5].into_iter().filter_map(protocol::ids::PartyId::new).collect();
        let mut stands = BTreeMap::from([
            (Epoch(1), Stand::Over("left".to_owned())),
            (Epoch(2), Stand::TakesPart),
            (Epoch(3), Stand::AwaitsMembers(members)),
            (Epoch(4), Stand::AwaitsOfficer),
            (Epoch(5), Stand::Hindered("no images".to_owned())),
        ]);
        note(site.path(), &stands).unwrap();
        stands.insert(Epoch(4), Stand::AwaitsApprovals(members));
        note(site.path(), &stands).unwrap();
        let noted = |members: &[u16]| members.to_vec();
        let expected = [
            NotedStand::Over { reason: "left".to_owned() },
            NotedStand::TakesPart,
            NotedStand::AwaitsMembers { members: noted(&[2, 5]) },
            NotedStand::AwaitsApprovals { members: noted(&[2, 5]) },
            NotedStand::Hindered { reason: "no images".to_owned() },
        ];
        assert_eq!(noted_stands(site.path()).unwrap().into_values().collect::<Vec<_>>(), expected);
        assert_eq!(NotedStand::from(&Stand::AwaitsOfficer), NotedStand::AwaitsOfficer);
        fs::write(site.path().join(STANDS), "{").unwrap();
        assert!(matches!(noted_stands(site.path()), Err(ModelsError::Damaged { path, .. }) if path.ends_with(STANDS)));
    }
}
