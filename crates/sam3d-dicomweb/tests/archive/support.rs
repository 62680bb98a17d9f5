//! An archive that answers as a test wants.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use sam3d_dicomweb::{Archive, ArchiveLimits, SeriesRecord, Token, Uid};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// In lower case, with their values.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// What is sent back: all bytes, then the connection is closed, after a pause if one is given.
pub(crate) struct Reply {
    pub(crate) bytes: Vec<u8>,
    pub(crate) pause: Duration,
}

impl Reply {
    pub(crate) fn new(status: u16, kind: &str, body: &[u8]) -> Self {
        let mut bytes =
            format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !kind.is_empty() {
            bytes.push_str(&format!("Content-Type: {kind}\r\n"));
        }
        bytes.push_str("\r\n");
        let mut bytes = bytes.into_bytes();
        bytes.extend_from_slice(body);
        Self { bytes, pause: Duration::ZERO }
    }

    pub(crate) fn json(body: &str) -> Self {
        Self::new(200, "application/dicom+json", body.as_bytes())
    }
}

/// A running archive; its thread ends with the process.
pub(crate) struct FakeArchive {
    url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl FakeArchive {
    pub(crate) fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/dicom-web", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&seen);
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, list) = (Arc::clone(&answer), Arc::clone(&list));
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let Some(request) = receive(&mut stream) else { return };
                    let reply = answer(&request);
                    list.lock().unwrap().push(request);
                    // The client may have gone by now, which some tests are about.
                    let _gone = stream.write_all(&reply.bytes).and_then(|()| stream.flush());
                    thread::sleep(reply.pause);
                });
            }
        });
        Self { url, seen }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn client(&self) -> Archive {
        self.client_with(None, ArchiveLimits::default())
    }

    pub(crate) fn client_with(&self, token: Option<&str>, limits: ArchiveLimits) -> Archive {
        Archive::new(&self.url, token.map(|token| Token::new(token).unwrap()), limits).unwrap()
    }
}

fn receive(stream: &mut TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, target, headers, body: Vec::new() };
    request.body = vec![0; request.header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

pub(crate) const STUDY: &str = "1.2.3";
pub(crate) const SERIES: &str = "1.2.3.4";

/// A series as a search finds it.
pub(crate) fn series_json(study: &str, series: &str, images: usize) -> String {
    format!(
        r#"{{"0020000D": {{"vr": "UI", "Value": ["{study}"]}}, "0020000E": {{"vr": "UI", "Value": ["{series}"]}},
           "00080060": {{"vr": "CS", "Value": ["CT"]}}, "0008103E": {{"vr": "LO", "Value": ["Thorax"]}},
           "00100010": {{"vr": "PN", "Value": [{{"Alphabetic": "Doe^Jane"}}]}}, "00100020": {{"vr": "LO", "Value": ["P7"]}},
           "00080020": {{"vr": "DA", "Value": ["20200102"]}}, "00201209": {{"vr": "IS", "Value": [{images}]}}}}"#
    )
}

pub(crate) fn record(series: &str, instances: Option<usize>) -> SeriesRecord {
    SeriesRecord {
        study: uid(STUDY),
        series: uid(series),
        modality: "CT".to_owned(),
        description: String::new(),
        study_description: String::new(),
        instances,
        patient: None,
    }
}

pub(crate) fn uid(text: &str) -> Uid {
    text.parse().unwrap()
}

/// Something that begins as a DICOM file.
pub(crate) fn file(content: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 128];
    file.extend_from_slice(b"DICM");
    file.extend_from_slice(content);
    file
}

/// A body of parts, as archives send them.
pub(crate) fn multipart(files: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for file in files {
        body.extend_from_slice(b"--B0\r\nContent-Type: application/dicom\r\nMIME-Version: 1.0\r\n\r\n");
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--B0--\r\n");
    body
}

pub(crate) const MULTIPART: &str = "multipart/related; type=\"application/dicom\"; boundary=B0";

/// The error and its causes.
pub(crate) fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
