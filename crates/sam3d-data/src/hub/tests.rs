//! Files of a hub on this machine, which counts what it is asked for.

use std::{
    io::{BufRead, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use super::*;

const FIRST: &str = "1111111111111111111111111111111111111111";
const SECOND: &str = "2222222222222222222222222222222222222222";

/// SHA-256 of `weights 1` and `weights 2`, from `sha256sum`.
const FIRST_SHA256: &str = "3bb63c501a2cb9b43bfbf09f0b02a7f12408e1922617522b8441afd37272b915";
const SECOND_SHA256: &str = "a8989317cf9287850260df63e5c4946861b8092ff02634fb4b3dab4f9fb1da56";

/// A hub with the repository `owner/repo`, whose branch `main` can be moved.
struct Server {
    endpoint: String,
    main: Arc<Mutex<&'static str>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/", listener.local_addr().unwrap());
        let (main, requests) = (Arc::new(Mutex::new(FIRST)), Arc::new(Mutex::new(Vec::new())));
        let (current, seen) = (Arc::clone(&main), Arc::clone(&requests));
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), *current.lock().unwrap(), &seen);
            }
        });
        Self { endpoint, main, requests }
    }

    /// What was asked since the last call.
    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }
}

fn answer(mut stream: TcpStream, main: &str, seen: &Mutex<Vec<String>>) {
    // A client may leave at any time.
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(path) = lines.next().and_then(|line| Some(line.split(' ').nth(1)?.to_owned())) else { return };
    let _headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    seen.lock().unwrap().push(path.clone());
    let address = stream.local_addr().unwrap();
    let answer = match path.as_str() {
        "/api/models/owner/repo/revision/main" => {
            Ok(format!("{{\"id\": \"owner/repo\", \"sha\": \"{main}\"}}"))
        }
        "/api/models/owner/repo/revision/strange" => Ok("{\"sha\": \"../..\"}".to_owned()),
        path if path == format!("/owner/repo/resolve/{FIRST}/a/w.safetensors") => {
            // As the hub does with large files.
            Err(format!("302 Found\r\nLocation: http://{address}/storage/1\r\nX-Repo-Commit: {FIRST}"))
        }
        "/storage/1" => Ok("weights 1".to_owned()),
        path if path == format!("/owner/repo/resolve/{SECOND}/a/w.safetensors") => Ok("weights 2".to_owned()),
        _ => Err("404 Not Found".to_owned()),
    };
    let (head, body) = match &answer {
        Ok(body) => ("200 OK", body.as_str()),
        Err(head) => (head.as_str(), ""),
    };
    let length = body.len();
    let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    let _ = stream.write_all(answer.as_bytes());
}

fn in_one_line(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn fetch(hub: &Hub, address: &str) -> Result<CachedFile, String> {
    let file = address.parse::<HubFile>().map_err(|error| error.to_string())?;
    hub.fetch(&file, &|_| {}).map_err(|error| in_one_line(&error))
}

#[test]
fn what_was_downloaded_once_is_pinned_and_needs_no_network() {
    let (server, place) = (Server::start(), tempfile::tempdir().unwrap());
    let hub = Hub::new(&server.endpoint, place.path().join("hub"));
    let first = fetch(&hub, "hf://owner/repo/a/w.safetensors").unwrap();
    assert_eq!(fs::read(&first.path).unwrap(), b"weights 1");
    assert!(first.newly_pinned);
    let pinned = format!("hf://owner/repo@{FIRST}/a/w.safetensors#sha256={FIRST_SHA256}");
    assert_eq!((first.address.to_string(), first.sha256.as_str()), (pinned.clone(), FIRST_SHA256));
    assert_eq!(server.requests().len(), 3);

    // The branch moves on; whoever used it stays with what was pinned, without asking.
    *server.main.lock().unwrap() = SECOND;
    let again = fetch(&hub, "hf://owner/repo/a/w.safetensors").unwrap();
    assert_eq!((&again.path, again.newly_pinned), (&first.path, false));
    for address in [pinned.as_str(), &format!("hf://owner/repo@{FIRST}/a/w.safetensors")] {
        assert_eq!(fetch(&hub, address).unwrap().path, first.path);
    }
    assert!(server.requests().is_empty());
    assert_eq!(hub.cached().unwrap(), [again]);

    // A hash that the pinned commit's file does not have asks for what the branch is now.
    let moved = fetch(&hub, &format!("hf://owner/repo/a/w.safetensors#sha256={SECOND_SHA256}")).unwrap();
    assert_eq!((fs::read(&moved.path).unwrap().as_slice(), moved.newly_pinned), (&b"weights 2"[..], false));
    assert_eq!(fetch(&hub, "hf://owner/repo/a/w.safetensors").unwrap().path, moved.path);
    assert_eq!(hub.cached().unwrap().len(), 2);
}

#[test]
fn another_file_than_the_one_pinned_is_refused() {
    let (server, place) = (Server::start(), tempfile::tempdir().unwrap());
    let hub = Hub::new(&server.endpoint, place.path().to_owned());
    let wrong = format!("hf://owner/repo@{FIRST}/a/w.safetensors#sha256={SECOND_SHA256}");
    let error = fetch(&hub, &wrong).unwrap_err();
    assert!(error.contains(&wrong) && error.contains(FIRST_SHA256), "{error}");
    assert!(hub.cached().unwrap().is_empty());

    // Known with its hash: another one typed, or another content on the disk, is an error.
    let right = fetch(&hub, &format!("hf://owner/repo@{FIRST}/a/w.safetensors")).unwrap();
    let error = fetch(&hub, &wrong).unwrap_err();
    assert!(error.contains(FIRST_SHA256) && error.contains("downloaded before"), "{error}");
    fs::write(&right.path, "changed").unwrap();
    let error = fetch(&hub, "hf://owner/repo/a/w.safetensors").unwrap_err();
    assert!(error.contains("w.safetensors") && error.contains("remove the file"), "{error}");
    // Removed, it is downloaded again and compared with its pin.
    fs::remove_file(&right.path).unwrap();
    assert_eq!(fs::read(fetch(&hub, "hf://owner/repo/a/w.safetensors").unwrap().path).unwrap(), b"weights 1");
    // What lies there without a pin is not trusted.
    fs::remove_dir_all(place.path().join("owner/repo/pins")).unwrap();
    fs::write(&right.path, "changed").unwrap();
    let anew = fetch(&hub, "hf://owner/repo/a/w.safetensors").unwrap();
    assert_eq!((fs::read(&anew.path).unwrap().as_slice(), anew.newly_pinned), (&b"weights 1"[..], true));
}

#[test]
fn what_is_wrong_is_named() {
    let (server, place) = (Server::start(), tempfile::tempdir().unwrap());
    let hub = Hub::new(&server.endpoint, place.path().to_owned());
    let error = fetch(&hub, "hf://owner/missing/w.safetensors").unwrap_err();
    assert!(error.contains("hf://owner/missing/w.safetensors") && error.contains("404"), "{error}");
    let error = fetch(&hub, "hf://owner/repo@strange/w.safetensors").unwrap_err();
    assert!(error.contains("does not name a commit"), "{error}");
    let damaged = place.path().join("owner/repo/refs/main");
    fs::create_dir_all(damaged.parent().unwrap()).unwrap();
    fs::write(&damaged, "../../..").unwrap();
    let error = fetch(&hub, "hf://owner/repo/a/w.safetensors").unwrap_err();
    assert!(error.contains("refs") && error.contains("40 hexadecimal digits"), "{error}");
}
