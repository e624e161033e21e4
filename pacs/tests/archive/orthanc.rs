//! A real archive, Orthanc, in a folder and at a port of its own, and the files that tests fill it with.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use pacs::{Archive, Credentials, Find, Settings};
use tempfile::TempDir;

/// Where Debian puts the two.
const PROGRAM: &str = "/usr/sbin/Orthanc";
const PLUGIN: &str = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so";
/// Whom it lets in.
pub(crate) const USER: (&str, &str) = ("officer", "a test's own password");

/// An archive of its own in a folder of its own.
pub(crate) struct Orthanc {
    process: Child,
    pub(crate) url: String,
    folder: TempDir,
}

impl Orthanc {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let storage = folder.path().join("storage");
        let config = format!(
            r#"{{"Name":"test","StorageDirectory":{storage:?},"IndexDirectory":{storage:?},"Plugins":["{PLUGIN}"],
                "HttpServerEnabled":true,"HttpPort":{port},"RemoteAccessAllowed":false,
                "DicomServerEnabled":false,
                "OverwriteInstances":true,"AuthenticationEnabled":true,
                "RegisteredUsers":{{"{}":"{}"}},"DicomWeb":{{"Enable":true}}}}"#,
            USER.0, USER.1
        );
        let path = folder.path().join("config.json");
        fs::write(&path, config).unwrap();
        let log = || fs::OpenOptions::new().create(true).append(true).open(folder.path().join("log")).unwrap();
        let process =
            Command::new(PROGRAM).arg(&path).stdin(Stdio::null()).stdout(log()).stderr(log()).spawn().unwrap();
        Self { process, url: format!("http://127.0.0.1:{port}/dicom-web"), folder }
    }

    pub(crate) fn archive(&self, password: &str) -> Archive {
        let credentials = Some(Credentials::basic(USER.0, password).unwrap());
        Archive::open(&Settings { address: self.url.clone(), credentials, ..Settings::default() }).unwrap()
    }

    /// Once it answers.
    pub(crate) fn ready(&self) -> Archive {
        let (archive, begun) = (self.archive(USER.1), Instant::now());
        loop {
            let Err(error) = archive.studies(&Find::default()) else { return archive };
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(15), "Orthanc does not answer: {error:?}\n{}", log());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Orthanc {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The files, by name; none where the test cannot run.
pub(crate) fn files() -> Option<BTreeMap<String, Vec<u8>>> {
    let missing = [Path::new(PROGRAM), Path::new(PLUGIN)].into_iter().find(|path| !path.exists());
    let is_forced = std::env::var("CONSILIUM_TEST_ORTHANC").is_ok_and(|value| value == "1");
    assert!(missing.is_none() || !is_forced, "{missing:?} is not there");
    let data = std::env::var_os("CONSILIUM_TEST_DATA").map(|data| PathBuf::from(data).join("dicom"));
    let (None, Some(data)) = (missing, data) else {
        println!("skipped: needs Orthanc with its DICOMweb plugin, and public data where CONSILIUM_TEST_DATA says");
        return None;
    };
    let paths = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let is_dicom = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "dcm");
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    Some(paths.filter(is_dicom).map(|path| (name(&path), fs::read(&path).unwrap())).collect())
}
