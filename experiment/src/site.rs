//! The site file: what belongs to one machine and not to the experiment, so that it changes no plan and no digest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use he_agg::DeviceChoice;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{
    document::Document,
    error::{ExperimentError, Faults},
    hours::Hours,
    kind, schema,
    share::Share,
};

/// A checked site file; all defaults where there is none.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Site {
    /// Checked by the schema; there is one version so far.
    #[serde(rename = "schema")]
    version: Option<u32>,
    /// `[train]`.
    pub train: TrainSite,
    /// `[policy]`.
    pub policy: Policy,
    /// `[network]`.
    pub network: NetworkSite,
    /// `[data.NAME]`: the site's data sets, which no plan and no other member ever sees.
    pub data: BTreeMap<String, DataSite>,
    /// `[vault]`.
    pub vault: VaultSite,
    /// `[audit]`.
    pub audit: AuditSite,
    /// `[portal]`: pages for the site's people; none are served if absent.
    pub portal: Option<PortalSite>,
    /// `[pacs]`: the hospital's picture archive; none is asked if absent.
    pub pacs: Option<PacsSite>,
    /// Where figures for Prometheus are shown, `127.0.0.1:9465`; nowhere if absent.
    pub metrics: Option<String>,
}

/// `[data.NAME]` of a site file: images of this site.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DataSite {
    /// A file or folder; what is not absolute lies in the site's folder.
    pub path: PathBuf,
    /// The part of it that is this site's; all of it if absent.
    pub share: Option<Share>,
    /// The table of studies and classes that it is pulled by, where it comes from a picture archive.
    pub labels: Option<PathBuf>,
    /// The archive that it is pulled from; that of `[pacs]` if absent.
    pub dicomweb: Option<String>,
    /// The key epoch whose model the portal's cases asked, where it is made of cases whose truth was recorded.
    pub corrected: Option<u32>,
}

/// `[vault]` of a site file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct VaultSite {
    /// A file with the passphrase of the vaults that this site makes; one is made beside each if absent.
    pub passphrase: Option<PathBuf>,
}

/// `[audit]` of a site file: what an auditor may ask of this site later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AuditSite {
    /// Whether the secret of a key ceremony stays in the vault when all keys exist; it does if nothing is said.
    pub keep: Option<bool>,
}

impl AuditSite {
    /// Whether what this site sent in a key ceremony can be made again later. Whoever then takes its vault has its
    /// serving secret, one of all hospitals' parts, which decrypts nothing without every other one.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.keep != Some(false)
    }
}

/// `[portal]` of a site file: pages for clinicians and officers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PortalSite {
    /// Where browsers reach it, `127.0.0.1:8443`.
    pub listen: String,
    /// The site's certificate chain, a PEM file; without one only this machine is let in.
    pub certificate: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// Whether pictures that were asked about are kept; they are not if nothing is said.
    pub keep_images: Option<bool>,
}

/// `[pacs]` of a site file: the hospital's picture archive. Secrets stand in files beside it, never in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PacsSite {
    /// Where its DICOMweb services are, `https://archive.hospital/dicom-web`.
    pub address: String,
    /// A file with user and password, `user:password`.
    pub credentials: Option<PathBuf>,
    /// A file with a bearer token.
    pub token: Option<PathBuf>,
    /// Certificates of the authorities that vouch for it, a PEM file.
    pub ca: Option<PathBuf>,
    /// Whether patients' names may travel to another machine unencrypted; they may not if nothing is said.
    pub allow_plain_http: Option<bool>,
}

/// `[network]` of a site file: how the coordinator is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NetworkSite {
    /// `auto`, `quic` or `tcp`; auto if absent.
    pub transport: Option<String>,
    /// An HTTP proxy, `http://host:port`.
    pub proxy: Option<String>,
    /// A file with its user and password, `user:password`.
    pub proxy_credentials: Option<PathBuf>,
}

