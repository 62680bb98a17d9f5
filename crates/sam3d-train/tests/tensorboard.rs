//! Event files as the tensorboard package reads them.

use std::{env, process::Command};

use sam3d_train::run::EventFile;

/// Prints the values of each scalar, in the order of their names.
const READER: &str = r#"
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1])
events.Reload()
for tag in sorted(events.Tags()["scalars"]):
    print(tag, [(event.step, round(event.value, 6)) for event in events.Scalars(tag)])
"#;

#[test]
fn the_tensorboard_package_reads_what_was_logged() {
    let python = env::var("SAM3D_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let there = Command::new(&python).args(["-c", "import tensorboard"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        println!("skipped: {python} has no package tensorboard; name another Python in SAM3D_TEST_PYTHON");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mut first = EventFile::create(place.path(), 0).unwrap();
    for step in 0..300 {
        first.scalar("step/loss", 1.0 / (1.0 + step as f64), step).unwrap();
    }
    first.scalar("epoch/validation_loss", 0.5, 299).unwrap();
    first.flush().unwrap();
    // Going on from step 2: what was logged from there on is void.
    let mut second = EventFile::create(place.path(), 2).unwrap();
    second.scalar("step/loss", 7.0, 2).unwrap();
    second.flush().unwrap();

    let path = place.path().to_str().unwrap();
    let output = Command::new(&python).args(["-c", READER, path]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text, "epoch/validation_loss []\nstep/loss [(0, 1.0), (1, 0.5), (2, 7.0)]\n");
}
