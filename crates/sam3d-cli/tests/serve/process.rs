use std::{io::Read, process::Command};

use crate::support::{Place, command};

/// SIGTERM ends the server with 0 and leaves no upload behind; the address is all that standard output has.
#[cfg(unix)]
#[test]
fn a_signal_ends_the_server_gracefully() {
    let place = Place::new();
    for signal in ["TERM", "INT"] {
        let temporary = tempfile::tempdir().unwrap();
        let mut program = {
            // The directory for uploads lies where the system keeps temporary files.
            let mut serve = command(&place.path(""));
            serve.args(["serve", "--weights", "weights.safetensors", "--port", "0", "--json"]);
            serve.env("TMPDIR", temporary.path());
            serve.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        };
        let mut output = program.stdout.take().unwrap();
        let mut told = Vec::new();
        let mut byte = [0];
        while !told.ends_with(b"}\n") {
            output.read_exact(&mut byte).unwrap();
            told.push(byte[0]);
        }
        let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
        assert!(told["address"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{told}");
        assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 1);
        let kill = Command::new("kill").args(["-s", signal, &program.id().to_string()]).status().unwrap();
        assert!(kill.success());
        assert_eq!(program.wait().unwrap().code(), Some(0), "SIG{signal}");
        assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
    }
}

/// Lines of JSON with time, level and message; none of them has the name of a study.
#[cfg(unix)]
#[test]
fn log_lines_are_json() {
    let place = Place::new();
    let mut program = place.serve(&["--log-json", "-v"]);
    let asked = ureq::get(format!("{}api/image?study=one", program.address)).call().unwrap();
    assert_eq!(asked.status().as_u16(), 200);
    let kill = Command::new("kill").args(["-s", "TERM", &program.child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let mut log = String::new();
    program.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()), "{log}");
    let request = lines.iter().find(|line| line["message"] == "request").unwrap();
    assert_eq!((&request["path"], &request["status"]), (&"/api/image".into(), &200.into()));
    assert!(!log.contains("study=one"), "{log}");
}

/// Studies may be mounted read-only: they are served, and the log and the server say that nothing is saved.
#[test]
fn studies_without_room_for_labels_are_served() {
    let place = Place::new();
    // In the way of the directory, as a read-only file system is; permissions would not stop root.
    std::fs::write(place.path("studies/labels"), "a file").unwrap();
    let mut program = place.serve(&[]);
    let ask = |path: &str| {
        let mut reply = ureq::get(format!("{}{path}", program.address)).call().unwrap();
        let text = reply.body_mut().read_to_string().unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    assert_eq!(ask("api/state")["keeps_labels"], false);
    assert_eq!(ask("api/studies").as_array().unwrap().len(), 2);
    program.child.kill().unwrap();
    let mut log = String::new();
    program.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains("labels are not saved") && log.contains("--labels"), "{log}");
    // A directory that was asked for by name has to be usable.
    let mut serve = command(&place.path(""));
    serve.args(["serve", "--weights", "weights.safetensors", "--port", "0", "--studies", "studies"]);
    let output = serve.args(["--labels", "studies/labels"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("studies/labels"), "{output:?}");
}

#[test]
fn what_cannot_be_served_is_one_line() {
    let place = Place::new();
    std::fs::write(place.path("token.txt"), "short\n").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (arguments, words) in [
        (&["--host", "0.0.0.0"][..], "--token"),
        (&["--host", "0.0.0.0", "--token", "short"], "16 or more"),
        (&["--token-file", "token.txt"], "16 or more"),
        (&["--token-file", "none.txt"], "none.txt"),
        (&["--studies", "none"], "none"),
        (&["--allow-origin", "localhost:3000"], "localhost:3000"),
        (&["--name", "background"], "background"),
        (&["--port", &port], "cannot listen on"),
    ] {
        let mut serve = command(&place.path(""));
        serve.args(["serve", "--weights", "weights.safetensors", "--port", "0"]);
        // Of two ports the later one counts only if clap allows it; so the line is made anew.
        if arguments[0] == "--port" {
            serve = command(&place.path(""));
            serve.args(["serve", "--weights", "weights.safetensors"]);
        }
        let output = serve.args(arguments).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(error.lines().count() == 1 && error.contains(words), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty());
    }
}
