//! A consortium as processes, from the proposal to the diagnosis: officers on terminals, a hospital and the coordinator
//! killed in the middle, a member put out, a second version beside the first.

mod audits;
mod heads;
mod officers;
mod pages;
mod place;
mod questions;

use std::fs;

use place::{Place, SITES};
use serde_json::Value;

pub(crate) const PLAN: &str = r#"
[experiment]
name = "brightness"

[federation]
rounds = 3
patience = "60s"                       # far longer than a site needs to notice that its coordinator has died
weights = "declared"
attempts-ahead = 1

[data]
format = "image-folder"
classes = ["dark", "bright"]
image = { height = 16, width = 16, channels = 1 }
split = { train = 0.6, validation = 0.2, test = 0.2, by = "slice" }

[model]
layers = [{ type = "dense", units = 2 }]

[train]
learning-rate = 0.05
local-epochs = 2
batch-size = 8

[encryption]
preset = "AGG13"

[publish]
name = "brightness"
preset = "INF15-90"
release = "threshold"
figures = "pooled"
leak-bits = 7000
"#;

#[test]
fn a_consortium_trains_survives_and_serves_two_versions() {
    let mut place = Place::new();
    place.enrol();
    fs::write(place.path("plan.toml"), PLAN).expect("written");

    // What a person gets wrong before anything begins.
    place.weights_are_classes_and_nothing_else();
    assert!(place.refused(&["hospital", "terms", "--folder", "east"], 4).contains("nothing is proposed"));
    let proposed = place.json(&["coordinator", "run", "plan.toml"]);
    assert_eq!((&proposed["epoch"], &proposed["members"], &proposed["threshold"]), (&1.into(), &4.into(), &3.into()));
    place.weights_are_shown_to_whoever_approves();
    assert!(place.refused(&["coordinator", "run", "plan.toml", "--from", "1"], 4).contains("no model to go on from"));
    assert!(place.refused(&["hospital", "approve", "membership", "--folder", "east"], 4).contains("no terminal"));
    let wrong = place.typed("west", "zoo zoo zoo zoo zoo zoo");
    assert_eq!(wrong.status.code(), Some(6), "{}", String::from_utf8_lossy(&wrong.stdout));
    let digest = "0".repeat(64);
    let other = ["hospital", "approve", "terms", &digest, "--folder", "east"];
    assert!(place.refused(&other, 4).contains("proposes other terms"));
    place.site_file("west", "[policy]\nrounds-max = 2\n");
    let terms = place.json(&["hospital", "terms", "--folder", "west"])["terms"].as_str().expect("a digest").to_owned();
    let strict = ["hospital", "approve", "terms", &terms, "--folder", "west"];
    assert!(place.refused(&strict, 5).contains("rounds-max"));

    // The site file approves these terms beforehand, so that this site's officer has only the members to approve; but
    // another of its rules still forbids the plan, whoever approved it.
    let metrics = "metrics = \"127.0.0.1:0\"";
    let rules = |rounds: u32| format!("{metrics}\n[policy]\nrounds-max = {rounds}\nterms = [\"{terms}\"]\n");
    place.site_file("west", &rules(2));
    place.kill("west");
    place.serve_site("west");
    place.approve_membership(&SITES);
    place.until_told("west", "cannot take part: the plan has 3 rounds, this site's policy allows 2");
    assert!(place.figures("west").contains("consilium_site_state{epoch=\"1\",state=\"hindered\"} 1\n"));
    // A site in service takes part by what its file says now.
    place.site_file("west", &rules(3));

    place.images_approved_last_are_taken("east");
    for site in &SITES[..3] {
        assert!(!place.log("coordinator").contains("begins"), "nothing before everybody's consent");
        place.approve_terms(site);
    }

    // A hospital and the coordinator lose their power in the middle.
    place.until_told("coordinator", "all keys exist");
    place.until_told("coordinator", "round 1 begins");
    place.kill("south");
    place.serve_site("south");
    place.until_told("coordinator", "round 1 closed");
    place.kill("coordinator");
    place.serve_coordinator();
    place.until_told("coordinator", "is served");
    let status = place.json(&["coordinator", "status"]);
    let now = &status["epochs"][0]["now"];
    assert_eq!((&now["closed"], &now["serving"]), (&3.into(), &true.into()), "{status}");

    let figures = place.figures("coordinator");
    for line in ["consilium_rounds_closed{epoch=\"1\"} 3", "consilium_members_live{epoch=\"1\"} 4"] {
        assert!(figures.lines().any(|found| found == line), "{line}: {figures}");
    }
    place.an_auditor_looks_at_the_dashboard();
    place.orders_are_given();
    place.back_up();
    place.go_on_from_the_copy();
    place.orders_are_remembered(1, &["stop", "resume"]);

    the_first_version_answers(&mut place);

    // A member is put out: its service ends by itself, the others go on.
    place.json(&["coordinator", "revoke", "west", "--yes"]);
    place.until("the end of west", |place| place.log("west").contains("does not count this site among its members"));
    place.auditors_check_what_officers_hand_over();
    place.west_makes_again_what_it_sent();
    place.until("a campaign without west", |place| {
        let status = place.json(&["coordinator", "status"]);
        let live = status["epochs"][0]["now"]["live"].as_array().expect("names").clone();
        live.len() == 3 && !live.contains(&"west".into())
    });
    assert_eq!(place.predict("east", &[])["class"], "bright");

    begins_the_second_version_with_one_that_joins_later(&mut place);
    place.a_site_waits_for_its_hours();
    place.until("a second model", |place| place.path("north/epochs/2/published").exists());
    for epoch in ["1", "2"] {
        assert_eq!(place.predict("north", &["--epoch", epoch])["class"], "bright", "version {epoch}");
    }
    place.until("a second model at the one that joined later", |place| place.path("late/epochs/2/published").exists());
    place.asks_only_models_that_its_rules_name();
    // A site that cannot hear the last word of an epoch finds out that it is over, and asks the version that is left.
    place.signal("south", "STOP");
    place.json(&["coordinator", "stop", "--epoch", "1", "--end", "version 2 has replaced it"]);
    place.until_told("north", "over: version 2 has replaced it");
    place.signal("south", "CONT");
    place.until_told("south", "key epoch 1: over: ");
    place.orders_are_remembered(1, &["stop", "resume", "end"]);
    assert_eq!(place.predict("south", &[])["class"], "bright");
    place.nothing_begins_with_a_member_that_was_put_out();
    nobody_trains_again_from_one_model_without_a_member(&mut place);
}

