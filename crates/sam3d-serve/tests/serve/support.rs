//! A server on a port of its own, a directory of studies, and a client.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use ndarray::Array3;
use sam3d_geom::PointLabel;
use sam3d_infer::{InferError, Prompt, Segmenter};
use sam3d_io::{ReadLimits, atomic::Overwrite};
use sam3d_model::ModelConfig;
use sam3d_serve::{Config, Limits, Server};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Notify;
use ureq::Agent;

use crate::bright;

/// A server that runs until it is dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) studies: PathBuf,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
    _directory: TempDir,
}

/// An answer: status, headers of interest, body.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) retry_after: Option<String>,
    /// What nnInteractive's protocol says of the body.
    pub(crate) meta: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Served {
    /// With two studies, `one` and `two`, and the usual limits.
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// With what `change` makes of the configuration.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::of(bright::config(), 1 << 30, change)
    }

    /// With the bright network of another configuration.
    pub(crate) fn of(network: ModelConfig, embedding_bytes: usize, change: impl FnOnce(&mut Config)) -> Self {
        Self::opening(move || Ok(segmenter(&network, embedding_bytes)), change)
    }

    /// With the segmenter that `open` gives, each time it is opened.
    pub(crate) fn opening(
        open: impl Fn() -> Result<Segmenter, InferError> + Send + Sync + 'static,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let studies = directory.path().join("studies");
        std::fs::create_dir(&studies).unwrap();
        for (name, shift) in [("one", 0), ("two", 20)] {
            let path = studies.join(format!("{name}.nii.gz"));
            sam3d_io::write(&path, bright::volume(shift).view(), &bright::grid(), Overwrite::Refuse).unwrap();
        }
        let mut config = Config {
            host: [127, 0, 0, 1].into(),
            port: 0,
            token: None,
            allowed_origins: vec![],
            labels: Some(studies.join("labels")),
            studies: Some(studies.clone()),
            sessions: None,
            archive: None,
            algorithm: "bright.safetensors".to_owned(),
            encode_ahead: true,
            target: "tumour".to_owned(),
            limits: Limits { grace: Duration::from_secs(2), ..Limits::default() },
        };
        change(&mut config);
        let server = Server::bind(config, open).unwrap();
        let address = server.address();
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(server.run(async move { stopped.notified().await })).unwrap();
        });
        Self { address, studies, stop, thread: Some(thread), _directory: directory }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        reply(agent().get(self.url(path)).call())
    }

    pub(crate) fn delete(&self, path: &str) -> Reply {
        reply(agent().delete(self.url(path)).call())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        let request = agent().post(self.url(path)).header("content-type", "application/json");
        reply(request.send(&serde_json::to_vec(body).unwrap()[..]))
    }

    /// Sends a multipart form by `method`, PUT or POST. A part with a file name is a file.
    pub(crate) fn form(&self, method: &str, path: &str, parts: &[(&str, Option<&str>, &[u8])]) -> Reply {
        let url = self.url(path);
        let request = if method == "PUT" { agent().put(url) } else { agent().post(url) };
        let request = request.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
        reply(request.send(&multipart(parts)[..]))
    }

    /// Sends a volume under the name that its client gives it.
    pub(crate) fn send_volume(&self, name: &str, content: &[u8]) -> Reply {
        self.form("PUT", &format!("/datastore/?image={name}"), &[("file", Some("x.nii.gz"), content)])
    }

    /// Stops and waits until it has.
    pub(crate) fn stop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The sentence of a refusal.
    pub(crate) fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_default().to_owned()
    }

    /// The last line of an answer in lines.
    pub(crate) fn last_line(&self) -> Value {
        assert_eq!((self.status, self.kind.as_str()), (200, "application/x-ndjson"), "{}", self.text());
        serde_json::from_str(self.text().lines().last().unwrap()).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub(crate) const BOUNDARY: &str = "a-boundary-of-the-tests";

pub(crate) fn multipart(parts: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file_name, content) in parts {
        body.extend(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"").bytes());
        if let Some(file_name) = file_name {
            body.extend(
                format!("; filename=\"{file_name}\"\r\nContent-Type: application/octet-stream").bytes(),
            );
        }
        body.extend(b"\r\n\r\n");
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    body
}

