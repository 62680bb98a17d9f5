//! Files over HTTP(S): resumed where an earlier attempt ended, checked, and put in place when complete.
//!
//! Beside the target lie, while it is not complete, `NAME.part` with what has arrived and `NAME.part.from` with the address
//! and the version (ETag or date) it belongs to. Another version at the address is fetched from its beginning.

mod checksum;
mod partial;
mod request;
#[cfg(test)]
mod tests;

use std::{path::Path, thread, time::Duration};

use anyhow::{Context, Result, bail};

pub(crate) use self::checksum::Checksum;
use self::{
    partial::Partial,
    request::{Client, Ended},
};

/// How long a download is tried.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// Attempts in a row that bring nothing.
    attempts: u32,
    /// Pause after the first of them; it doubles from one to the next.
    pause: Duration,
}

const PATIENCE: Patience = Patience { attempts: 6, pause: Duration::from_secs(1) };

/// Downloads `url` to `target`, whose directory is created. A complete `target` is left as it is.
///
/// # Errors
/// If the server does not give the file, the disk takes no more, `target` is there and has another checksum, or what was
/// downloaded has another checksum (it is then removed). What has arrived is kept otherwise: the same call goes on with it.
pub(crate) fn fetch(url: &str, checksum: Option<&Checksum>, target: &Path) -> Result<()> {
    fetch_with(PATIENCE, url, checksum, target)
}

fn fetch_with(patience: Patience, url: &str, checksum: Option<&Checksum>, target: &Path) -> Result<()> {
    if target.exists() {
        return match checksum {
            Some(checksum) => checksum.check(target).context("remove the file to download it again"),
            None => Ok(()),
        };
    }
    let mut partial = Partial::open(target, url, checksum.is_some())?;
    let client = Client::new(url);
    let (mut failures, mut pause) = (0, patience.pause);
    loop {
        let before = partial.length();
        match client.transfer(&mut partial) {
            Ok(()) => break,
            Err(Ended::Refused(error)) => return Err(error),
            Err(Ended::Interrupted(error)) => {
                if partial.length() > before {
                    (failures, pause) = (0, patience.pause);
                }
                failures += 1;
                if failures >= patience.attempts {
                    let arrived = partial.length();
                    bail!("{url}: {error:#}; {arrived} bytes are kept, run the same command again to go on");
                }
                thread::sleep(pause);
                pause *= 2;
            }
        }
    }
    if let Some(checksum) = checksum
        && let Err(error) = checksum.check(partial.path())
    {
        partial.discard()?;
        return Err(error.context(format!("{url} is not the file expected and was removed")));
    }
    partial.finish(target)
}

/// Whether `source`, as typed, is an address and not a path.
pub(crate) fn is_url(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}
