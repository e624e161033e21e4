//! The portal in a real browser, driven over WebDriver: what a clinician and an officer do, with a keyboard's order and
//! a screen reader's eyes. Needs chromedriver; with `CONSILIUM_TEST_BROWSER=1` its absence is a failure. Pictures of
//! the pages are left in the folder that `CONSILIUM_TEST_SCREENSHOTS` names.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;

use super::*;
use crate::answer::tests::figures;

/// Pages wait for nothing but this machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Driver {
    process: Child,
    port: u16,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A browser that is driven; `None` where there is none.
pub(crate) fn driver() -> Option<Driver> {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new("chromedriver");
    command.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        Ok(process) => Some(Driver { process, port }),
        Err(error) => {
            assert!(std::env::var_os("CONSILIUM_TEST_BROWSER").is_none(), "chromedriver: {error}");
            println!("skipped: there is no chromedriver ({error})");
            None
        }
    }
}

pub(crate) struct Walk {
    pub(crate) client: Client,
    house: String,
    axe: Option<String>,
}

impl Walk {
    /// A browser that has its profile in this folder and looks at this address.
    pub(crate) async fn begin(driver: &Driver, folder: &Path, address: &str) -> Self {
        let profile = folder.join("browser");
        let arguments = [
            "--headless=new".to_owned(),
            // Tests run as root in containers; the pages are this test's own.
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--lang=en".to_owned(),
            format!("--user-data-dir={}", profile.display()),
        ];
        let options = json!({"args": arguments, "prefs": {"intl.accept_languages": "en"}});
        let capabilities = json!({"goog:chromeOptions": options}).as_object().cloned().unwrap();
        let url = format!("http://127.0.0.1:{}", driver.port);
        let since = Instant::now();
        let client = loop {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            match builder.capabilities(capabilities.clone()).connect(&url).await {
                Ok(client) => break client,
                Err(error) => assert!(since.elapsed() < PATIENCE, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let axe = std::env::var_os("CONSILIUM_TEST_AXE").map(|path| std::fs::read_to_string(path).unwrap());
        Self { client, house: format!("http://{address}"), axe }
    }

    pub(crate) async fn go(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.house)).await.unwrap();
    }

    pub(crate) async fn types(&self, css: &str, text: &str) {
        self.element(css).await.send_keys(text).await.unwrap();
    }

    pub(crate) async fn click(&self, css: &str) {
        let since = Instant::now();
        // An element that was found may be gone with its page a moment later.
        while let Err(error) = self.element(css).await.click().await {
            assert!(since.elapsed() < PATIENCE, "{css}: {error}");
        }
    }

    async fn element(&self, css: &str) -> fantoccini::elements::Element {
        self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await.unwrap()
    }

    /// The page's text once it has these words.
    pub(crate) async fn sees(&self, words: &str) -> String {
        let since = Instant::now();
        loop {
            let text = match self.client.find(Locator::Css("body")).await {
                Ok(body) => body.text().await.unwrap_or_default(),
                Err(_) => String::new(),
            };
            if text.contains(words) {
                return text;
            }
            assert!(since.elapsed() < PATIENCE, "no {words:?} in: {text}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Looks at the page as it is, light and dark, wide and narrow: nothing is cut off, and axe-core finds nothing.
    pub(crate) async fn looks(&self, name: &str) {
        for (scheme, width) in [("light", 1_280), ("dark", 1_280), ("light", 390)] {
            self.emulate(scheme).await;
            self.client.set_window_size(width, 900).await.unwrap();
            if let Some(folder) = std::env::var_os("CONSILIUM_TEST_SCREENSHOTS") {
                // The whole page, and what stands around it in a window.
                let height = "return document.documentElement.scrollHeight + 160";
                let height = self.client.execute(height, Vec::new()).await.unwrap().as_u64().unwrap_or(900);
                self.client.set_window_size(width, height.clamp(900, 8_000) as u32).await.unwrap();
                let png = self.client.screenshot().await.unwrap();
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(Path::new(&folder).join(format!("{name}-{scheme}-{width}.png")), png).unwrap();
                self.client.set_window_size(width, 900).await.unwrap();
            }
            let beyond = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
            let beyond = self.client.execute(beyond, Vec::new()).await.unwrap();
            assert_eq!(beyond, json!(0), "{name} is wider than a screen of {width}");
            self.is_accessible(name, scheme).await;
        }
        self.emulate("light").await;
        self.client.set_window_size(1_280, 900).await.unwrap();
    }

    async fn emulate(&self, scheme: &str) {
        // A command of Chromium's own, by the extension of its driver.
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let command = Devtools(json!({"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}}));
        self.client.issue_cmd(command).await.unwrap();
    }

    async fn is_accessible(&self, name: &str, scheme: &str) {
        let Some(axe) = &self.axe else { return };
        self.client.execute(axe, Vec::new()).await.unwrap();
        let run = "const done = arguments[0]; axe.run().then(found => done(found.violations.map(one => one.id + ': ' \
                   + one.nodes.map(node => node.html + ' ' + node.failureSummary).join(' | '))));";
        let found = self.client.execute_async(run, Vec::new()).await.unwrap();
        assert_eq!(found, json!([]), "{name}, {scheme}");
    }
}

/// Chromium's `goog/cdp/execute`.
#[derive(Debug)]
struct Devtools(serde_json::Value);

impl fantoccini::wd::WebDriverCompatibleCommand for Devtools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.0.to_string()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinician_and_an_officer_walk_through_the_pages() {
    let Some(driver) = driver() else { return };
    let house = House::offering(|offer| Offer { figures: Some(figures(0.4)), ..offer }).await;
    // Longer than a browser needs to show that it waits.
    let takes = Duration::from_secs(4);
    let _counter = slow_counter(&house.root(), Says::Logits(vec![0.0, 3.0, 1.0]), takes);
    let walk = Walk::begin(&driver, &house.root(), &house.address).await;
    walk.go("/new").await;
    walk.looks("sign-in").await;
    walk.types("#name", "ada").await;
    walk.types("#password", "wrong wrong wrong").await;
    walk.click("main button").await;
    walk.sees("Name or password is wrong").await;
    walk.looks("sign-in-wrong").await;
    walk.types("#name", "ada").await;
    walk.types("#password", PASSWORD).await;
    walk.click("main button").await;
    walk.sees("Ask about a scan").await;
    walk.looks("new-case").await;

    let scan = house.root().join("scan.png");
    std::fs::write(&scan, picture()).unwrap();
    walk.types("#reference", "bed 7").await;
    walk.types("#files", scan.to_str().unwrap()).await;
    walk.sees("scan.png").await;
    walk.click("main form button[type=submit]").await;
    walk.sees("Is this the scan?").await;
    walk.looks("draft").await;
    walk.click("#ask button").await;
    walk.sees("The model is being asked").await;
    // The page follows the case by itself.
    walk.sees("The model answers").await;
    walk.looks("answer").await;
    let images = "return [...document.images].every(image => image.complete && image.naturalWidth > 0)";
    assert_eq!(walk.client.execute(images, Vec::new()).await.unwrap(), json!(true), "pictures are drawn");
    walk.client.find(Locator::Css("#label")).await.unwrap().select_by_value("1").await.unwrap();
    walk.click("form[action$='/label'] button").await;
    walk.sees("recorded by ada").await;

    walk.go("/cases?words=bed").await;
    walk.sees("Found: 1").await;
    walk.looks("worklist").await;
    walk.go("/models").await;
    walk.looks("models").await;
    walk.go("/quality").await;
    walk.sees("Root mean square error").await;
    walk.looks("quality").await;
    walk.click(".who form:first-child button").await;
    walk.sees("Eine Aufnahme befragen").await;
    walk.looks("new-case-german").await;
    walk.click(".who form:first-child button").await;
    walk.click(".who form:last-child button").await;
    walk.sees("Sign in").await;

    walk.types("#name", "odo").await;
    walk.types("#password", PASSWORD).await;
    walk.click("main button").await;
    an_officer_approves(&walk, &house).await;
    walk.go("/sent").await;
    walk.sees("written down before it was sent").await;
    walk.looks("sent").await;
    walk.go("/new").await;
    walk.sees("Your account does not reach this page").await;
    walk.looks("notice").await;
    walk.click("main a.button").await;
    walk.sees("Nothing is trained").await;
    walk.client.close().await.unwrap();
}

/// Members, then terms, of a proposal that the site's service has noted.
async fn an_officer_approves(walk: &Walk, house: &House) {
    walk.sees("Nothing is proposed").await;
    let root = house.root();
    let proposed = office::standing(4, office::MEMBERS);
    office::note(&root, &proposed, office::WAITS);
    office::name_images(&root);
    walk.go("/office").await;
    walk.looks("office").await;
    walk.click("h2 a").await;
    walk.sees("Compare six words").await;
    walk.looks("office-proposal").await;
    walk.types("#words", "zoo zoo zoo zoo zoo zoo").await;
    walk.types("#members-password", PASSWORD).await;
    walk.click("form[action$='/members'] button").await;
    walk.sees("The words differ").await;
    walk.looks("office-words-differ").await;
    walk.types("#words", proposed.1.as_deref().unwrap_or_default()).await;
    walk.types("#members-password", PASSWORD).await;
    walk.click("form[action$='/members'] button").await;
    walk.sees("You have approved the members").await;
    walk.types("#terms-password", PASSWORD).await;
    walk.click("form[action$='/terms'] button").await;
    walk.sees("trained on cxr").await;
    walk.go("/office/4?aloud=yes").await;
    walk.looks("office-approved").await;
}
