//! `consilium audit own`: what a site sent, made once more before an auditor.

use std::path::Path;

use client::own_audit::{Again, Finding, OwnAudit};
use coordinator::audit;
use protocol::ids::{Epoch, PartyId};
use serde_json::{Value, json};

use crate::{error::Error, exit::Exit, output::Done};

/// Audits the site in a folder, by its journal and, where there is one, by a copy of the coordinator's folder.
pub(super) fn run(site: &Path, epoch: Option<Epoch>, folder: Option<&Path>) -> Result<Done, Error> {
    let mut own = OwnAudit::open(site, epoch)?;
    let log = match folder {
        None => None,
        Some(folder) if !folder.join("journal.sqlite").exists() => {
            return Err(Error::NoTranscript { folder: folder.to_path_buf() });
        }
        Some(folder) => {
            let known = audit::Known { coordinator: own.coordinator(), approved: None };
            Some(audit::signed_by(folder, &known, own.party())?)
        }
    };
    let found = own.run(log.as_deref(), |finding| tracing::info!(what = %finding.object, "made again"))?;
    Ok(shown(own.epoch(), own.party(), log.is_some(), &found))
}

fn word(finding: &Finding) -> &'static str {
    match finding.holds() {
        Some(true) => "equal",
        Some(false) => "DIFFERS",
        None => "not kept",
    }
}

fn shown(epoch: Epoch, party: PartyId, has_log: bool, found: &[Finding]) -> Done {
    let source = if has_log { "the coordinator's log and its own journal" } else { "its own journal alone" };
    let mut text = vec![format!("{party} in key epoch {epoch}: what it signed for, by {source}")];
    for finding in found {
        text.push(format!("  {:48} {:8} {}", finding.object.to_string(), word(finding), finding.signed.root));
        match &finding.again {
            _ if !finding.is_own => text.push(format!("  {:48} not signed with this site's key", "")),
            Again::Made(made) if *made != finding.signed => {
                text.push(format!("  {:48} made     {}", "", made.root));
            }
            Again::Made(_) => {}
            Again::Impossible(why) => text.push(format!("  {:48} {why}", "")),
            Again::NotKept(why) => text.push(format!("  {:48} {why}", "")),
        }
    }
    let count = |holds| found.iter().filter(|finding| finding.holds() == holds).count();
    let (equal, differ, unkept) = (count(Some(true)), count(Some(false)), count(None));
    text.push(match differ {
        0 => format!("{equal} equal, {unkept} not kept: nothing that could be made again differs"),
        _ => format!("{differ} DIFFER, {equal} equal, {unkept} not kept: the site sent what its seeds do not give"),
    });
    let data = json!({
        "epoch": epoch.0, "party": party.number(), "log": has_log, "objects": found.iter().map(row).collect::<Vec<_>>(),
        "equal": equal, "differ": differ, "not_kept": unkept, "holds": differ == 0,
    });
    let exit = if differ == 0 { Exit::Done } else { Exit::Verification };
    Done { text: text.join("\n"), data, exit }
}

fn row(finding: &Finding) -> Value {
    let (made, why) = match &finding.again {
        Again::Made(made) => (Some(made.root.to_string()), None),
        Again::Impossible(why) => (None, Some(why.as_str())),
        Again::NotKept(why) => (None, Some(*why)),
    };
    json!({
        "what": finding.object.to_string(), "signed": finding.signed.root.to_string(), "made": made,
        "verdict": word(finding).to_lowercase().replace(' ', "-"), "own_signature": finding.is_own, "why": why,
    })
}

#[cfg(test)]
mod tests {
    use client::own_audit::Object;
    use protocol::message::KeyStep;
    use protocol::{Attempt, BodyRoot, Digest, QueryId, RoundId};

    use super::*;

    fn body(number: u8) -> BodyRoot {
        BodyRoot::of(&[Digest([number; 32])], 10)
    }

    fn finding(object: Object, again: Again) -> Finding {
        Finding { object, signed: body(1), is_own: true, again }
    }

    fn of(found: &[Finding]) -> Done {
        shown(Epoch(2), PartyId::new(3).expect("a party"), true, found)
    }

    #[test]
    fn what_is_equal_or_not_kept_is_no_fault_and_one_difference_is_the_exit_code() {
        let equal = finding(Object::KeyShare(KeyStep::Galois), Again::Made(body(1)));
        let question = finding(Object::Question(QueryId(7)), Again::NotKept("images are not kept"));
        let fine = of(&[equal.clone(), question.clone()]);
        assert_eq!((fine.exit, &fine.data["holds"], &fine.data["not_kept"]), (Exit::Done, &json!(true), &json!(1)));
        assert!(fine.text.contains("images are not kept") && !fine.text.contains("DIFFER"), "{}", fine.text);
        let foreign = Finding { is_own: false, ..equal.clone() };
        let update = Object::Update(RoundId(4), Attempt(2));
        for (wrong, shows) in [
            (finding(update.clone(), Again::Made(body(2))), body(2).root.to_string()),
            (finding(update, Again::Impossible("the ledger says otherwise".to_owned())), "the ledger".to_owned()),
            (foreign, "not signed with this site's key".to_owned()),
        ] {
            let done = of(&[equal.clone(), wrong, question.clone()]);
            assert_eq!(
                (done.exit, &done.data["differ"], &done.data["equal"]),
                (Exit::Verification, &json!(1), &json!(1))
            );
            assert!(done.text.contains("DIFFERS") && done.text.contains(&shows), "{}", done.text);
            assert_eq!(done.data["objects"][1]["verdict"], "differs");
        }
        assert_eq!(fine.data["objects"][0]["made"], json!(body(1).root.to_string()));
        assert_eq!(fine.data["objects"][1]["verdict"], "not-kept");
    }
}