/// `[policy]` of a site file: what this site takes part in. It wins over whatever is proposed; what is not set is not
/// limited.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Policy {
    /// Fewest hospitals in a sum.
    pub min_cohort: Option<u16>,
    /// Most training rounds.
    pub rounds_max: Option<u32>,
    /// Fewest training images with which this site takes part.
    pub images_min: Option<usize>,
    /// Parameter sets, of which both of a plan's must be; empty for any.
    pub presets: Vec<String>,
    /// Digests of terms that need no officer's command.
    pub terms: Vec<String>,
    /// Digests of published models that this site's people may ask; empty for any.
    pub models: Vec<String>,
    /// Whether this site's counts join the pooled figures of a model; they do if nothing is said.
    pub share_figures: Option<bool>,
    /// Patients that the site declares to train on: a round number, which plans that hide patients work with.
    pub declared_patients: Option<u32>,
    /// What all trainings that this site takes part in may cost its patients together; no bound if absent.
    pub max_epsilon: Option<f64>,
    /// Probability that it was more; 1e-5 if absent.
    pub max_delta: Option<f64>,
    /// Whether plans have to hide patients: `"local"` where they do.
    pub privacy_min: Option<String>,
    /// When training may begin; at any time if nothing is said.
    pub hours: Option<Hours>,
}

/// `[train]` of a site file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TrainSite {
    /// Where to train.
    #[serde(deserialize_with = "device")]
    pub device: DeviceChoice,
}

fn device<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DeviceChoice, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

impl Site {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Every fault of the file with its line; see [`ExperimentError`].
    pub fn load(path: &Path) -> Result<Self, ExperimentError> {
        Self::check(&Document::read(path)?.0)
    }

    /// Checks text that comes from no file; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`Site::load`].
    pub fn parse(name: &str, text: &str) -> Result<Self, ExperimentError> {
        Self::check(&Document::parse(name, text)?)
    }

