//! Commands run one after the other, each with its time.

use std::{process::Command, time::Instant};

use anyhow::{Context, Result, bail};

/// Runs `command` with the terminal's own output and says how long it took.
///
/// # Errors
/// If it cannot be started or does not succeed.
pub(crate) fn run(name: &str, command: &mut Command) -> Result<()> {
    eprintln!("==> {name}: {}", shown(command));
    let start = Instant::now();
    let status = command.status().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let elapsed = start.elapsed();
    if !status.success() {
        bail!("{name} failed after {:.1} s ({status})", elapsed.as_secs_f64());
    }
    eprintln!("==> {name}: done in {:.1} s", elapsed.as_secs_f64());
    Ok(())
}

/// The command as one would type it, without the program's directory.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    let arguments = command.get_args().map(|argument| {
        let argument = argument.to_string_lossy();
        if argument.contains(char::is_whitespace) { format!("'{argument}'") } else { argument.into_owned() }
    });
    std::iter::once(name).chain(arguments).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_command_as_typed() {
        let mut command = Command::new("/opt/bin/cargo");
        command.args(["test", "--", "two words"]);
        assert_eq!(shown(&command), "cargo test -- 'two words'");
    }

    #[test]
    fn a_failing_command_is_named() {
        let error = run("sums", &mut Command::new("false")).unwrap_err().to_string();
        assert!(error.starts_with("sums failed after"), "{error}");
        let error = run("sums", &mut Command::new("no-such-program")).unwrap_err().to_string();
        assert!(error.contains("cannot start"), "{error}");
    }
}
