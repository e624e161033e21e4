//! A consortium that trains a head on encrypted features: the same people, folders and verbs, another plan.

use std::fs;

use serde_json::Value;

use crate::place::{Place, SITES};

const PLAN: &str = r#"
[experiment]
name = "head-brightness"

[federation]
patience = "60s"

[data]
format = "image-folder"
classes = ["dark", "bright"]
image = { height = 16, width = 16, channels = 1 }
split = { train = 0.6, validation = 0.2, test = 0.2, by = "slice" }

[head]
features = "pixels"
dimension = 4
steps = 2
learning-rate = 0.6

[publish]
name = "head-brightness"
"#;

#[test]
fn a_consortium_trains_a_head_that_nobody_opens_and_asks_it_about_images() {
    let mut place = Place::new();
    place.enrol();
    let model = PLAN.replace("features = \"pixels\"", "features = \"backbone\"\nbackbone = \"m.safetensors\"");
    fs::write(place.path("model.toml"), model).expect("written");
    assert!(place.refused(&["coordinator", "run", "model.toml"], 4).contains("which the members of a consortium do"));
    fs::write(place.path("plan.toml"), PLAN).expect("written");
    let from = ["coordinator", "run", "plan.toml", "--from", "1"];
    assert!(place.refused(&from, 4).contains("from no earlier model"));

    let proposed = place.json(&["coordinator", "run", "plan.toml"]);
    assert_eq!(
        (&proposed["epoch"], &proposed["threshold"], &proposed["weights"]),
        (&1.into(), &3.into(), &"equal".into())
    );
    place.site_file("west", "[policy]\npresets = [\"AGG13\"]\n");
    let terms = place.json(&["hospital", "terms", "--folder", "west"]);
    assert!(terms["plan"].as_str().expect("a file").contains("features = \"pixels\""), "{terms}");
    let strict = ["hospital", "approve", "terms", terms["terms"].as_str().expect("a digest"), "--folder", "west"];
    assert!(place.refused(&strict, 5).contains("TRN14"));
    place.site_file("west", "");
    place.approve_membership(&SITES);
    for site in &SITES[..3] {
        place.approve_terms(site);
    }
    place.an_officer_reads_and_approves("west");

    // A hospital and the coordinator lose their power in the middle.
    place.until_told("coordinator", "all features are there, encrypted");
    place.kill("south");
    place.serve_site("south");
    place.kill("coordinator");
    place.serve_coordinator();
    place.until_told("coordinator", "is served");
    let status = place.json(&["coordinator", "status"]);
    assert_eq!(status["epochs"][0]["now"]["serving"], true, "{status}");
    assert!(place.figures("coordinator").contains("consilium_head_steps{epoch=\"1\"} 2\n"));
    let shown = place.run(&["coordinator", "status"]).stdout;
    assert!(String::from_utf8_lossy(&shown).contains("2 of 2 steps"), "{}", String::from_utf8_lossy(&shown));

    place.until("a model at north", |place| place.path("north/epochs/1/published").exists());
    let models = place.json(&["hospital", "models", "--folder", "north"]);
    assert_eq!(models["models"][0]["classes"], serde_json::json!(["dark", "bright"]), "{models}");
    for (class, site) in [("bright", "north"), ("dark", "north"), ("dark", "south")] {
        let image = format!("{site}.images/{class}/3.png");
        let answer = place.json(&["hospital", "predict", &image, "--folder", site])["answers"][0].take();
        assert_eq!(answer["class"], class, "{answer}");
    }
    let listed = place.json(&["coordinator", "models"]);
    assert_eq!(listed["models"][0]["name"], "head-brightness", "{listed}");
    assert_eq!(listed["models"][0]["sites"], serde_json::json!(SITES), "{listed}");
    place.what_left_is_named("north");
    place.an_auditor_checks_what_is_handed_over("north", proposed["membership"].as_str().expect("a digest"));
}

impl Place {
    fn an_officer_reads_and_approves(&mut self, site: &str) {
        self.an_officer_approves_on_a_page(site, "1");
    }

    /// One file of the key epoch holds, by the membership that officers approved.
    fn an_auditor_checks_what_is_handed_over(&self, site: &str, membership: &str) {
        self.json(&["hospital", "bundle", "--to", "all.zip", "--folder", site]);
        let output = self.run(&["audit", "bundle", "all.zip", "--membership", membership, "--format", "json"]);
        let found: Value = serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["data"].take();
        assert_eq!((output.status.code(), &found["holds"]), (Some(0), &true.into()), "{found}");
        let signed: Vec<&str> =
            found["signed"].as_array().expect("things").iter().filter_map(|it| it["what"].as_str()).collect();
        assert!(signed.iter().any(|what| what.contains("features")), "{signed:?}");
        // What is still there is made again of the vault and of the site's images: nothing differs.
        let own = ["audit", "own", "--site", site, "--folder", "coordinator/epochs/1"];
        let found = self.json(&own);
        let of = |what: &str| {
            let objects = found["objects"].as_array().expect("objects");
            objects.iter().find(|it| it["what"] == what).expect("it was sent")["verdict"].clone()
        };
        assert_eq!((&found["holds"], of("features and labels")), (&true.into(), "equal".into()), "{found}");
        assert_eq!(of("training: shares of the rotation keys"), "equal", "{found}");
    }

    /// Whatever left has a name, and none of it is an update.
    fn what_left_is_named(&self, site: &str) {
        let sent = self.json(&["hospital", "sent", "--totals", "--folder", site]);
        let rows = sent["totals"].as_array().expect("rows");
        let kinds: Vec<&str> = rows.iter().filter_map(|row| row["what"].as_str()).collect();
        assert!(!kinds.contains(&"something else"), "{kinds:?}");
        let names = |word: &str| kinds.iter().any(|kind| kind.contains(word));
        assert!(names("features") && names("question") && names("refresh"), "{kinds:?}");
        assert!(rows.iter().all(|row| row["bytes"] != Value::Null), "{rows:?}");
    }
}
