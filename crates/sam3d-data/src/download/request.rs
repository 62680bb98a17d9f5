//! A request for the missing part of a file.

use std::{io::Read, path::Path, time::Duration};

use ureq::{
    Agent, Body,
    http::{Response, StatusCode, header},
    tls::{RootCerts, TlsConfig},
};

use super::{DownloadError, LONGEST_TEXT, partial::Partial};
use crate::progress::{OnProgress, Progress, Stage};

/// Why a transfer ended before the file was complete.
#[derive(Debug)]
pub(super) enum TransferFailure {
    /// The connection broke or the server is busy: another attempt may continue.
    Interrupted(DownloadError),
    /// Another attempt would end the same way.
    Refused(DownloadError),
}

/// Asks one address.
pub(super) struct Client<'a> {
    agent: Agent,
    url: &'a str,
    target: &'a Path,
    on_progress: OnProgress<'a>,
}

impl<'a> Client<'a> {
    /// Asks `url` for what shall be `target`.
    pub(super) fn new(url: &'a str, target: &'a Path, on_progress: OnProgress<'a>) -> Self {
        Self { agent: agent(), url, target, on_progress }
    }

    /// Appends the missing bytes to `partial`.
    pub(super) fn transfer(&self, partial: &mut Partial) -> Result<(), TransferFailure> {
        let mut request = self.agent.get(self.url);
        if partial.length() > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", partial.length()));
            if let Some(version) = partial.version() {
                request = request.header(header::IF_RANGE, version);
            }
        }
        let response = request.call().map_err(|error| self.failed(error))?;
        let whole = match response.status() {
            StatusCode::OK => {
                partial.restart(version_of(&response)).map_err(TransferFailure::Refused)?;
                length_of(&response)
            }
            StatusCode::PARTIAL_CONTENT => self.check_range(&response, partial)?,
            // Nothing lies beyond what has arrived: it is complete, or no part of what is there.
            StatusCode::RANGE_NOT_SATISFIABLE => {
                if whole_of(&response) == Some(partial.length()) {
                    return Ok(());
                }
                partial.restart(None).map_err(TransferFailure::Refused)?;
                return Err(TransferFailure::Interrupted(DownloadError::Changed));
            }
            status => {
                let error = DownloadError::Status { url: self.url.to_owned(), status: status.to_string() };
                let passing = status.is_server_error()
                    || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
                return Err(if passing {
                    TransferFailure::Interrupted(error)
                } else {
                    TransferFailure::Refused(error)
                });
            }
        };
        self.receive(response.into_body(), partial, whole)
    }

    /// The whole file's length, of an answer that begins where `partial` ends.
    fn check_range(
        &self,
        response: &Response<Body>,
        partial: &Partial,
    ) -> Result<Option<u64>, TransferFailure> {
        let range = header_text(response, header::CONTENT_RANGE).unwrap_or_default();
        let begins = range.strip_prefix("bytes ").and_then(|range| range.split('-').next()?.parse().ok());
        if begins != Some(partial.length()) {
            let (url, given) = (self.url.to_owned(), range.to_owned());
            return Err(TransferFailure::Refused(DownloadError::Range {
                url,
                asked: partial.length(),
                given,
            }));
        }
        Ok(whole_of(response))
    }

    fn receive(&self, body: Body, partial: &mut Partial, whole: Option<u64>) -> Result<(), TransferFailure> {
        let stage = Stage::Downloading { url: self.url, target: self.target };
        (self.on_progress)(Progress::Begins { stage, done: partial.length(), total: whole });
        let received = self.append(body, partial);
        (self.on_progress)(Progress::Ends);
        received?;
        match whole {
            Some(whole) if whole != partial.length() => {
                Err(TransferFailure::Interrupted(DownloadError::Short { arrived: partial.length(), whole }))
            }
            _ => Ok(()),
        }
    }

    fn append(&self, body: Body, partial: &mut Partial) -> Result<(), TransferFailure> {
        let mut reader = body.into_reader();
        let mut buffer = vec![0; 1 << 18];
        loop {
            let interrupted = |error| TransferFailure::Interrupted(DownloadError::Broken(error));
            let count = reader.read(&mut buffer).map_err(interrupted)?;
            if count == 0 {
                return Ok(());
            }
            partial.append(&buffer[..count]).map_err(TransferFailure::Refused)?;
            (self.on_progress)(Progress::Advances(count as u64));
        }
    }

    fn failed(&self, error: ureq::Error) -> TransferFailure {
        let passing = matches!(
            error,
            ureq::Error::Io(_)
                | ureq::Error::Timeout(_)
                | ureq::Error::ConnectionFailed
                | ureq::Error::HostNotFound
                | ureq::Error::BodyStalled
        );
        let error = DownloadError::NoAnswer { url: self.url.to_owned(), source: Box::new(error) };
        if passing { TransferFailure::Interrupted(error) } else { TransferFailure::Refused(error) }
    }
}

fn agent() -> Agent {
    // The system's certificates: those of a company's proxy are among them.
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        .user_agent(concat!("sam3d/", env!("CARGO_PKG_VERSION")))
        .build();
    config.new_agent()
}

/// The text at `url`.
pub(super) fn text(url: &str) -> Result<String, DownloadError> {
    let failed = |error| DownloadError::NoAnswer { url: url.to_owned(), source: Box::new(error) };
    let response = agent().get(url).call().map_err(failed)?;
    let status = response.status();
    if !status.is_success() {
        return Err(DownloadError::Status { url: url.to_owned(), status: status.to_string() });
    }
    response.into_body().with_config().limit(LONGEST_TEXT).read_to_string().map_err(failed)
}

/// What names this version of the file: a strong entity tag, else the date of its last change.
fn version_of(response: &Response<Body>) -> Option<String> {
    header_text(response, header::ETAG)
        .filter(|tag| !tag.starts_with("W/"))
        .or_else(|| header_text(response, header::LAST_MODIFIED))
        .map(str::to_owned)
}

fn length_of(response: &Response<Body>) -> Option<u64> {
    header_text(response, header::CONTENT_LENGTH)?.parse().ok()
}

/// The file's length at the end of `Content-Range: bytes 5-9/10` or `bytes */10`.
fn whole_of(response: &Response<Body>) -> Option<u64> {
    header_text(response, header::CONTENT_RANGE)?.rsplit_once('/')?.1.parse().ok()
}

fn header_text(response: &Response<Body>, name: header::HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}
