//! A key epoch's status as JSON: what commands, figures and the dashboard show.

use coordinator::history::{Ended, Given, History, Part, PastOrder, PastRound};
use coordinator::{MemberFlow, Remote, Status};
use protocol::ids::PartyId;
use protocol::lease::Doing;
use protocol::membership::Membership;
use protocol::message::RoundPurpose;
use protocol::party_set::PartySet;
use protocol::terms::Terms;
use serde_json::{Value, json};

/// What is under way.
pub(super) fn now(membership: &Membership, remote: &Remote, history: &History) -> Value {
    of_now(membership, &remote.status(), &remote.flow(), history)
}

fn of_now(membership: &Membership, status: &Status, flow: &[MemberFlow], history: &History) -> Value {
    let name = |party: PartyId| membership.seat(party).map(|seat| seat.name.clone());
    let awaited: Vec<Value> = status
        .awaited
        .iter()
        .map(|one| {
            let doing = match one.doing {
                Doing::Idle => json!("idle"),
                Doing::Working { done, of } => json!({"done": done, "of": of}),
                Doing::Queued { ahead } => json!({"ahead": ahead}),
                Doing::Waits { seconds } => json!({"waits_s": seconds}),
            };
            let (lease_s, since_s) = (one.left_ms / 1_000, one.since.as_secs());
            json!({"name": name(one.party), "doing": doing, "lease_s": lease_s, "since_s": since_s})
        })
        .collect();
    let site = |one: &MemberFlow| {
        json!({
            "name": name(one.party),
            "live": status.live.contains(one.party),
            "heard_at_s": one.heard_ms.map(|at_ms| at_ms / 1_000),
            "received_bytes": one.received,
            "sent_bytes": one.sent,
            "asked": history.asked.get(&one.party).copied().unwrap_or(0),
        })
    };
    json!({
        "step": status.step,
        "awaited": awaited,
        "live": status.live.iter().filter_map(name).collect::<Vec<_>>(),
        "sites": flow.iter().map(site).collect::<Vec<_>>(),
        "closed": status.closed,
        "steps_done": history.steps,
        "paused": status.paused,
        "serving": status.is_serving,
        "published": status.published.map(|digest| digest.to_string()),
        "answers": status.releases,
        "pending": status.pending,
        "disk": status.disk,
    })
}

/// What the members approved of questions.
pub(super) fn limits(terms: &Terms) -> Value {
    json!({
        "answers_max": terms.tau_serving,
        "asked_per_site_max": terms.queries_per_asker_max,
        "leak_bits_per_answer": terms.leak_bits_per_answer,
        "leak_bits_max": Some(terms.leak_bits_max).filter(|most| *most < u64::MAX),
    })
}

/// What has been so far, of a model of this name.
pub(super) fn history(membership: &Membership, name: &str, history: &History) -> Value {
    let names = |parties: PartySet| membership.names(parties);
    let seconds_since_1970 = |at_ms: Option<u64>| at_ms.map(|at_ms| at_ms / 1_000);
    let model = |model: &coordinator::history::PastModel| {
        json!({
            "name": name,
            "model": model.digest.to_string(),
            "sites": names(model.cohort),
            "at_s": seconds_since_1970(model.at_ms),
        })
    };
    let order = |PastOrder { given, at_ms }: &PastOrder| {
        let (word, reason) = match given {
            Given::Stop => ("stop", None),
            Given::Resume => ("resume", None),
            Given::Publish => ("publish", None),
            Given::End(reason) => ("end", Some(reason)),
        };
        json!({"order": word, "at_s": seconds_since_1970(*at_ms), "reason": reason})
    };
    json!({
        "rounds": history.rounds.iter().map(round).collect::<Vec<_>>(),
        "orders": history.orders.iter().map(order).collect::<Vec<_>>(),
        "models": history.models.iter().map(model).collect::<Vec<_>>(),
        "log": {
            "entries": history.log.map_or(0, |seen| seen.entries),
            "head": history.log.map(|seen| seen.head.to_string()),
            "signed_entry": history.cosigned.map(|signed| signed.entry),
            "signed_by": history.cosigned.map(|signed| names(signed.by)).unwrap_or_default(),
        },
        "inference": {
            "answered": history.answered,
            "failed": history.failed,
            "timed": history.answer_ms.len(),
            "p50_ms": history.answer_quantile_ms(0.5),
            "p95_ms": history.answer_quantile_ms(0.95),
        },
    })
}

fn purpose(purpose: RoundPurpose) -> &'static str {
    match purpose {
        RoundPurpose::Train => "train",
        RoundPurpose::Figures => "figures",
        RoundPurpose::Moments => "moments",
    }
}

fn round(round: &PastRound) -> Value {
    let took = |(part, ms): (Part, u64)| json!({"part": part.word(), "seconds": ms as f64 / 1e3});
    let mut took_ms = round.took_ms;
    let (part, since) = round.part;
    if let (None, Some(since)) = (&round.ended, since) {
        // What is under way counts as far as it has come.
        took_ms[part as usize] += coordinator::history::now_ms().saturating_sub(since);
    }
    let (ended, why) = match &round.ended {
        None => (None, None),
        Some(Ended::Closed) => (Some("closed"), None),
        Some(Ended::Void(why)) => (Some("void"), Some(why)),
    };
    let both = round.began_ms.zip(round.ended_ms);
    json!({
        "round": round.round.0,
        "purpose": purpose(round.purpose),
        "began_at_s": round.began_ms.map(|at_ms| at_ms / 1_000),
        "seconds": both.map(|(began, ended)| ended.saturating_sub(began) as f64 / 1e3),
        "took": Part::ALL.into_iter().zip(took_ms).map(took).collect::<Vec<_>>(),
        "part": round.ended.is_none().then(|| part.word()),
        "attempts": round.attempts,
        "cohort": round.cohort.len(),
        "ended": ended,
        "why": why,
        "received_bytes": round.bytes.map(|(received, _)| received),
        "sent_bytes": round.bytes.map(|(_, sent)| sent),
    })
}