pub(crate) fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(120)))
        .build()
        .into()
}

pub(crate) fn reply(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Reply {
    let mut answer = answer.unwrap();
    let header = |name: &str| Some(answer.headers().get(name)?.to_str().unwrap().to_owned());
    Reply {
        status: answer.status().as_u16(),
        kind: header("content-type").unwrap_or_default(),
        retry_after: header("retry-after"),
        meta: header("x-meta"),
        body: answer.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap(),
    }
}

/// What the server at `address` answers to `request`, a whole one that closes the connection, from the address `from` of this
/// computer.
#[cfg(target_os = "linux")]
pub(crate) fn raw_from(from: [u8; 4], address: SocketAddr, request: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = connect_from(from, address);
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A connection from the address `from` of this computer.
#[cfg(target_os = "linux")]
pub(crate) fn connect_from(from: [u8; 4], address: SocketAddr) -> std::net::TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((from, 0))).unwrap();
        let stream = socket.connect(address).await.unwrap().into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream
    })
}

/// The mask `sam3d segment` computes for one click: the same volume, read and prepared here, and its own functions.
pub(crate) fn expected(path: &Path, ijk: [usize; 3], threshold: f64) -> Array3<u8> {
    let volume = sam3d_io::read(path, ReadLimits::default()).unwrap();
    let mut session = segmenter(&bright::config(), 0).session(volume).unwrap();
    session.add(Prompt::click(ijk, PointLabel::Positive)).unwrap();
    session.mask(threshold).unwrap()
}

/// The segmenter of the bright network of `config`.
pub(crate) fn segmenter(config: &ModelConfig, embedding_bytes: usize) -> Segmenter {
    Segmenter::new(bright::network_of(config), bright::preprocessing(), embedding_bytes)
}

/// A network that panics at its first job and is open again once `gate` says so: until then every prediction takes long.
pub(crate) fn held_back(
    gate: mpsc::Receiver<()>,
) -> impl Fn() -> Result<Segmenter, InferError> + Send + Sync + 'static {
    let (gate, opened) = (Mutex::new(gate), AtomicUsize::new(0));
    move || {
        let segmenter = segmenter(&bright::config(), 1 << 30);
        if opened.fetch_add(1, Ordering::SeqCst) == 0 {
            let _no_grad = tch::no_grad_guard();
            let parameters = segmenter.network().parameters();
            let _ = parameters["mask_decoder.cls.3.weight"].set_requires_grad(false).resize_([1, 2, 3]);
        } else {
            gate.lock().unwrap().recv().unwrap();
        }
        Ok(segmenter)
    }
}

/// The mask of runs of voxels.
pub(crate) fn mask_of_runs(line: &Value) -> Array3<u8> {
    let mut mask = Array3::zeros(bright::grid().shape_kji());
    let flat = mask.as_slice_mut().unwrap();
    let runs: Vec<usize> = serde_json::from_value(line["runs"].clone()).unwrap();
    for run in runs.chunks(2) {
        flat[run[0]..run[0] + run[1]].fill(1);
    }
    mask
}

/// Mean voxel `[i, j, k]` of a mask.
pub(crate) fn centroid(mask: &Array3<u8>) -> [f64; 3] {
    let mut sum = [0.0; 3];
    let mut count = 0.0;
    for ((k, j, i), value) in mask.indexed_iter() {
        if *value != 0 {
            count += 1.0;
            [i, j, k].into_iter().zip(&mut sum).for_each(|(at, sum)| *sum += at as f64);
        }
    }
    assert!(count > 0.0, "the mask is empty");
    sum.map(|sum| sum / count)
}

/// Reads a volume from bytes.
pub(crate) fn volume_of(bytes: &[u8], name: &str) -> sam3d_io::Volume {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    sam3d_io::read(&path, ReadLimits::default()).unwrap()
}
