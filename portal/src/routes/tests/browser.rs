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

    /// What a link leads to that is taken along and not shown.
    async fn takes(&self, path: &str) -> String {
        let fetch = "const done = arguments[1]; fetch(arguments[0]).then(told => told.text()).then(done);";
        let text = self.client.execute_async(fetch, vec![json!(path)]).await.unwrap();
        text.as_str().unwrap().to_owned()
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

    /// Waits until this expression is true on the page.
    async fn holds(&self, expression: &str) {
        let since = Instant::now();
        let script = format!("return Boolean({expression})");
        while self.client.execute(&script, Vec::new()).await.ok() != Some(json!(true)) {
            assert!(since.elapsed() < PATIENCE, "never: {expression}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    async fn signs_in(&self, name: &str, password: &str) {
        self.types("#name", name).await;
        self.types("#password", password).await;
        self.click("main button").await;
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
    let href = "return document.querySelector('a[href^=\"/cases.csv\"]').getAttribute('href')";
    let table = walk.client.execute(href, Vec::new()).await.unwrap();
    let table = walk.takes(table.as_str().unwrap()).await;
    assert!(table.lines().count() == 2 && table.contains("bed 7"), "{table}");
    walk.click("tbody th a").await;
    walk.sees("The model answers").await;
    let href = "return document.querySelector('a[href$=\"/fhir.json\"]').getAttribute('href')";
    let report = walk.client.execute(href, Vec::new()).await.unwrap();
    let report: serde_json::Value = serde_json::from_str(&walk.takes(report.as_str().unwrap()).await).unwrap();
    assert_eq!(report["resourceType"], "DiagnosticReport");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_changes_the_password_with_the_keyboard_and_what_is_wrong_is_said() {
    let Some(driver) = driver() else { return };
    let house = House::open().await;
    let walk = Walk::begin(&driver, &house.root(), &house.address).await;
    walk.go("/new").await;
    walk.signs_in("ada", PASSWORD).await;
    walk.sees("Ask about a scan").await;
    walk.click(".who a[href='/account']").await;
    walk.sees("You are signed in as ada").await;
    walk.looks("account").await;
    // From field to field with Tab, and sent with Enter.
    walk.types("#current", &format!("{PASSWORD}\t{}\t{}\n", "another password", "another passwort")).await;
    walk.sees("The two entries of the new password differ").await;
    walk.looks("account-wrong").await;
    walk.types("#current", &format!("{PASSWORD}\t{}\t{}\n", "another password", "another password")).await;
    walk.sees("Your password is changed").await;
    walk.looks("account-changed").await;
    walk.click(".who form:last-child button").await;
    walk.sees("Sign in").await;
    walk.signs_in("ada", PASSWORD).await;
    walk.sees("Name or password is wrong").await;
    walk.signs_in("ada", "another password").await;
    walk.sees("Ask about a scan").await;
    walk.client.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_is_moved_with_the_keyboard_and_the_picture_that_is_seen_is_asked_about() {
    let Some(data) = std::env::var_os("CONSILIUM_TEST_DATA") else {
        println!("skipped: CONSILIUM_TEST_DATA names no folder");
        return;
    };
    let Some(driver) = driver() else { return };
    let house = House::open().await;
    let _counter = counter(&house.root(), Says::Logits(vec![0.0, 3.0, 1.0]));
    let walk = Walk::begin(&driver, &house.root(), &house.address).await;
    walk.go("/new").await;
    walk.signs_in("ada", PASSWORD).await;
    walk.types("#files", Path::new(&data).join("dicom/CT_small.dcm").to_str().unwrap()).await;
    walk.click("main form button[type=submit]").await;
    walk.sees("Window: level").await;
    walk.looks("draft-window").await;
    let bytes = "const done = arguments[0]; fetch(document.getElementById('picture').src).then(told => told.blob())\
                 .then(blob => blob.arrayBuffer()).then(bytes => done([...new Uint8Array(bytes)]));";
    let before = walk.client.execute_async(bytes, Vec::new()).await.unwrap();
    let level = "document.querySelector('output[for=centre]').textContent";
    let first = walk.client.execute(&format!("return {level}"), Vec::new()).await.unwrap();
    // An arrow moves it by one, End to its end.
    walk.types("#centre", "\u{e014}").await;
    walk.holds(&format!("Number({level}) === Number({first}) + 1")).await;
    walk.types("#centre", "\u{e010}").await;
    let end = "document.getElementById('centre').max";
    walk.holds(&format!("{level} === {end}")).await;
    walk.holds(&format!("document.getElementById('picture').src.includes('centre=' + {end} + '&')")).await;
    walk.holds(&format!("document.querySelector('#ask input[name=centre]').value === {end}")).await;
    walk.holds("document.getElementById('picture').complete").await;
    let moved = walk.client.execute_async(bytes, Vec::new()).await.unwrap();
    assert!(moved != before && moved.as_array().is_some_and(|png| png.len() > 100));
    walk.click("#ask button").await;
    walk.sees("The model answers").await;
    let of_case = bytes.replace("document.getElementById('picture').src", "location.pathname + '/picture.png'");
    let asked = walk.client.execute_async(&of_case, Vec::new()).await.unwrap();
    assert_eq!(asked, moved, "what was seen is what was asked about");
    walk.client.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_images_are_followed_to_their_end_and_two_tabs_show_the_same_case() {
    let Some(driver) = driver() else { return };
    let house = House::open_with(|settings| Settings { keep_images: true, ..settings }).await;
    let _counter = slow_counter(&house.root(), Says::Logits(vec![0.0, 3.0, 1.0]), Duration::from_secs(3));
    let walk = Walk::begin(&driver, &house.root(), &house.address).await;
    walk.go("/new").await;
    walk.signs_in("ada", PASSWORD).await;
    let mut files = Vec::new();
    for number in 0..6 {
        files.push(house.root().join(format!("scan-{number}.png")));
        std::fs::write(&files[number], picture()).unwrap();
    }
    let names: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
    walk.types("#files", &names.join("\n")).await;
    walk.sees("scan-4.png +1").await;
    walk.click("main form button[type=submit]").await;
    // Four are asked at once, so that some are done before the others.
    walk.sees("0 of 6 done").await;
    let done = "document.querySelector('progress').value";
    walk.holds(&format!("{done} > 0 && {done} < 6")).await;
    walk.sees("6 of 6 done").await;
    walk.holds(&format!("{done} === 6")).await;
    walk.looks("batch").await;

    walk.go("/new").await;
    walk.types("#files", names[0]).await;
    walk.click("main form button[type=submit]").await;
    walk.click("#ask button").await;
    walk.sees("The model is being asked").await;
    let case = walk.client.current_url().await.unwrap().path().to_owned();
    let first = walk.client.window().await.unwrap();
    let second = walk.client.new_window(true).await.unwrap().handle;
    walk.client.switch_to_window(second.clone()).await.unwrap();
    walk.go(&case).await;
    walk.sees("The model answers").await;
    walk.client.switch_to_window(first.clone()).await.unwrap();
    walk.sees("The model answers").await;
    let label = async |class: &str| {
        walk.client.find(Locator::Css("#label")).await.unwrap().select_by_value(class).await.unwrap();
        walk.click("form[action$='/label'] button").await;
    };
    label("1").await;
    walk.sees("cyst (recorded by ada").await;
    // The other tab does not know of it, and what is said there last counts in both.
    walk.client.switch_to_window(second.clone()).await.unwrap();
    label("2").await;
    walk.sees("tumour (recorded by ada").await;
    walk.client.switch_to_window(first).await.unwrap();
    walk.client.refresh().await.unwrap();
    walk.sees("tumour (recorded by ada").await;
    walk.go("/quality").await;
    walk.sees("1 of these cases have a kept image").await;
    walk.looks("quality-training").await;
    // A session that ends in one tab ends in the other.
    walk.click(".who form:last-child button").await;
    walk.sees("Sign in").await;
    walk.client.switch_to_window(second).await.unwrap();
    walk.click("form[action$='/label'] button").await;
    walk.sees("session").await;
    walk.client.close().await.unwrap();
}
