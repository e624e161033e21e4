//! Files with a table `[head]`, run and planned by the program as people call it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

/// The file of a head that is shipped.
fn shipped(name: &str) -> String {
    format!("{}/../configs/head-{name}.toml", env!("CARGO_MANIFEST_DIR"))
}

fn consilium(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consilium"));
    command.args(arguments).output().expect("the program starts")
}

fn log(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a run says to programs, and whether it exits so.
fn ran(name: &str, changes: &[&str], flags: &[&str]) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    ran_in(&folder.path().join("run"), name, changes, flags)
}

fn ran_in(out: &Path, name: &str, changes: &[&str], flags: &[&str]) -> Value {
    let file = shipped(name);
    let mut arguments = vec!["run", &file, "--out", out.to_str().expect("a path"), "--format", "json"];
    changes.iter().for_each(|change| arguments.extend(["--set", change]));
    arguments.extend(flags);
    let output = consilium(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", log(&output));
    serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["data"].take()
}

const CLEAR: &str = "head.train=clear";
/// Angiograms that are drawn in a moment.
const FEW: [&str; 2] = ["--set", "data.simulate.angiography.patients-per-hospital=60"];

#[test]
fn readings_in_the_clear_are_nearly_the_exact_ones() {
    let report = &ran("circulation", &[CLEAR], &[])["report"];
    let error = |head: &str| report["quality"][head]["relative_error"].as_f64().expect("an error");
    // By the mean alone it is 14 %.
    assert!(error("shadow") < 0.003 && error("exact") < error("shadow"), "{report}");
    assert_eq!((report["data"]["dimension"].as_u64(), report["steps"].as_array().map(Vec::len)), (Some(220), Some(12)));
    assert!(report["costs"].is_null() && report["parameters"].is_null() && report["serving"].is_null(), "{report}");
}

/// Nearly as good as the exact solution, within the polynomial's range.
fn told(name: &str, changes: &[&str], flags: &[&str], least: f64) -> Value {
    let report = ran(name, &[&[CLEAR][..], changes].concat(), flags)["report"].take();
    let right = |head: &str| report["quality"][head]["accuracy"].as_f64().expect("a share");
    assert!(right("shadow") >= least && right("shadow") > right("exact") - 0.01, "{}", report["quality"]);
    assert!(report["quality"]["largest_logit"].as_f64().is_some_and(|most| most < 0.95 * 24.0), "{report}");
    report
}

#[test]
fn views_in_unlike_hospitals_are_told_in_few_steps() {
    let unlike = [
        "federation.hospitals=10",
        "data.simulate.partition=dirichlet",
        "data.simulate.alpha=0.5",
        "data.simulate.angiography.patients-per-hospital=600",
    ];
    let report = told("angiography", &unlike, &[], 0.945);
    let averaged = report["quality"]["averaged"]["accuracy"].as_f64().expect("a share");
    assert!((0.5..1.0).contains(&averaged), "{averaged}");
    assert_eq!(report["data"]["rows_of_hospitals"].as_array().map(Vec::len), Some(10));
}

#[test]
fn digits_and_pneumonia_are_told_in_few_steps() {
    let Ok(folder) = std::env::var("CONSILIUM_TEST_DATA") else {
        println!("skipped: CONSILIUM_TEST_DATA is not set");
        return;
    };
    let digits = format!("{folder}/mnist");
    told("mnist", &[], &["--data", &digits], 0.98);
    let pair = told("three-eight", &[], &["--data", &digits], 0.96);
    // Of ten digits, two.
    assert_eq!((pair["data"]["train_rows"].as_u64(), pair["data"]["test_rows"].as_u64()), (Some(11_982), Some(1_984)));
    let chests = format!("{folder}/pneumoniamnist/pneumoniamnist.npz");
    let report = told("pneumonia", &[], &["--data", &chests], 0.85);
    let area = |head: &str| report["quality"][head]["auc"].as_f64().expect("an area");
    assert!((area("shadow") - area("exact")).abs() < 0.005, "{}", report["quality"]);
}

#[test]
fn a_head_trained_on_ciphertexts_by_three_hospitals_answers_as_the_one_in_the_clear() {
    let changes = ["federation.hospitals=3", "head.steps=2", "publish.queries=1", "compute.threads=2"];
    let data = ran("circulation", &changes, &[]);
    let report = &data["report"];
    let off = report["quality"]["weight_error"].as_f64().expect("a number");
    assert!(off > 0.0 && off < 5e-3, "{off}");
    let error = |head: &str| report["quality"][head]["relative_error"].as_f64().expect("an error");
    assert!((error("encrypted") - error("shadow")).abs() < 1e-4, "{}", report["quality"]);
    // 14 blocks of 5 groups of each hospital, behind gates: 7 limbs of 2^14 words of 30 bits.
    let costs = &report["costs"];
    assert_eq!((costs["ciphertexts"].as_u64(), costs["refreshes"].as_u64()), (Some(15 * 14), Some(2)));
    let limb = 61_440;
    let group = 14 * (72 + 7 * limb) + 72 + 5 * limb;
    assert_eq!(costs["upload_bytes"].as_u64(), Some(15 * group));
    assert!(costs["predicted_step_ms"].as_f64().is_some_and(|step| step > 0.0), "{costs}");
    let serving = &report["serving"];
    assert_eq!((serving["queries"].as_u64(), &serving["right"]), (Some(1), &Value::Null));
    assert!(serving["off"].as_f64().is_some_and(|off| off > 0.0 && off < 1e-2), "{serving}");
    let files = data["files"].as_array().expect("files");
    assert_eq!(files.len(), 2, "{files:?}");

    // What the plan says of the same file.
    let file = shipped("circulation");
    let mut arguments = vec!["plan", &file, "--format", "json"];
    changes.iter().for_each(|change| arguments.extend(["--set", change]));
    let output = consilium(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", log(&output));
    let plan = serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["data"].take();
    assert_eq!(plan["plan_digest"], report["experiment"]);
    assert_eq!(plan["data"]["upload_bytes"], costs["upload_bytes"]);
    assert_eq!(plan["encrypted"]["refresh_bytes"], costs["share_bytes"]);
    // Of 6,172 rows in 15 groups of 512, which leave every fifth place empty: 20 groups for the file's 16, of 15.
    assert_eq!((&plan["encrypted"]["step_groups"], &plan["data"]["groups"]), (&json!(15), &json!(15)));
    assert!(plan["encrypted"]["step_ms"].as_f64().is_some_and(|step| step > 0.0), "{}", plan["encrypted"]);
    assert_eq!(plan["data"]["logit_max"], report["quality"]["largest_logit"]);
    // The plan counts no headers of keys.
    let (planned, made) = (&plan["encrypted"]["key_bytes"], &report["parameters"]["key_bytes"]);
    let (planned, made) = (planned.as_u64().expect("a number"), made.as_u64().expect("a number"));
    assert!(planned < made && made - planned < 72 * 200, "{planned} and {made}");
    assert_eq!(plan["encrypted"]["rotation_keys"], report["parameters"]["rotation_keys"]);
}

#[test]
fn a_head_goes_on_without_a_hospital_that_is_lost_and_ends_where_too_few_are_left() {
    let small =
        ["head.steps=1", "publish.queries=0", "head.learning-rate=0.3", "data.simulate.circulation.patients=1024"];
    let small = small.map(|change| ["--set", change]).concat();
    let (file, folder) = (shipped("circulation"), tempfile::tempdir().expect("a folder"));
    let out = folder.path().join("run");
    let named = out.to_str().expect("a path");
    let lost = ["--drop", "hospital-2@1:before-share", "--set", "federation.hospitals=4", "--format", "json"];
    let output = consilium(&[&["run", &file, "--out", named][..], &small, &lost].concat());
    assert_eq!(output.status.code(), Some(0), "{}", log(&output));
    assert!(log(&output).contains("step 1: 1 of its refreshes came to nothing"), "{}", log(&output));
    let report = serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["data"]["report"].take();
    assert_eq!(report["costs"]["refreshes"].as_u64(), Some(2), "{}", report["costs"]);
    let off = report["quality"]["weight_error"].as_f64().expect("a number");
    assert!(off > 0.0 && off < 5e-3, "{off}");

    let out = folder.path().join("too-few");
    let named = out.to_str().expect("a path");
    let lost = ["--drop", "hospital-2@1:before-share", "--set", "federation.hospitals=3"];
    let output = consilium(&[&["run", &file, "--out", named][..], &small, &lost].concat());
    assert_eq!(output.status.code(), Some(3), "{}", log(&output));
    assert!(log(&output).contains("step 1 is refreshed by 3 hospitals, and one is lost: [2]"), "{}", log(&output));
    assert!(!out.exists());
}

#[test]
fn processes_train_a_head_over_the_network_replace_one_that_is_lost_and_answer_as_in_the_clear() {
    let changes = [
        "federation.hospitals=4",
        "federation.patience=20s",
        "head.steps=1",
        "head.learning-rate=0.3",
        "publish.queries=1",
        "data.simulate.circulation.patients=1024",
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let data = ran_in(&out, "circulation", &changes, &["--processes", "--drop", "hospital-2@1:before-share"]);
    let number = |key: &str| data[key].as_f64().expect("a number");
    assert!(number("largest_logit") > 0.1 && number("off") > 0.0, "{data}");
    assert!(number("off") < 0.01 * number("largest_logit"), "{data}");
    // The lapse of whoever is lost, and then everything again.
    assert!(data["seconds"]["steps"].as_f64().is_some_and(|steps| steps > 5.0), "{data}");
    assert!(data["bytes"]["sent"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{data}");
    assert_eq!(data["seconds"]["answers"].as_array().map(Vec::len), Some(1), "{data}");

    // The log is whole; readings are asked for with no picture.
    let named = out.to_str().expect("a path");
    let audited = consilium(&["audit", "queries", named, "--format", "json"]);
    assert_eq!(audited.status.code(), Some(0), "{}", log(&audited));
    let audited: Value = serde_json::from_slice(&audited.stdout).expect("JSON");
    assert_eq!(audited["data"]["queries"].as_array().map(Vec::len), Some(1), "{audited}");
    let asked = consilium(&["query", named, "slice.png"]);
    assert!(asked.status.code() == Some(4) && log(&asked).contains("are no images"), "{}", log(&asked));
    // A finished run that is continued trains nothing again, and one of another plan is not continued.
    let resume = ["run", "--resume", named, "--processes", "--format", "json"];
    let other = consilium(&[&resume[..], &["--set", "head.steps=2"]].concat());
    let said = String::from_utf8_lossy(&other.stdout);
    assert!(other.status.code() == Some(4) && said.contains("another plan"), "{said}");
    let again = consilium(&resume);
    assert_eq!(again.status.code(), Some(0), "{}", log(&again));
    let again = serde_json::from_slice::<Value>(&again.stdout).expect("JSON")["data"].take();
    assert_eq!(again["model"], data["model"], "{again}");
    assert!(again["seconds"]["steps"].as_f64().is_some_and(|steps| steps < 1.0), "{again}");

    let output = consilium(&["run", &shipped("circulation"), "--processes", "--set", CLEAR]);
    assert_eq!(output.status.code(), Some(4), "{}", log(&output));
    assert!(log(&output).contains("--processes"), "{}", log(&output));
}

#[test]
fn hospitals_whiten_by_an_encrypted_sum_take_every_step_again_and_a_report_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("of/a-head");
    let changes = [
        "federation.hospitals=3",
        "head.steps=1",
        "publish.queries=2",
        "data.simulate.angiography.patients-per-hospital=1000",
    ];
    let report = ran_in(&out, "angiography", &changes, &[])["report"].take();
    let read = |name: &str| std::fs::read_to_string(out.join(name)).expect("written");
    assert_eq!(serde_json::from_str::<Value>(&read("report.json")).expect("JSON"), report);
    // 512 features and their products, four digits of 16 bits or more each.
    let moments = &report["moments"];
    assert_eq!(moments["exact"].as_bool(), Some(true), "{moments}");
    assert!(moments["ciphertext_bytes"].as_u64().is_some_and(|bytes| bytes > 512 * 513 / 2 * 8), "{moments}");
    assert_eq!((report["data"]["raw_features"].as_u64(), report["data"]["dimension"].as_u64()), (Some(512), Some(256)));
    let parameters = &report["parameters"];
    assert_eq!((parameters["threshold"].as_u64(), parameters["verifiers"].as_u64()), (Some(3), Some(3)));
    let protection = &report["protection"];
    assert_eq!(protection["verified_steps"].as_u64(), Some(1), "{protection}");
    assert_eq!(protection["found"].as_array().map(Vec::len), Some(0), "{protection}");
    let uploads = report["costs"]["upload_bytes"].as_u64().expect("a number");
    assert!(protection["scanned_bytes"].as_u64().is_some_and(|bytes| bytes > uploads), "{protection}");
    assert!(report["serving"]["right"].as_u64().is_some_and(|right| right <= 2), "{}", report["serving"]);
    let page = read("report.html");
    assert!(page.contains("<svg") && page.contains("angiography"), "{}", page.len());
    let manifest: Value = serde_json::from_str(&read("manifest.json")).expect("JSON");
    assert_eq!(manifest["plan_digest"], report["experiment"]);

    // What was trained in one process cannot be asked any more, and says so.
    for verb in ["serve", "audit"] {
        let named = out.to_str().expect("a path");
        let arguments = if verb == "audit" { vec!["audit", "queries", named] } else { vec![verb, named] };
        let output = consilium(&arguments);
        assert_eq!(output.status.code(), Some(4), "{verb}");
        assert!(log(&output).contains("no head was trained there by processes"), "{verb}: {}", log(&output));
    }
}

#[test]
fn what_a_head_cannot_be_trained_on_is_bad_input_and_named_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let named = out.to_str().expect("a path");
    let refusals: [(&str, &[&str], &str); 15] = [
        ("mnist", &[], "--data"),
        ("mnist", &["--data", "/nowhere"], "/nowhere"),
        ("circulation", &["--data", "/nowhere"], "generates its images"),
        ("circulation", &["--set", "head.steps=0"], "steps"),
        ("circulation", &["--set", "head.learning-rate=-1"], "learning-rate"),
        ("circulation", &["--drop", "hospital-1@1:before-upload"], "before its share in a step alone"),
        ("circulation", &["--drop", "hospital-1@13:before-share"], "has 12 steps"),
        ("circulation", &["--drop", "hospital-9@1:before-share"], "has 5 hospitals"),
        ("circulation", &["--set", CLEAR, "--drop", "hospital-1@1:before-share"], "--drop would have no effect"),
        ("circulation", &["--site", "site.toml"], "--site would have no effect"),
        ("circulation", &["--set", "compute.backend=gpu"], "trained on the processor"),
        // Logits that leave the range: nothing is encrypted.
        ("angiography", &[FEW[0], FEW[1], "--set", "head.learning-rate=3"], "--set head.learning-rate=0.3"),
        ("angiography", &[FEW[0], FEW[1], "--set", "head.learning-rate=401"], "for each group of a batch"),
        ("angiography", &["--set", "federation.hospitals=2"], "hospitals"),
        ("angiography", &["--set", "head.verifiers=2"], "verifiers"),
    ];
    for (name, flags, expected) in refusals {
        let file = shipped(name);
        let output = consilium(&[&["run", &file, "--out", named][..], flags].concat());
        assert_eq!(output.status.code(), Some(4), "{flags:?}: {}", log(&output));
        assert!(log(&output).contains(expected), "{flags:?}: {}", log(&output));
        assert!(!out.exists(), "{flags:?}");
    }
    for (file, flags) in [("../configs/demo.toml", ["--data", "x"]), (&shipped("circulation"), ["--data", "x"])] {
        let output = consilium(&[&["plan", file][..], &flags].concat());
        assert_eq!(output.status.code(), Some(4), "{}", log(&output));
        assert!(log(&output).contains("would not be read"), "{}", log(&output));
    }
    let output = consilium(&["run", &shipped("circulation"), "--resume", named]);
    assert_ne!(output.status.code(), Some(0), "{}", log(&output));
}

#[test]
fn a_plan_says_when_logits_would_leave_their_range() {
    let file = shipped("angiography");
    let output = consilium(&[&["plan", &file, "--set", "head.train=clear"][..], &FEW].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains(" of 24") && text.contains("largest logit"), "{text}");
    let output = consilium(&[&["plan", &file, "--set", "head.learning-rate=3"][..], &FEW].concat());
    assert_eq!(output.status.code(), Some(4), "{}", log(&output));
    assert!(log(&output).contains("head.learning-rate"), "{}", log(&output));
}

/// Pictures of a generator, for a network and for a head.
const PHANTOMS: &str = r#"
[experiment]
name = "small"
[federation]
hospitals = 3
[data]
format = "phantom"
classes = ["normal", "cyst", "tumour"]
image = { height = 16, width = 16 }
[data.simulate]
source = "phantom"
[data.simulate.phantom]
patients-per-hospital = 12
slices-per-patient = 2
"#;

#[test]
fn features_of_a_trained_model_are_those_that_its_file_gives() {
    let folder = tempfile::tempdir().expect("a folder");
    let [network, head, model, out] =
        ["network.toml", "head.toml", "model.safetensors", "run"].map(|name| folder.path().join(name));
    let layers = "[model]\nlayers = [{ type = \"conv\", channels = 2, kernel = 4, stride = 3 }, \
                  { type = \"quadratic\" }, { type = \"dense\", units = 3 }]\n[train]\nlocal-epochs = 2\n";
    std::fs::write(&network, format!("{PHANTOMS}{layers}")).expect("written");
    let named = |path: &Path| path.to_str().expect("a path").to_owned();
    let output = consilium(&["bench", "train", &named(&network), "--epochs", "1", "--out", &named(&model)]);
    assert_eq!(output.status.code(), Some(0), "{}", log(&output));
    let text = format!(
        "{PHANTOMS}[head]\ntrain = \"clear\"\nfeatures = \"backbone\"\nbackbone = \"{}\"\ndimension = 20\nsteps = 4\n\
         learning-rate = 0.01\nlate-rate = 0.01\n",
        model.display()
    );
    std::fs::write(&head, text).expect("written");
    let run = |changes: &[&str]| consilium(&[&["run", &named(&head), "--out", &named(&out)][..], changes].concat());
    let output = run(&["--set", "head.dimension=52"]);
    // Two channels of five by five, and the constant.
    assert_eq!(output.status.code(), Some(4), "{}", log(&output));
    assert!(log(&output).contains("there are 50 features"), "{}", log(&output));
    assert_eq!(run(&["--set", "head.backbone=/nowhere"]).status.code(), Some(4));
    let output = run(&["--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", log(&output));
    let report = serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["data"]["report"].take();
    assert_eq!((report["data"]["raw_features"].as_u64(), report["data"]["dimension"].as_u64()), (Some(50), Some(20)));
    let made = report["recipe"]["features"].as_str().expect("a text");
    assert!(made.starts_with("convolutions of the model small (SHA-256 "), "{made}");
}
