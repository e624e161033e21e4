//! `consilium audit bundle`: what an officer handed over, checked offline.

use std::path::{Path, PathBuf};

use client::bundle::{Common, Inspection, SignedThing, compare, inspect};
use client::consent::{Approvable, GivenApproval};
use client::sent_log::utc;
use protocol::ids::Digest;
use serde_json::{Value, json};

use crate::{error::Error, exit::Exit, output::Done};

/// Checks a bundle, and others against it.
pub(super) fn run(file: &Path, membership: Option<Digest>, with: &[PathBuf]) -> Result<Done, Error> {
    let found = inspect(file, membership)?;
    let others = with
        .iter()
        .map(|other| {
            let other = inspect(other, membership)?;
            let common = compare(&found, &other);
            Ok((other, common))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(shown(&found, membership.is_some(), &others))
}

fn shown(found: &Inspection, is_pinned: bool, others: &[(Inspection, Common)]) -> Done {
    let is_like = |(_, common): &(Inspection, Common)| matches!(common, Common::Entries(_));
    let holds = found.findings.is_empty() && others.iter().all(is_like);
    let mut text = of_whom(found, is_pinned);
    text.extend(of_the_log(found));
    text.extend(of_the_site(found));
    for (other, common) in others {
        text.push(match common {
            Common::Entries(entries) => format!("{}: the same log, {entries} entries", other.name),
            Common::Forked(entry) => format!(
                "{}: ANOTHER LOG from entry {entry} on, signed by the same coordinator, who showed two",
                other.name
            ),
            Common::Nothing => format!("{}: of OTHER members or another key epoch", other.name),
        });
    }
    text.extend(found.findings.iter().map(|finding| format!("NOT RIGHT: {finding}")));
    text.push(match holds {
        true => "nothing in it contradicts anything else in it".to_owned(),
        false => "something is NOT RIGHT; see above".to_owned(),
    });
    let exit = if holds { Exit::Done } else { Exit::Verification };
    Done { text: text.join("\n"), data: data(found, is_pinned, others, holds), exit }
}

fn of_whom(found: &Inspection, is_pinned: bool) -> Vec<String> {
    let known = match is_pinned {
        true => "as given",
        false => "as the file says: compare this digest with that of another officer, or give it with --membership",
    };
    let words = found.words.map_or_else(|| "not all were shown".to_owned(), |words| words.to_string());
    let mut text = vec![
        format!("{} ({}), member {} in key epoch {}", found.name, found.organisation, found.party, found.epoch),
        format!("made          {} UTC, by the site's clock", utc(found.made_at_s)),
        format!("members       {}", found.members.join(", ")),
        format!("              {} {known}", found.membership),
        format!("words         {words}"),
        format!("terms         {}", found.terms),
    ];
    text.extend(found.approvals.iter().map(|it| {
        let what = word(it);
        format!("approved      {what} on {} UTC, {} (key epoch {})", utc(it.at_s), it.by, it.epoch)
    }));
    text
}

fn word(approval: &GivenApproval) -> &'static str {
    match approval.what {
        Approvable::Membership => "members",
        Approvable::Terms => "terms",
    }
}

fn of_the_log(found: &Inspection) -> Vec<String> {
    let head = found.heads.last().map_or_else(|| "-".to_owned(), ToString::to_string);
    let answers: u64 = found.answers.values().sum();
    let mut text = vec![
        format!("log           {} entries, every signature and rule checked; the newest is {head}", found.heads.len()),
        format!("              {} rounds closed, {answers} answers released", found.rounds),
    ];
    text.extend(found.answers.iter().map(|(name, answers)| format!("              {answers:>8} to {name}")));
    let vouched: Vec<String> = found.vouched.iter().map(|(name, entries)| format!("{name} {entries}")).collect();
    text.push(format!("signed on it  up to entry: {}", vouched.join(", ")));
    text
}

fn of_the_site(found: &Inspection) -> Vec<String> {
    let mut text = vec![format!("signed for    {} things that it sent", found.things.len())];
    text.extend(found.things.iter().map(|thing| {
        let SignedThing { object, signed, .. } = thing;
        format!("  {:48} {:>12} bytes  {:14} {}", object.to_string(), signed.size_bytes, place(thing), signed.root)
    }));
    text.push(format!("sent          {} lines that were written down before", found.lines));
    let line = |(what, (times, bytes)): (&String, &(u64, u64))| format!("  {times:>8} {bytes:>14} bytes  {what}");
    text.extend(found.totals.iter().map(line));
    text
}

/// Whoever is late signed for what the log does not have, and so did an attempt that was given up.
fn place(thing: &SignedThing) -> &'static str {
    if thing.is_in_log { "in the log" } else { "not in the log" }
}

