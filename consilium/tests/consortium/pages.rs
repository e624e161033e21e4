//! Pages of a real consortium: a clinician's at a site, with the portal's process, its child that decodes and the
//! counter; an auditor's at the coordinator.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::place::Place;

/// A signed-in browser, as far as a test needs one.
pub(crate) struct Browser {
    address: String,
    cookie: String,
}

impl Browser {
    /// Signs in at pages at this address.
    pub(crate) fn sign_in(address: &str, name: &str, password: &str) -> Self {
        let mut browser = Self { address: address.to_owned(), cookie: String::new() };
        let (head, _) = browser.form("/sign-in", &format!("name={name}&password={password}&next=/"));
        browser.cookie = header(&head, "set-cookie: ").split(';').next().expect("a cookie").to_owned();
        browser
    }

    fn request(&self, head: &str, headers: &str, body: &[u8]) -> (String, String) {
        let mut line = TcpStream::connect(&self.address).expect("the portal listens");
        let head = format!(
            "{head} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\nCookie: {}\r\n{headers}\r\n",
            self.address,
            body.len(),
            self.cookie
        );
        line.write_all(&[head.as_bytes(), body].concat()).expect("sent");
        let mut answer = Vec::new();
        line.read_to_end(&mut answer).expect("answered");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        (head.to_owned(), body.to_owned())
    }

    pub(crate) fn form(&self, path: &str, fields: &str) -> (String, String) {
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        self.request(&format!("POST {path}"), headers, fields.as_bytes())
    }

    pub(crate) fn page(&self, path: &str) -> String {
        self.request(&format!("GET {path}"), "", b"").1
    }

    /// Hands a file in for the model of a key epoch.
    fn hand_in(&self, csrf: &str, epoch: &str, bytes: &[u8]) -> (String, String) {
        let field = |name: &str, value: &str| {
            format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let file = "--edge\r\nContent-Disposition: form-data; name=\"files\"; filename=\"scan.png\"\r\n\r\n";
        let begin = [field("csrf", csrf), field("model", epoch), file.to_owned()].concat();
        let body = [begin.as_bytes(), bytes, b"\r\n--edge--\r\n"].concat();
        self.request("POST /drafts", "Content-Type: multipart/form-data; boundary=edge\r\n", &body)
    }
}

fn header(head: &str, name: &str) -> String {
    let found = head.lines().find_map(|line| line.strip_prefix(name));
    found.expect("a header").trim().to_owned()
}

impl Place {
    /// The coordinator's dashboard, which `[dashboard]` in its settings has switched on.
    pub(crate) fn an_auditor_looks_at_the_dashboard(&mut self) {
        let user = self.json(&["coordinator", "user", "add", "anna", "--role", "auditor"]);
        let password = user["password"].as_str().expect("a password").to_owned();
        assert_eq!(self.json(&["coordinator", "user", "list"])["users"][0]["roles"], "auditor");
        assert!(self.refused(&["coordinator", "user", "remove", "eve"], 4).contains("no user is named eve"));
        // The newest process says it last.
        let log = self.log("coordinator");
        let address = log.rsplit("dashboard at http://").next().and_then(|rest| rest.split('/').next());
        let address = address.expect("an address");
        let nobody = Browser { address: address.to_owned(), cookie: String::new() };
        assert!(!nobody.page("/").contains("north"), "nobody is signed in");
        let browser = Browser::sign_in(address, "anna", &password);
        let page = browser.page("/");
        let words =
            ["east", "north", "south", "west", "Round 3", "A model is served", "no plaintext here", "brightness"];
        words.iter().for_each(|word| assert!(page.contains(word), "{word}: {page}"));
        // What the page shows is in the status; a process that was killed meanwhile has forgotten no time.
        let status = self.json(&["coordinator", "status"]);
        let history = &status["epochs"][0]["history"];
        let rounds = history["rounds"].as_array().expect("rounds");
        assert!(rounds.len() >= 3 && rounds.iter().all(|round| round["seconds"].as_f64() > Some(0.0)), "{status}");
        // Whole seconds: a round and the process after it may begin in the same one.
        assert!(rounds[0]["began_at_s"].as_u64().is_some(), "{status}");
        assert!(rounds[0]["began_at_s"].as_u64() <= status["since_s"].as_u64(), "before this process: {status}");
        assert!(history["models"][0]["at_s"].as_u64().is_some() && history["log"]["head"].is_string(), "{status}");
        let sites = status["epochs"][0]["now"]["sites"].as_array().expect("sites");
        assert!(sites.iter().all(|site| site["received_bytes"].as_u64() > Some(0)), "{status}");
    }

