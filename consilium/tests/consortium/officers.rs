//! What an officer does at a site: approves on a page, and hands an auditor one file of a key epoch.

use std::fs;

use serde_json::Value;

use crate::pages::Browser;
use crate::place::Place;

impl Place {
    /// The officer of a site approves the terms of a key epoch on a page; the site's service hears of it.
    pub(crate) fn an_officer_approves_on_a_page(&mut self, site: &str, epoch: &str) {
        let user = self.json(&["hospital", "user", "add", "odo", "--role", "officer", "--folder", site]);
        let password = user["password"].as_str().expect("a password").to_owned();
        let browser = Browser::sign_in(&self.open_pages("office", site), "odo", &password);
        let path = format!("/office/{epoch}");
        let page = browser.page(&path);
        let value = |name: &str| {
            let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1).expect("a field");
            rest.split('"').next().unwrap_or_default().to_owned()
        };
        let form = format!("csrf={}&password={password}&digest={}&data=x", value("csrf"), value("digest"));
        let (head, page) = browser.form(&format!("{path}/terms"), &form);
        assert!(head.contains(" 303 "), "{head} {page}");
        let page = browser.page(&path);
        assert!(page.contains("trained on x") && page.contains("by odo, on the officer"), "{page}");
        self.until("the service's word on the page", |_| browser.page(&path).contains("Approved here; waiting for"));
        self.kill("office");
    }

    /// Two sites' files of key epoch 1 are whole and show the same log; what was taken out of one is found.
    pub(crate) fn auditors_check_what_officers_hand_over(&self) {
        let members = self.json(&["hospital", "terms", "--epoch", "1", "--folder", "north"])["membership"].take();
        let members = members.as_str().expect("a digest").to_owned();
        for site in ["north", "west"] {
            let to = format!("{site}.zip");
            let written = self.json(&["hospital", "bundle", "--epoch", "1", "--to", &to, "--folder", site]);
            assert!(written["entries"].as_u64() > Some(30) && written["epoch"] == 1, "{written}");
        }
        let audited = |file: &str| {
            let audit = ["audit", "bundle", file, "--membership", &members, "--with", "west.zip", "--format", "json"];
            let output = self.run(&audit);
            let data: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            (data["data"].clone(), output.status.code())
        };
        let (found, exit) = audited("north.zip");
        assert_eq!(
            (exit, &found["holds"], &found["findings"]),
            (Some(0), &true.into(), &Value::Array(vec![])),
            "{found}"
        );
        assert_eq!((&found["name"], &found["with"][0]["log"]), (&"north".into(), &"same".into()), "{found}");
        assert!(found["with"][0]["entries"].as_u64() > Some(30), "{found}");
        // Three rounds of training, and one of figures.
        assert_eq!((&found["rounds"], &found["membership"]), (&4.into(), &members.as_str().into()), "{found}");
        assert!(found["answers"]["north"].as_u64() >= Some(2), "{found}");
        let vouched = found["vouched"].as_array().expect("members");
        assert!(vouched.len() == 4 && vouched.iter().all(|it| it["entries"].as_u64() > Some(20)), "{found}");
        let approved: Vec<_> = found["approvals"].as_array().expect("approvals").iter().map(|it| &it["by"]).collect();
        assert_eq!(approved, ["command line", "command line"], "{found}");
        let signed = found["signed"].as_array().expect("things");
        let update = signed.iter().find(|it| it["what"] == "update of round 2, attempt 1").expect("an update");
        assert!(update["in_log"] == true && update["in_journal"] == true, "{update}");
        assert_eq!(self.run(&["audit", "bundle", "north.zip", "--membership", &"0".repeat(64)]).status.code(), Some(6));

        // Somebody takes out of west's book what it sent in round 2.
        let folder = self.path("west/sent");
        let files: Vec<_> =
            fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("a file").path()).collect();
        for file in &files {
            let text = fs::read_to_string(file).expect("a file");
            let is_left = |line: &&str| !(line.contains("encrypted update") && line.contains("round 2 "));
            let left: String = text.lines().filter(is_left).map(|line| format!("{line}\n")).collect();
            fs::write(file, left).expect("written");
        }
        let newest = self.json(&["hospital", "bundle", "--to", "less.zip", "--folder", "west"]);
        assert_eq!(newest["epoch"], 1, "the newest that west took part in");
        let (found, exit) = audited("less.zip");
        let findings = found["findings"].as_array().expect("findings");
        assert!(exit == Some(6) && findings.len() == 1, "{found}");
        let finding = findings[0].as_str().expect("words");
        assert!(
            finding.starts_with("encrypted update or figures, round 2, attempt 1: ") && finding.ends_with(" 0 as sent")
        );
    }
}