fn data(found: &Inspection, is_pinned: bool, others: &[(Inspection, Common)], holds: bool) -> Value {
    let thing = |thing: &SignedThing| {
        let SignedThing { object, signed, is_in_journal, is_in_log } = thing;
        json!({
            "what": object.to_string(), "digest": signed.root.to_string(), "bytes": signed.size_bytes,
            "in_journal": is_in_journal, "in_log": is_in_log,
        })
    };
    let other = |(other, common): &(Inspection, Common)| {
        let (verdict, entries) = match common {
            Common::Entries(entries) => ("same", Some(entries)),
            Common::Forked(entries) => ("forked", Some(entries)),
            Common::Nothing => ("other", None),
        };
        json!({"name": other.name, "log": verdict, "entries": entries})
    };
    let sent = |(what, (times, bytes)): (&String, &(u64, u64))| json!({"what": what, "count": times, "bytes": bytes});
    let vouched = |(name, entries): &(String, u64)| json!({"name": name, "entries": entries});
    json!({
        "holds": holds, "name": found.name, "organisation": found.organisation, "party": found.party.number(),
        "epoch": found.epoch.0, "made_at_s": found.made_at_s, "membership": found.membership.to_string(),
        "membership_given": is_pinned, "members": found.members, "words": found.words.map(|words| words.to_string()),
        "terms": found.terms.to_string(), "approvals": found.approvals, "entries": found.heads.len(),
        "head": found.heads.last().map(ToString::to_string), "rounds": found.rounds, "answers": found.answers,
        "vouched": found.vouched.iter().map(vouched).collect::<Vec<_>>(),
        "signed": found.things.iter().map(thing).collect::<Vec<_>>(),
        "sent": found.totals.iter().map(sent).collect::<Vec<_>>(), "sent_lines": found.lines,
        "findings": found.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "with": others.iter().map(other).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use client::bundle::Finding;
    use protocol::{Epoch, PartyId};

    use super::*;

    fn inspection(findings: Vec<Finding>) -> Inspection {
        Inspection {
            name: "north".to_owned(),
            organisation: "Clinic".to_owned(),
            party: PartyId::new(2).expect("a party"),
            epoch: Epoch(4),
            made_at_s: 1_795_000_000,
            membership: Digest([1; 32]),
            members: vec!["east".to_owned(), "north".to_owned()],
            words: None,
            terms: Digest([2; 32]),
            approvals: Vec::new(),
            heads: vec![Digest([3; 32]); 7],
            vouched: vec![("east".to_owned(), 6)],
            rounds: 3,
            answers: BTreeMap::from([("east".to_owned(), 2)]),
            things: Vec::new(),
            totals: BTreeMap::from([("signed message".to_owned(), (3, 900))]),
            lines: 3,
            findings,
        }
    }

    fn of(findings: Vec<Finding>, others: &[Common]) -> Done {
        let others: Vec<_> = others.iter().map(|common| (inspection(Vec::new()), *common)).collect();
        shown(&inspection(findings), false, &others)
    }

    #[test]
    fn a_finding_another_log_or_other_members_are_the_exit_code() {
        let fine = of(Vec::new(), &[Common::Entries(7), Common::Entries(5)]);
        assert_eq!(
            (fine.exit, &fine.data["holds"], &fine.data["with"][1]["log"]),
            (Exit::Done, &json!(true), &json!("same"))
        );
        assert!(!fine.text.contains("NOT RIGHT") && fine.text.contains("compare this digest"), "{}", fine.text);
        for (wrong, verdict, words) in
            [(Common::Forked(5), "forked", "ANOTHER LOG from entry 5 on"), (Common::Nothing, "other", "OTHER members")]
        {
            let done = of(Vec::new(), &[Common::Entries(7), wrong]);
            assert_eq!((done.exit, &done.data["holds"]), (Exit::Verification, &json!(false)), "{verdict}");
            assert_eq!(done.data["with"][1]["log"], verdict);
            assert!(
                done.text.contains(words) && done.text.ends_with("something is NOT RIGHT; see above"),
                "{}",
                done.text
            );
        }
        let found = of(vec![Finding::Unreadable { lines: 2 }], &[]);
        assert_eq!((found.exit, &found.data["holds"]), (Exit::Verification, &json!(false)));
        assert!(found.text.contains("NOT RIGHT: 2 lines of what was sent cannot be read"), "{}", found.text);
        assert_eq!(found.data["findings"][0], "2 lines of what was sent cannot be read");
    }
}