    pub(crate) fn orders_are_given(&self) {
        self.json(&["coordinator", "stop", "--epoch", "1"]);
        self.json(&["coordinator", "resume", "--epoch", "1"]);
    }

    /// Orders are in the status with their times, also after a restart and when the key epoch is over.
    pub(crate) fn orders_are_remembered(&mut self, epoch: usize, words: &[&str]) {
        self.until("orders in the status", |place| {
            let status = place.json(&["coordinator", "status"]);
            let history = &status["epochs"][epoch - 1]["history"];
            let orders = history["orders"].as_array().cloned().unwrap_or_default();
            let found: Vec<_> = orders.iter().filter_map(|order| order["order"].as_str()).collect();
            found == words && orders.iter().all(|order| order["at_s"].as_u64() > Some(1_700_000_000))
        });
    }

    /// Opens the pages of a site in a process of this name; their address.
    pub(crate) fn open_pages(&mut self, name: &str, site: &str) -> String {
        self.serve(name, &["hospital", "portal", "--listen", "127.0.0.1:0", "--folder", site]);
        self.until_told(name, "pages at http://");
        let log = self.log(name);
        let address = log.split("pages at http://").nth(1).and_then(|rest| rest.split('/').next());
        address.expect("an address").to_owned()
    }

    pub(crate) fn a_clinician_asks_on_a_page(&mut self, site: &str, epoch: &str) {
        let nowhere = ["hospital", "portal", "--folder", site];
        assert!(self.refused(&nowhere, 4).contains("its site.toml has no [portal]"));
        let open = ["hospital", "portal", "--listen", "0.0.0.0:0", "--folder", site];
        assert!(self.refused(&open, 4).contains("no certificate"), "other machines would read along");
        let user = self.json(&["hospital", "user", "add", "ada", "--role", "clinician", "--folder", site]);
        let password = user["password"].as_str().expect("a password").to_owned();
        let users = self.json(&["hospital", "user", "list", "--folder", site]);
        assert_eq!((&users["users"][0]["name"], &users["users"][0]["roles"]), (&"ada".into(), &"clinician".into()));
        let browser = Browser::sign_in(&self.open_pages("pages", site), "ada", &password);
        let page = browser.page("/new");
        let csrf = page.split("name=\"csrf\" value=\"").nth(1).map(|rest| rest[..64].to_owned()).expect("a form");
        let (head, page) = browser.hand_in(&csrf, epoch, b"no picture");
        assert!(head.contains(" 422 ") && page.contains("begins like none of"), "{head} {page}");
        let picture = fs::read(self.path(&format!("{site}.images/bright/0.png"))).expect("a picture");
        let (head, page) = browser.hand_in(&csrf, epoch, &picture);
        assert!(head.contains(" 303 "), "{head} {page}");
        let draft = header(&head, "location: ").split('?').next().expect("a path").to_owned();
        let (head, page) = browser.form(&format!("{draft}/ask"), &format!("csrf={csrf}&model={epoch}&frame=1"));
        assert!(head.contains(" 303 "), "{head} {page}");
        let case = header(&head, "location: ");
        self.until("an answer on the page", |_| browser.page(&case).contains("The model answers"));
        let page = browser.page(&case);
        assert!(
            page.contains("<b>bright</b>") && page.contains("sensitivity") && page.contains("as question "),
            "{page}"
        );
        for step in ["Encrypted", "At the coordinator", "Evaluated", "Released"] {
            assert!(page.contains(step), "{step}: {page}");
        }
        assert_eq!(page.matches("<li class=\"done\">").count(), 6, "every step was made: {page}");
        let report: serde_json::Value =
            serde_json::from_str(&browser.page(&format!("{case}/fhir.json"))).expect("a report");
        assert_eq!(report["resourceType"], "DiagnosticReport");
        self.kill("pages");
        let asked = self.json(&["hospital", "sent", "--totals", "--what", "encrypted question", "--folder", site]);
        assert!(asked["totals"][0]["count"].as_u64() > Some(1), "what the page sent is in the book as well: {asked}");
    }
}
