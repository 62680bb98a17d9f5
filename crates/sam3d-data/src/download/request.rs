//! One request for what is still missing of a file.

use std::{io::Read, time::Duration};

use anyhow::{Error, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use ureq::{
    Agent, Body,
    http::{Response, StatusCode, header},
    tls::{RootCerts, TlsConfig},
};

use super::partial::Partial;

/// Why a transfer ended before the file was complete.
#[derive(Debug)]
pub(super) enum Ended {
    /// The connection broke or the server is busy: another attempt may go on.
    Interrupted(Error),
    /// Another attempt would end the same way.
    Refused(Error),
}

/// Asks one address.
pub(super) struct Client {
    agent: Agent,
    url: String,
}

impl Client {
    pub(super) fn new(url: &str) -> Self {
        // The system's certificates: those of a company's proxy are among them.
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_per_read(Some(Duration::from_secs(60)))
            .user_agent(concat!("sam3d-xtask/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.new_agent(), url: url.to_owned() }
    }

    /// Appends what is missing to `partial`.
    pub(super) fn transfer(&self, partial: &mut Partial) -> Result<(), Ended> {
        let mut request = self.agent.get(&self.url);
        if partial.length() > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", partial.length()));
            if let Some(version) = partial.version() {
                request = request.header(header::IF_RANGE, version);
            }
        }
        let response = request.call().map_err(|error| self.failed(error))?;
        let whole = match response.status() {
            StatusCode::OK => {
                partial.restart(version_of(&response)).map_err(Ended::Refused)?;
                length_of(&response)
            }
            StatusCode::PARTIAL_CONTENT => self.check_range(&response, partial)?,
            // Nothing lies beyond what has arrived: it is complete, or no part of what is there.
            StatusCode::RANGE_NOT_SATISFIABLE => {
                if whole_of(&response) == Some(partial.length()) {
                    return Ok(());
                }
                partial.restart(None).map_err(Ended::Refused)?;
                return Err(Ended::Interrupted(anyhow!("the file at the address has changed")));
            }
            status => {
                let error = anyhow!("{}: the server answers {status}", self.url);
                let passing = status.is_server_error()
                    || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
                return Err(if passing { Ended::Interrupted(error) } else { Ended::Refused(error) });
            }
        };
        receive(response.into_body(), partial, whole)
    }

    /// The whole file's length, of an answer that begins where `partial` ends.
    fn check_range(&self, response: &Response<Body>, partial: &Partial) -> Result<Option<u64>, Ended> {
        let range = header_text(response, header::CONTENT_RANGE).unwrap_or_default();
        let begins = range.strip_prefix("bytes ").and_then(|range| range.split('-').next()?.parse().ok());
        if begins != Some(partial.length()) {
            let (asked, url) = (partial.length(), &self.url);
            let error = anyhow!("{url}: asked from byte {asked} on, the server gives {range:?}");
            return Err(Ended::Refused(error));
        }
        Ok(whole_of(response))
    }

    fn failed(&self, error: ureq::Error) -> Ended {
        let passing = matches!(
            error,
            ureq::Error::Io(_)
                | ureq::Error::Timeout(_)
                | ureq::Error::ConnectionFailed
                | ureq::Error::HostNotFound
                | ureq::Error::BodyStalled
        );
        let error = Error::new(error).context(format!("cannot fetch {}", self.url));
        if passing { Ended::Interrupted(error) } else { Ended::Refused(error) }
    }
}

fn receive(body: Body, partial: &mut Partial, whole: Option<u64>) -> Result<(), Ended> {
    let bar = progress_bar(whole, partial.length());
    let mut reader = body.into_reader();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let interrupted = |error| Ended::Interrupted(Error::new(error).context("the connection broke"));
        let count = reader.read(&mut buffer).map_err(interrupted)?;
        if count == 0 {
            break;
        }
        partial.append(&buffer[..count]).map_err(Ended::Refused)?;
        bar.inc(count as u64);
    }
    bar.finish_and_clear();
    match whole {
        Some(whole) if whole != partial.length() => {
            let arrived = partial.length();
            Err(Ended::Interrupted(anyhow!("the connection ended after {arrived} of {whole} bytes")))
        }
        _ => Ok(()),
    }
}

fn progress_bar(whole: Option<u64>, arrived: u64) -> ProgressBar {
    let (bar, template) = match whole {
        Some(whole) => (
            ProgressBar::new(whole),
            "{wide_bar} {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
        ),
        None => (ProgressBar::new_spinner(), "{binary_bytes}, {binary_bytes_per_sec}"),
    };
    // A template that does not parse would only cost the bar its looks.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_position(arrived);
    bar.reset_eta();
    bar
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
