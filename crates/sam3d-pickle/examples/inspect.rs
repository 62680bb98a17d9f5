//! Prints what a checkpoint or pickle holds: `cargo run -p sam3d-pickle --example inspect -- FILE`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this program is for")]

use std::{env, path::Path, process::ExitCode};

use sam3d_pickle::{Limits, Value, read_file};

fn main() -> ExitCode {
    let Some(path) = env::args_os().nth(1) else {
        eprintln!("usage: inspect FILE");
        return ExitCode::FAILURE;
    };
    match read_file(Path::new(&path), &Limits::default()) {
        Ok(value) => {
            print("", &value);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints one line per value that is not a container, after the path of keys that leads to it.
fn print(path: &str, value: &Value) {
    match value {
        Value::Dict(dict) => dict.iter().for_each(|(key, value)| print(&format!("{path}/{key}"), value)),
        Value::List(items) | Value::Tuple(items) => {
            items.iter().enumerate().for_each(|(at, item)| print(&format!("{path}/{at}"), item));
        }
        // Escaped by their debug form: a file must not control the terminal.
        Value::Tensor(tensor) => {
            println!("{}: {:?} {:?}", path.escape_debug(), tensor.dtype(), tensor.shape())
        }
        other => println!("{}: {other:?}", path.escape_debug()),
    }
}
