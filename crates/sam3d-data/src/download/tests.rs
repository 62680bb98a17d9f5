//! Downloads from a server on this machine that breaks off, changes its file, or knows no ranges.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use super::*;

/// How the server treats one request.
#[derive(Debug, Clone, Copy, Default)]
struct Manner {
    /// Closes the connection after this many bytes of the body.
    break_after: Option<usize>,
    /// Answers as if it had never heard of ranges.
    ignores_ranges: bool,
    /// Status instead of an answer.
    status: Option<u16>,
}

/// A server of one file; its manners are used up one by one, then it behaves.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(content: Vec<u8>, version: &'static str, manners: Vec<Manner>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            let mut manners = manners.into_iter();
            for stream in listener.incoming() {
                let manner = manners.next().unwrap_or_default();
                answer(stream.unwrap(), &content, version, manner, &seen);
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, content: &[u8], version: &str, manner: Manner, seen: &Mutex<Vec<String>>) {
    let lines: Vec<String> = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .map(Result::unwrap)
        .take_while(|line| !line.is_empty())
        .collect();
    let header = |name: &str| {
        lines.iter().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    };
    seen.lock().unwrap().push(header("range").unwrap_or_default());
    if let Some(status) = manner.status {
        write!(stream, "HTTP/1.1 {status} Sorry\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        return;
    }
    let same = header("if-range").is_none_or(|wanted| wanted == version);
    let start = header("range")
        .filter(|_| same && !manner.ignores_ranges)
        .map(|range| range.trim_start_matches("bytes=").trim_end_matches('-').parse::<usize>().unwrap());
    let whole = content.len();
    let head = match start {
        Some(start) if start >= whole => {
            format!("416 No\r\nContent-Range: bytes */{whole}\r\nContent-Length: 0")
        }
        Some(start) => format!(
            "206 Part\r\nContent-Range: bytes {start}-{}/{whole}\r\nContent-Length: {}",
            whole - 1,
            whole - start
        ),
        None => format!("200 OK\r\nContent-Length: {whole}"),
    };
    write!(stream, "HTTP/1.1 {head}\r\nETag: {version}\r\nConnection: close\r\n\r\n").unwrap();
    let body = &content[start.unwrap_or(0).min(whole)..];
    // The client may have gone.
    let _ = stream.write_all(&body[..manner.break_after.unwrap_or(body.len()).min(body.len())]);
}

/// The error with its causes.
fn in_one_line(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn content() -> Vec<u8> {
    (0..300_000u32).flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 16).to_le_bytes()).collect()
}

/// MD5 of [`content`], from `md5sum`.
const MD5: &str = "c5e7dc9e9b5a7c73cad1b8c46b949788";

const AT_ONCE: RetryPolicy = RetryPolicy { attempts: 3, pause: Duration::ZERO };

fn expected() -> Checksum {
    Checksum::Md5(MD5.to_owned())
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn broken_connections_are_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("new/weights.pth");
    let break_after = |bytes| Manner { break_after: Some(bytes), ..Manner::default() };
    let busy = Manner { status: Some(503), ..Manner::default() };
    let server = Server::start(content(), "\"a\"", vec![break_after(400_000), busy, break_after(500_000)]);
    fetch_with(AT_ONCE, &server.url, Some(&expected()), &target, &|_| {}).unwrap();
    assert_eq!(fs::read(&target).unwrap(), content());
    assert_eq!(names(target.parent().unwrap()), ["weights.pth"]);
    let requests = server.requests();
    assert_eq!(requests.len(), 4, "{requests:?}");
    assert_eq!(requests[0], "");
    assert!(requests[1].starts_with("bytes=") && requests[3] != requests[1], "{requests:?}");

    // What is complete is not asked for again; what is damaged is named and left to the user.
    fetch_with(AT_ONCE, &server.url, Some(&expected()), &target, &|_| {}).unwrap();
    assert_eq!(server.requests().len(), 4);
    fs::write(&target, "damaged").unwrap();
    let error = in_one_line(&fetch(&server.url, Some(&expected()), &target, &|_| {}).unwrap_err());
    assert!(error.contains("weights.pth") && error.contains("remove"), "{error}");
}

