//! A site before an auditor: `consilium audit own`, on the folder of one that trained, was asked, and was put out.

use std::fs;

use serde_json::Value;

use crate::place::Place;

/// What a site that took part in training and publishing can make again, whoever decrypted.
const MADE_AGAIN: [&str; 10] = [
    "shares of all gates",
    "gate key",
    "relinearisation share, first round",
    "relinearisation share, second round",
    "masks of the relinearisation shares' proof",
    "openings of the relinearisation shares' proof",
    "shares of the rotation keys",
    "update of round 1, attempt 1",
    "update of round 3, attempt 1",
    "part of the published model, attempt 1",
];

/// The copy of the coordinator's folder that the auditor brings.
const COPY: &str = "for-the-auditor";

impl Place {
    /// West's service is over. All that it sent it can make again, by its own journal and the coordinator's log; a byte
    /// of either that is another is found, and named.
    pub(crate) fn west_makes_again_what_it_sent(&mut self) {
        self.kill("west");
        self.json(&["coordinator", "backup", COPY]);
        let (mut whole, exit) = self.audited();
        let data = &mut whole["data"];
        assert_eq!((exit, &data["holds"], &data["log"]), (Some(0), &true.into(), &true.into()), "{data}");
        let objects = data["objects"].take();
        let objects = objects.as_array().expect("rows");
        let of = |what: &str| objects.iter().find(|row| row["what"] == what).cloned().unwrap_or_default();
        for what in MADE_AGAIN {
            assert_eq!(of(what)["verdict"], "equal", "{what}: {objects:?}");
        }
        assert_eq!(of("dealt keys")["verdict"], "not-kept");

        // In the site's own journal: beside what stands there now the log still has what the site signed.
        let what = "update of round 3, attempt 1";
        let signed = of(what)["signed"].as_str().expect("a digest").to_owned();
        self.alter("west/epochs/1/journal.sqlite", &signed);
        let (found, exit) = self.audited();
        assert_eq!((exit, &found["data"]["differ"]), (Some(6), &1.into()), "{found}");
        let rows = found["data"]["objects"].as_array().expect("rows");
        let differs = rows.iter().find(|row| row["verdict"] == "differs").cloned().unwrap_or_default();
        assert!(differs["what"] == what && differs["own_signature"] == false, "{differs}");
        assert!(differs["made"] == signed.as_str() && differs["signed"] != signed.as_str(), "{differs}");
        assert!(rows.iter().any(|row| row["what"] == what && row["verdict"] == "equal"), "{rows:?}");

        // In the log: what is signed there by nobody is believed of nobody.
        self.alter(&format!("{COPY}/epochs/1/journal.sqlite"), &signed);
        let (refused, exit) = self.audited();
        let place = refused["error"]["where"].as_str().unwrap_or_default();
        assert!(exit == Some(6) && place.starts_with("entry ") && place.contains("of the log"), "{refused}");
    }

    /// What an audit of west prints, and its exit code.
    fn audited(&self) -> (Value, Option<i32>) {
        let folder = format!("{COPY}/epochs/1");
        let own = ["audit", "own", "--site", "west", "--epoch", "1", "--folder", &folder, "--format", "json"];
        let output = self.run(&own);
        (serde_json::from_slice(&output.stdout).expect("JSON"), output.status.code())
    }

    /// Changes one byte of a file, the first of a digest where that stands first.
    fn alter(&self, file: &str, digest: &str) {
        let byte = |at: usize| u8::from_str_radix(&digest[2 * at..2 * at + 2], 16).expect("hex");
        let digest: Vec<u8> = (0..32).map(byte).collect();
        let mut bytes = fs::read(self.path(file)).expect("a file");
        let at = bytes.windows(32).position(|window| window == digest).expect("the digest is in it");
        bytes[at] ^= 1;
        fs::write(self.path(file), bytes).expect("written");
    }
}