fn the_first_version_answers(place: &mut Place) {
    place.until("a model at north", |place| place.path("north/epochs/1/published").exists());
    let answer = place.predict("north", &[]);
    assert_eq!(answer["class"], "bright", "{answer}");
    // All sites have 40 pictures, a fifth of them to test with, and read the same sum of what they counted.
    let models = SITES.map(|site| place.json(&["hospital", "models", "--folder", site])["models"][0]["figures"].take());
    let [figures, others @ ..] = &models;
    assert_eq!((&figures["hospitals"], &figures["test_images"]), (&4.into(), &32.into()), "{figures}");
    assert!(others.iter().all(|other| other == figures), "{models:?}");
    // So an image is compared with theirs.
    assert_eq!(figures["appearance"]["images"], 64, "{figures}");
    assert_eq!(answer["likeness"]["is_unlike"], false, "{answer}");
    place.sent_by_north();
    place.one_question_is_evaluated_by_all_who_help();
    place.a_clinician_asks_on_a_page("north", "1");
}

/// In key epoch 1 four updates of the first model were added up. A sum without two of them would show these two, less
/// one that came later.
fn nobody_trains_again_from_one_model_without_a_member(place: &mut Place) {
    let on = place.json(&["coordinator", "exclude", "east", "--epoch", "2"]);
    assert_eq!(on["from"], 2, "from the model that they have trained: {on}");
    // What nobody has begun is withdrawn.
    assert_eq!(place.json(&["coordinator", "stop", "--epoch", "4", "--end", "a mistake"])["epoch"], 4);
    assert!(place.refused(&["coordinator", "stop", "--epoch", "4", "--end", "again"], 5).contains("not under way"));
    let again = place.json(&["coordinator", "exclude", "east", "--epoch", "3"]);
    assert_eq!((&again["epoch"], &again["from"]), (&5.into(), &Value::Null), "nothing was trained in it");
    place.kill("north");
    place.serve("north", &["hospital", "serve", "--folder", "north", "--log", "warn"]);
    let members = ["north", "late", "south"];
    place.approve_membership(&members);
    members.iter().for_each(|site| place.approve_terms(site));
    place.until_told("coordinator", "key epoch 5: round 1 begins");
    place.until_told("coordinator", "key epoch 5: round 1 ended without a model");
    place.until_told("north", "the cohort differs by too few members from a possibly revealed one");
}

fn begins_the_second_version_with_one_that_joins_later(place: &mut Place) {
    place.one_joins_later();
    place.propose_the_second();
    let members = ["east", "late", "north", "south"];
    place.approve_membership(&members);
    members[..3].iter().for_each(|site| place.approve_terms(site));
    place.an_officer_approves_on_a_page(members[3], "2");
    place.the_model_is_handed_over();
}
