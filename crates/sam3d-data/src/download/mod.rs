//! Downloads over HTTP(S): resumed, checked, and moved to their place when complete.
//!
//! Beside the target lie, while it is not complete, `NAME.part` with what has arrived and `NAME.part.from` with the address
//! and the version (ETag or date) it belongs to. Another version at the address is downloaded from the start.

mod checksum;
mod error;
mod partial;
mod request;
#[cfg(test)]
mod tests;

use std::{path::Path, thread, time::Duration};

pub use self::{checksum::Checksum, error::DownloadError};
use self::{
    partial::Partial,
    request::{Client, TransferFailure},
};
use crate::progress::OnProgress;

/// How long a download is tried.
#[derive(Debug, Clone, Copy)]
struct RetryPolicy {
    /// Attempts in a row without any data.
    attempts: u32,
    /// Pause after the first of them; it doubles from one to the next.
    pause: Duration,
}

/// The longest text that [`text`] reads, in bytes.
pub const LONGEST_TEXT: u64 = 16 << 20;

const PATIENCE: RetryPolicy = RetryPolicy { attempts: 6, pause: Duration::from_secs(1) };

/// Downloads `url` to `target`, whose directory is created. A complete `target` is left as it is.
///
/// # Errors
/// [`DownloadError`] if the server does not give the file, the disk is full, `target` exists and has another checksum, or
/// what was downloaded has another checksum (it is then removed). Otherwise what has arrived is kept, and the same call
/// continues with it.
pub fn fetch(
    url: &str,
    checksum: Option<&Checksum>,
    target: &Path,
    on_progress: OnProgress<'_>,
) -> Result<(), DownloadError> {
    fetch_with(PATIENCE, url, checksum, target, on_progress)
}

fn fetch_with(
    patience: RetryPolicy,
    url: &str,
    checksum: Option<&Checksum>,
    target: &Path,
    on_progress: OnProgress<'_>,
) -> Result<(), DownloadError> {
    if target.exists() {
        return match checksum {
            Some(checksum) => checksum
                .check(target)
                .map_err(|source| DownloadError::TargetDiffers { source: Box::new(source) }),
            None => Ok(()),
        };
    }
    let mut partial = Partial::open(target, url, checksum.is_some())?;
    let client = Client::new(url, target, on_progress);
    let (mut failures, mut pause) = (0, patience.pause);
    loop {
        let before = partial.length();
        match client.transfer(&mut partial) {
            Ok(()) => break,
            Err(TransferFailure::Refused(error)) => return Err(error),
            Err(TransferFailure::Interrupted(error)) => {
                if partial.length() > before {
                    (failures, pause) = (0, patience.pause);
                }
                failures += 1;
                if failures >= patience.attempts {
                    return Err(DownloadError::Interrupted {
                        url: url.to_owned(),
                        arrived: partial.length(),
                        source: Box::new(error),
                    });
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
        return Err(DownloadError::NotTheFile { url: url.to_owned(), source: Box::new(error) });
    }
    partial.finish(target)
}

/// The short text at `url`, not stored on disk.
///
/// # Errors
/// [`DownloadError`] if the server does not give it, or it is longer than [`LONGEST_TEXT`] bytes.
pub fn text(url: &str) -> Result<String, DownloadError> {
    request::text(url)
}

/// Whether `source` is an address that [`fetch`] takes, and not a path.
pub fn is_url(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

/// The name of the file at `url`.
///
/// # Errors
/// [`DownloadError::NotAFile`] unless it is of letters, digits, `.`, `-` and `_`, the first not `.`.
pub fn file_name(url: &str) -> Result<&str, DownloadError> {
    let name = url.split(['?', '#']).next().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(allowed) {
        return Err(DownloadError::NotAFile { url: url.to_owned() });
    }
    Ok(name)
}
