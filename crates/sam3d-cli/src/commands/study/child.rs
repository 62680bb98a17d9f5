//! Processes of this program that train and evaluate.

use std::{
    env, fs,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, bail};

use crate::args::GlobalArgs;

/// Starts processes of this program and waits for them.
pub(super) struct Runner<'a> {
    program: PathBuf,
    device: String,
    threads: usize,
    stop: &'a AtomicBool,
}

/// How a process ended.
pub(super) enum End {
    /// With success, and this on standard output.
    Done(String),
    /// With failure, and this as the last line on standard error.
    Failed(String),
}

impl<'a> Runner<'a> {
    pub(super) fn new(global: &GlobalArgs, threads: usize, stop: &'a AtomicBool) -> anyhow::Result<Self> {
        let program = env::current_exe().context("cannot find this program's own file")?;
        Ok(Self { program, device: global.device.to_string(), threads, stop })
    }

    /// Whether a signal told the study to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Threads of each process.
    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `sam3d` with `arguments`; what it says goes to the end of `log`. If the study is told to stop, so is the process,
    /// which then saves and ends.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(super) fn run(&self, arguments: &[String], log: &Path) -> anyhow::Result<End> {
        let open = || File::options().create(true).append(true).open(log);
        let mut file = open().with_context(|| format!("cannot write {}", log.display()))?;
        let begun = file.metadata().map_or(0, |metadata| metadata.len());
        writeln!(file, "$ sam3d {}", arguments.join(" "))
            .with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(&self.program);
        command.args(arguments).args(["--json", "--end-with-parent", "--device", &self.device, "--threads"]);
        command.arg(self.threads.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        in_own_group(&mut command);
        let mut child =
            command.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        let mut stdout = child.stdout.take().context("a process without standard output")?;
        let reader = thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).map(|_| text)
        });
        let status = self.wait(&mut child)?;
        let text = reader.join().unwrap_or_else(|_| Err(io::Error::other("the reader ended unexpectedly")));
        if status.success() {
            return Ok(End::Done(text.context("cannot read what the process wrote")?));
        }
        let said = fs::read_to_string(log).unwrap_or_default();
        let said = said.get(begun as usize..).unwrap_or_default();
        let last = said.lines().rev().find_map(|line| line.strip_prefix("error: "));
        let reason = last.map_or_else(|| status.to_string(), str::to_owned);
        Ok(End::Failed(format!("{reason} (see {})", log.display())))
    }

    fn wait(&self, child: &mut Child) -> anyhow::Result<std::process::ExitStatus> {
        let mut told = false;
        loop {
            if let Some(status) = child.try_wait().context("cannot wait for a process")? {
                return Ok(status);
            }
            if self.is_stopped() && !told {
                terminate(child)?;
                told = true;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Keeps Ctrl-C in a terminal from the process: the study passes on one signal, since a second one would end it at once.
#[cfg(unix)]
fn in_own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(not(unix))]
fn in_own_group(_command: &mut Command) {}

#[cfg(unix)]
fn terminate(child: &Child) -> anyhow::Result<()> {
    use rustix::process::{Pid, Signal, kill_process};
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        bail!("process {} has no valid number", child.id());
    };
    kill_process(pid, Signal::TERM).context("cannot stop a process")
}

#[cfg(not(unix))]
fn terminate(_child: &Child) -> anyhow::Result<()> {
    Ok(())
}