#[cfg(test)]
mod tests {
    use coordinator::history::{Cosigned, PastModel};
    use protocol::codec::Wire;
    use protocol::heads::Seen;
    use protocol::ids::{Digest, RoundId};
    use protocol::membership::Seat;
    use protocol::signature::SigningKey;
    use protocol::weight::WeightClass;

    use super::*;

    fn party(number: u16) -> PartyId {
        PartyId::new(number).expect("a party")
    }

    fn membership() -> Membership {
        let key = SigningKey::from_seed(&[7; 32]).expect("a key").verifying_key();
        let seat = |name: &&str| Seat {
            name: (*name).to_owned(),
            organisation: "Clinic".to_owned(),
            weight: WeightClass::ONE,
            verifying: key,
            tls_key: Digest::default(),
        };
        Membership { threshold: 2, coordinator: key, seats: ["east", "north", "west"].iter().map(seat).collect() }
    }

    #[test]
    fn members_are_told_by_name_with_what_they_sent_and_asked() {
        let status = Status { live: [1, 3].map(party).into_iter().collect(), pending: 4, ..Status::default() };
        let flow = [1, 2].map(|number| MemberFlow {
            party: party(number),
            received: 10 * u64::from(number),
            sent: 7,
            heard_ms: (number == 1).then_some(1_795_190_000_999),
        });
        let mut history = History::default();
        history.asked.insert(party(2), 5);
        let now = of_now(&membership(), &status, &flow, &history);
        let site = |name: &str, live: bool, heard: Value, received: u64, asked: u64| {
            json!({
                "name": name, "live": live, "heard_at_s": heard, "received_bytes": received, "sent_bytes": 7,
                "asked": asked,
            })
        };
        let expected = [site("east", true, json!(1_795_190_000), 10, 0), site("north", false, Value::Null, 20, 5)];
        assert_eq!(now["sites"], json!(expected));
        assert_eq!((&now["pending"], &now["live"]), (&json!(4), &json!(["east", "west"])));
    }

    #[test]
    fn a_history_is_told_in_words_and_names_with_null_for_what_nobody_knows() {
        let mut past = History::default();
        past.orders.push_back(PastOrder { given: Given::End("replaced".to_owned()), at_ms: Some(5_999) });
        past.orders.push_back(PastOrder { given: Given::Stop, at_ms: None });
        let cohort = [1, 2].map(party).into_iter().collect();
        past.models.push_back(PastModel { digest: Digest([1; 32]), cohort, at_ms: None });
        past.log = Some(Seen { entries: 9, head: Digest([2; 32]) });
        past.cosigned = Some(Cosigned { entry: 7, by: cohort });
        past.answer_ms = [100, 300].into_iter().collect();
        let told = history(&membership(), "kidney", &past);
        let orders = json!([
            {"order": "end", "at_s": 5, "reason": "replaced"},
            {"order": "stop", "at_s": null, "reason": null},
        ]);
        assert_eq!(told["orders"], orders);
        assert_eq!(
            (&told["models"][0]["name"], &told["models"][0]["sites"]),
            (&json!("kidney"), &json!(["east", "north"]))
        );
        assert_eq!((&told["log"]["entries"], &told["log"]["signed_by"]), (&json!(9), &json!(["east", "north"])));
        assert_eq!((&told["inference"]["p50_ms"], &told["inference"]["p95_ms"]), (&json!(100), &json!(300)));
        let empty = history(&membership(), "kidney", &History::default());
        assert!(empty["log"]["head"].is_null() && empty["inference"]["p50_ms"].is_null());
    }

    #[test]
    fn a_round_under_way_counts_as_far_as_it_has_come_and_one_that_ended_as_it_was() {
        let mut past = PastRound::begins(RoundId(3), RoundPurpose::Train, Some(1_000));
        past.part = (Part::Shares, Some(coordinator::history::now_ms() - 2_000));
        past.took_ms[0] = 4_500;
        let told = round(&past);
        assert_eq!((&told["took"][0]["seconds"], &told["part"]), (&json!(4.5), &json!("shares")));
        assert!(told["took"][3]["seconds"].as_f64() >= Some(2.0) && told["seconds"].is_null(), "{told}");
        (past.ended, past.ended_ms) = (Some(Ended::Void("too few".to_owned())), Some(3_500));
        past.bytes = Some((70, 8));
        let told = round(&past);
        assert_eq!((&told["ended"], &told["why"], &told["seconds"]), (&json!("void"), &json!("too few"), &json!(2.5)));
        assert_eq!((&told["took"][3]["seconds"], &told["part"]), (&json!(0.0), &Value::Null));
        assert_eq!((&told["received_bytes"], &told["sent_bytes"]), (&json!(70), &json!(8)));
    }

    #[test]
    fn a_plan_without_a_bound_of_bits_has_none() {
        let mut bytes = vec![255; protocol::terms::Terms::BYTES_MIN - 1];
        // That there is no head.
        bytes.push(0);
        let terms = Terms::from_bytes(&bytes).expect("terms");
        assert!(limits(&terms)["leak_bits_max"].is_null());
        assert_eq!(limits(&Terms { leak_bits_max: 9, ..terms })["leak_bits_max"], 9);
    }
}