#[test]
fn a_later_call_goes_on_unless_the_file_has_changed() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("weights.pth");
    let broken = || vec![Manner { break_after: Some(600_000), ..Manner::default() }; 1];
    let hasty = RetryPolicy { attempts: 1, ..AT_ONCE };
    let server = Server::start(content(), "\"a\"", broken());
    let error = in_one_line(&fetch_with(hasty, &server.url, None, &target, &|_| {}).unwrap_err());
    assert!(error.contains("bytes are kept"), "{error}");
    assert_eq!(names(directory.path()), ["weights.pth.part", "weights.pth.part.from"]);
    fetch_with(hasty, &server.url, None, &target, &|_| {}).unwrap();
    assert_eq!(fs::read(&target).unwrap(), content());
    assert!(server.requests()[1].starts_with("bytes="), "{:?}", server.requests());

    // The same address with another version: nothing of the old one may stay.
    fs::remove_file(&target).unwrap();
    let server = Server::start(content(), "\"b\"", broken());
    fs::write(directory.path().join("weights.pth.part"), "old").unwrap();
    fs::write(directory.path().join("weights.pth.part.from"), format!("{}\n\"a\"\n", server.url)).unwrap();
    fetch_with(AT_ONCE, &server.url, None, &target, &|_| {}).unwrap();
    assert_eq!(fs::read(&target).unwrap(), content());
    assert_eq!(server.requests()[0], "bytes=3-");
}

#[test]
fn a_server_without_ranges_and_a_part_that_was_the_whole() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("weights.pth");
    let manner = Manner { ignores_ranges: true, ..Manner::default() };
    let server = Server::start(content(), "\"a\"", vec![Manner { break_after: Some(9), ..manner }, manner]);
    fetch_with(AT_ONCE, &server.url, Some(&expected()), &target, &|_| {}).unwrap();
    assert_eq!(fs::read(&target).unwrap(), content());

    fs::rename(&target, directory.path().join("weights.pth.part")).unwrap();
    let server = Server::start(content(), "\"a\"", Vec::new());
    fs::write(directory.path().join("weights.pth.part.from"), format!("{}\n\"a\"\n", server.url)).unwrap();
    fetch_with(AT_ONCE, &server.url, Some(&expected()), &target, &|_| {}).unwrap();
    assert_eq!(fs::read(&target).unwrap(), content());
}

#[test]
fn what_is_not_the_file_expected_does_not_stay() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("weights.pth");
    let server = Server::start(b"something else".to_vec(), "\"a\"", Vec::new());
    let error =
        in_one_line(&fetch_with(AT_ONCE, &server.url, Some(&expected()), &target, &|_| {}).unwrap_err());
    assert!(error.contains(MD5) && error.contains("removed"), "{error}");
    assert!(names(directory.path()).is_empty());

    let missing = Server::start(Vec::new(), "", vec![Manner { status: Some(404), ..Manner::default() }]);
    let error = in_one_line(&fetch_with(AT_ONCE, &missing.url, None, &target, &|_| {}).unwrap_err());
    assert!(error.contains("404"), "{error}");
    assert_eq!(missing.requests().len(), 1);
}

#[test]
fn two_downloads_of_one_file_do_not_mix() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("weights.pth");
    let _first = Partial::open(&target, "http://a/", true).unwrap();
    let error = in_one_line(&Partial::open(&target, "http://a/", true).unwrap_err());
    assert!(error.contains("another process"), "{error}");
}

#[test]
fn the_name_of_a_file_at_an_address() {
    assert_eq!(file_name("https://host/a/Task10_Colon.tar?x=1#y").unwrap(), "Task10_Colon.tar");
    for bad in ["https://host/", "https://host/.hidden", "https://host/a%20b", "https://host/a b"] {
        assert!(file_name(bad).is_err(), "{bad}");
    }
}
