//! Orthanc, a real archive (Debian's orthanc and orthanc-dicomweb), started on a free port of this computer and stopped again.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test without its archive cannot go on")]
#![expect(clippy::print_stderr, reason = "a test that checks nothing says so")]

use std::{
    env,
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use sam3d_dicomweb::{Archive, ArchiveLimits, SeriesSearch, Uid};
use serde_json::json;
use tempfile::TempDir;

/// Where Debian has the plugin.
const PLUGIN: &str = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so";
/// How long it may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running Orthanc with an empty archive, which is stopped and removed when dropped.
pub(crate) struct Orthanc {
    process: Child,
    pub(crate) url: String,
    place: TempDir,
}

impl Orthanc {
    /// Starts it; `None`, said aloud, where it is not installed. With `SAM3D_REQUIRE_DICOM_TOOLS` that is a failure.
    pub(crate) fn start() -> Option<Self> {
        let program = env::var_os("SAM3D_ORTHANC").unwrap_or_else(|| "Orthanc".into());
        let plugin = env::var_os("SAM3D_ORTHANC_DICOMWEB").map_or_else(|| PLUGIN.into(), PathBuf::from);
        let place = tempfile::tempdir().unwrap();
        let missing = |what: &str| {
            assert!(env::var_os("SAM3D_REQUIRE_DICOM_TOOLS").is_none(), "{what} is required");
            eprintln!("SKIPPED, NOTHING WAS CHECKED: {what} is not there");
        };
        if !plugin.is_file() {
            missing("Orthanc's DICOMweb plugin (orthanc-dicomweb)");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let database = place.path().join("db");
        let settings = json!({
            "Name": "test", "StorageDirectory": &database, "IndexDirectory": &database, "Plugins": [plugin],
            "HttpPort": port, "RemoteAccessAllowed": false, "AuthenticationEnabled": false,
            "DicomServerEnabled": false, "OverwriteInstances": true,
            "DicomWeb": {"Enable": true, "Root": "/dicom-web/"},
        });
        let file = place.path().join("orthanc.json");
        fs::write(&file, settings.to_string()).unwrap();
        let log = File::create(place.path().join("log")).unwrap();
        let started = Command::new(&program)
            .arg(&file)
            .current_dir(place.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        let Ok(process) = started else {
            missing("Orthanc (Debian's orthanc)");
            return None;
        };
        let url = format!("http://127.0.0.1:{port}/dicom-web");
        let mut orthanc = Self { process, url, place };
        orthanc.wait_until_it_answers();
        Some(orthanc)
    }

    pub(crate) fn archive(&self) -> Archive {
        Archive::new(&self.url, None, ArchiveLimits::default()).unwrap()
    }

    /// Stores the files in `directory`, which are of one study.
    pub(crate) fn fill(&self, study: &Uid, directory: &Path) -> usize {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let files: Vec<Vec<u8>> = entries.map(|path| fs::read(path).unwrap()).collect();
        let report = self.archive().store(study, &files).unwrap();
        assert_eq!((report.stored.len(), report.failed.len()), (files.len(), 0));
        files.len()
    }

    fn wait_until_it_answers(&mut self) {
        let begin = Instant::now();
        while let Err(error) = self.archive().search(&SeriesSearch::default()) {
            let log = || fs::read_to_string(self.place.path().join("log")).unwrap_or_default();
            if let Some(status) = self.process.try_wait().unwrap() {
                panic!("Orthanc ended with {status}: {}", log());
            }
            assert!(begin.elapsed() < PATIENCE, "Orthanc does not answer ({error}): {}", log());
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Orthanc {
    fn drop(&mut self) {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        let asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        let begin = Instant::now();
        while asked && begin.elapsed() < PATIENCE {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let _ended = self.process.kill().and_then(|()| self.process.wait().map(drop));
    }
}