    fn check(document: &Document) -> Result<Self, ExperimentError> {
        let faults = kind::check(document, schema::SITE);
        if !faults.is_empty() {
            return Err(ExperimentError::Invalid(Faults(faults)));
        }
        // The schema lets nothing through that could fail here.
        Self::deserialize(document.to_toml()).map_err(|error| ExperimentError::Syntax {
            file: document.file.clone(),
            line: 1,
            message: error.message().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Site, ExperimentError> {
        Site::parse("site.toml", text)
    }

    #[test]
    fn a_device_is_read_and_auto_if_nothing_is_said() {
        let device = |text| parse(text).expect("a site file").train.device;
        assert_eq!(device(""), DeviceChoice::Auto);
        assert_eq!(device("schema = 1\n[train]"), DeviceChoice::Auto);
        assert_eq!(device("[train]\ndevice = \"gpu\""), DeviceChoice::Gpu);
        assert_eq!(device("[train]\ndevice = \"cpu\""), DeviceChoice::Cpu);
        assert_eq!(device("[train]\ndevice = \"auto\""), DeviceChoice::Auto);
    }

    #[test]
    fn a_way_to_the_coordinator_is_read() {
        assert_eq!(parse("").expect("a site file").network, NetworkSite::default());
        let text = "[network]\ntransport = \"tcp\"\nproxy = \"http://proxy:8080\"\nproxy-credentials = \"proxy.txt\"";
        let network = parse(text).expect("a site file").network;
        assert_eq!((network.transport.as_deref(), network.proxy.as_deref()), (Some("tcp"), Some("http://proxy:8080")));
        assert_eq!(network.proxy_credentials, Some(PathBuf::from("proxy.txt")));
        assert!(parse("[network]\ntransport = \"udp\"").is_err());
    }

    #[test]
    fn a_policy_limits_what_it_names() {
        assert_eq!(parse("").expect("a site file").policy, Policy::default());
        let digest = "0123456789abcdef".repeat(4);
        let text = format!(
            "[policy]\nmin-cohort = 4\nrounds-max = 50\nimages-min = 20\n\
             presets = [\"AGG14\", \"TRN14\", \"INF15-90\"]\n\
             terms = [\"{digest}\"]\nmodels = [\"{digest}\"]\nshare-figures = false"
        );
        let policy = parse(&text).expect("a site file").policy;
        assert_eq!((policy.min_cohort, policy.rounds_max, policy.images_min), (Some(4), Some(50), Some(20)));
        assert_eq!(policy.share_figures, Some(false));
        assert_eq!(policy.presets, ["AGG14", "TRN14", "INF15-90"]);
        assert_eq!((&policy.terms, &policy.models), (&vec![digest.clone()], &vec![digest]));
        for bad in ["0123", &"g".repeat(64), &"A".repeat(64)] {
            assert!(parse(&format!("[policy]\nterms = [\"{bad}\"]")).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_an_audit_needs_is_kept_unless_the_site_says_otherwise() {
        let keeps = |text| parse(text).expect("a site file").audit.keeps();
        assert!(keeps("") && keeps("[audit]") && keeps("[audit]\nkeep = true"));
        assert!(!keeps("[audit]\nkeep = false"));
        assert!(parse("[audit]\nkeep = \"no\"").is_err() && parse("[audit]\nkept = true").is_err());
    }

    #[test]
    fn data_sets_have_names_paths_and_shares() {
        let data = |text| parse(text).expect("a site file").data;
        assert!(data("").is_empty());
        let sets = data("[data.cxr]\npath = \"/data/cxr\"\n[data.trial]\npath = \"x.npz\"\nshare = \"2/5\"");
        let set = |path: &str, share: Option<&str>| {
            let share = share.map(|share| share.parse().expect("a share"));
            Some(DataSite { path: path.into(), share, labels: None, dicomweb: None, corrected: None })
        };
        assert_eq!(
            (sets.get("cxr").cloned(), sets.get("trial").cloned(), sets.len()),
            (set("/data/cxr", None), set("x.npz", Some("2/5")), 2)
        );
        for (text, expected) in [
            ("[data.cxr]", "site.toml:1: [data.cxr] path: missing; it must be a text of at most 4096 bytes"),
            ("[data.CXR]\npath = \"x\"", "site.toml:1: [data] CXR: the name \"CXR\" is not allowed, must be a name"),
            (
                "[data]\ncxr = \"x\"",
                "site.toml:2: [data] cxr: is a string, must be a table with the keys path, share, \
                labels, dicomweb, corrected",
            ),
            ("data = \"x\"", "site.toml:1: data: is a string, must be at most 64 tables, each a table"),
            (
                "[data.c]\npath = \"x\"\nshare = \"6/5\"",
                "site.toml:3: [data.c] share: \"6/5\" is not allowed, must be a share",
            ),
            ("[data.c]\npath = \"x\"\nfolder = 1", "site.toml:3: [data.c] folder: unknown key"),
        ] {
            let message = parse(text).expect_err("refused").to_string();
            assert!(message.starts_with(expected), "{message}");
        }
        let many: String = (0..65).map(|number| format!("[data.d{number}]\npath = \"x\"\n")).collect();
        assert!(parse(&many).is_err() && parse(&many[..many.len() - 23]).is_ok(), "64 at most");
    }

    #[test]
    fn a_portal_has_an_address() {
        let portal = |text| parse(text).expect("a site file").portal;
        assert_eq!(portal(""), None);
        let text = "[portal]\nlisten = \"0.0.0.0:8443\"\ncertificate = \"c.pem\"\nkey = \"k.pem\"\nkeep-images = true";
        let found = portal(text).expect("a portal");
        assert_eq!((found.listen.as_str(), found.keep_images), ("0.0.0.0:8443", Some(true)));
        assert_eq!((found.certificate, found.key), (Some("c.pem".into()), Some("k.pem".into())));
        assert!(parse("[portal]\nkeep-images = true").is_err() && parse("[portal]\nlisten = 8443").is_err());
    }

    #[test]
    fn an_archive_has_an_address_and_its_secrets_stand_elsewhere() {
        let pacs = |text| parse(text).expect("a site file").pacs;
        assert_eq!(pacs(""), None);
        let text = "[pacs]\naddress = \"https://a/dicom-web\"\ncredentials = \"c.txt\"\nca = \"ca.pem\"\n\
                    allow-plain-http = true";
        let found = pacs(text).expect("an archive");
        assert_eq!((found.address.as_str(), found.allow_plain_http), ("https://a/dicom-web", Some(true)));
        assert_eq!((found.credentials, found.token, found.ca), (Some("c.txt".into()), None, Some("ca.pem".into())));
        assert!(parse("[pacs]\ntoken = \"t.txt\"").is_err());
        for secret in ["password", "user"] {
            let message = parse(&format!("[pacs]\naddress = \"x\"\n{secret} = \"y\"")).expect_err("refused");
            assert!(message.to_string().starts_with(&format!("site.toml:3: [pacs] {secret}: unknown key")));
        }
    }

    #[test]
    fn a_data_set_of_an_archive_says_by_which_table() {
        let text = "[data.cxr]\npath = \"images/cxr\"\nlabels = \"cxr.csv\"\ndicomweb = \"https://a/\"";
        let set = parse(text).expect("a site file").data.remove("cxr").expect("a set");
        assert_eq!((set.labels, set.dicomweb.as_deref()), (Some("cxr.csv".into()), Some("https://a/")));
        let set = parse("[data.c]\npath = \"x\"\ncorrected = 3").expect("a site file").data.remove("c");
        assert_eq!(set.and_then(|set| set.corrected), Some(3));
        assert!(parse("[data.c]\npath = \"x\"\ncorrected = -1").is_err());
    }

    #[test]
    fn a_passphrase_has_a_file() {
        let passphrase = |text| parse(text).expect("a site file").vault.passphrase;
        assert_eq!(passphrase(""), None);
        assert_eq!(passphrase("[vault]\npassphrase = \"/run/x\""), Some(PathBuf::from("/run/x")));
        assert!(parse("[vault]").is_err(), "an empty table says nothing");
    }

    #[test]
    fn hours_have_two_ends_and_a_zone() {
        let hours = |text: &str| parse(&format!("[policy]\nhours = {text}"));
        let policy = hours("\"20:00-06:00 UTC+01:00\"").expect("a site file").policy;
        assert_eq!(policy.hours.map(|hours| hours.to_string()).as_deref(), Some("20:00-06:00 UTC+01:00"));
        for wrong in ["\"20:00-06:00\"", "\"at night\"", "\"20:00-20:00 UTC\""] {
            let message = hours(wrong).expect_err("refused").to_string();
            let begin = format!("site.toml:2: [policy] hours: {wrong} is not allowed, must be two different times");
            assert!(message.starts_with(&begin) && message.contains("\"20:00-06:00 UTC\""), "{message}");
        }
    }

    #[test]
    fn unknown_keys_and_words_are_refused_with_the_line_and_the_nearest() {
        for (text, expected) in [
            (
                "[train]\ndevcie = \"gpu\"",
                "site.toml:2: [train] devcie: unknown key; the nearest valid key is \"device\"",
            ),
            ("[trian]\n", "site.toml:1: trian: unknown key; the nearest valid key is \"train\""),
            ("\n[train]\ndevice = \"tpu\"", "site.toml:3: [train] device: \"tpu\" is not allowed"),
            ("[train]\ndevice = 1", "site.toml:2: [train] device: is an integer"),
            ("[train", "site.toml:1: not valid TOML"),
        ] {
            let message = parse(text).expect_err("refused").to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
