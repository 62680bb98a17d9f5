//! The archive, and a request to it.

use std::{io, time::Duration};

use serde_json::Value;
use ureq::{
    Agent, Body, SendBody, Timeout,
    http::{Request, Response, header},
    tls::{RootCerts, TlsConfig},
};

use crate::{ArchiveLimits, DicomWebError, Token, address::Address, search::percent_encoded};

/// What answers to searches are asked to be.
pub(crate) const JSON: &str = "application/dicom+json";
/// Bytes of the archive's own words in an error.
const MOST_QUOTED: usize = 80;

/// A DICOMweb archive.
#[derive(Debug, Clone)]
pub struct Archive {
    agent: Agent,
    address: Address,
    token: Option<Token>,
    pub(crate) limits: ArchiveLimits,
}

impl Archive {
    /// The archive whose services are below `url`, as `https://host/dicom-web`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`DicomWebError::AddressInvalid`].
    pub fn new(url: &str, token: Option<Token>, limits: ArchiveLimits) -> Result<Self, DicomWebError> {
        let address = Address::parse(url)?;
        if token.is_some() && address.is_open_to_eavesdroppers() {
            tracing::warn!("the archive's token and the images are sent without encryption");
        }
        // The system's certificates: those of a hospital are among them. A redirect is not followed: see the error.
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(limits.connect))
            .timeout_recv_response(Some(limits.answer))
            .timeout_per_read(Some(limits.silence))
            .user_agent(concat!("sam3d/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { agent: config.new_agent(), address, token, limits })
    }

    /// The root of its services.
    pub fn url(&self) -> &str {
        self.address.as_str()
    }

    /// The address of `path` without a query, as errors name it.
    pub(crate) fn named(&self, path: &str) -> String {
        self.address.below(path)
    }

    /// The answer to `GET path?query` in one of the forms `accept`, whatever its status.
    pub(crate) fn get(
        &self,
        path: &str,
        query: &[(&str, String)],
        accept: &str,
        (deadline, action): (Duration, &'static str),
    ) -> Result<Response<Body>, DicomWebError> {
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let address = format!("{}{mark}{}", self.address.below(path), query.join("&"));
        let request = Request::get(address).header(header::ACCEPT, accept);
        self.send(path, request, SendBody::none(), (deadline, action))
    }

    /// The answer to `POST path`, whatever its status.
    pub(crate) fn post(
        &self,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
        (deadline, action): (Duration, &'static str),
    ) -> Result<Response<Body>, DicomWebError> {
        let request = Request::post(self.address.below(path))
            .header(header::ACCEPT, JSON)
            .header(header::CONTENT_TYPE, content_type)
            .header(header::CONTENT_LENGTH, body.len());
        self.send(path, request, SendBody::from_owned_reader(io::Cursor::new(body)), (deadline, action))
    }

    fn send(
        &self,
        path: &str,
        mut request: ureq::http::request::Builder,
        body: SendBody<'static>,
        (deadline, action): (Duration, &'static str),
    ) -> Result<Response<Body>, DicomWebError> {
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token.header());
        }
        let failed = |error| failure(self.named(path), action, error);
        let request = request.body(body).map_err(|error| failed(error.into()))?;
        let request = self.agent.configure_request(request).timeout_global(Some(deadline)).build();
        self.agent.run(request).map_err(failed)
    }

    /// The answer if its status says that it is one.
    pub(crate) fn accepted(
        &self,
        path: &str,
        response: Response<Body>,
    ) -> Result<Response<Body>, DicomWebError> {
        let url = self.named(path);
        match response.status().as_u16() {
            200..300 => Ok(response),
            status @ (401 | 403 | 407) => {
                Err(DicomWebError::AccessRefused { url, status, with_token: self.token.is_some() })
            }
            300..=399 => {
                let to = header_text(&response, header::LOCATION).unwrap_or_default();
                // The rest of an address may name a patient.
                let to = to.split('?').next().unwrap_or_default().chars().take(MOST_QUOTED).collect();
                Err(DicomWebError::Redirected { url, to })
            }
            404 => Err(DicomWebError::NotFound { url }),
            status => Err(DicomWebError::Status { url, status }),
        }
    }

    /// The JSON of an answer.
    pub(crate) fn json(
        &self,
        path: &str,
        response: Response<Body>,
        action: &'static str,
    ) -> Result<Value, DicomWebError> {
        let most = self.limits.search_bytes;
        let kind = media_type(&response);
        let other =
            |found| DicomWebError::NotDicomWeb { url: self.named(path), expected: "DICOM JSON", found };
        if kind != JSON && kind != "application/json" {
            return Err(other(if kind.is_empty() { "no media type".to_owned() } else { kind }));
        }
        self.not_packed(path, &response)?;
        let bytes = response.into_body().with_config().limit(most).read_to_vec();
        let bytes = bytes.map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => {
                DicomWebError::TooLarge { url: self.named(path), most, what: "bytes of answers to a search" }
            }
            ureq::Error::Io(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
                DicomWebError::Truncated { url: self.named(path), arrived: 0, source: None }
            }
            error => failure(self.named(path), action, error),
        })?;
        // Where the text breaks off, not what it says: it is about patients.
        serde_json::from_slice(&bytes).map_err(|error| {
            other(format!("invalid JSON at line {} column {}", error.line(), error.column()))
        })
    }

    /// Refuses a compressed answer, which was not asked for.
    pub(crate) fn not_packed(&self, path: &str, response: &Response<Body>) -> Result<(), DicomWebError> {
        match header_text(response, header::CONTENT_ENCODING) {
            None | Some("" | "identity") => Ok(()),
            Some(encoding) => Err(DicomWebError::NotDicomWeb {
                url: self.named(path),
                expected: "an answer that is not compressed",
                found: encoding.chars().take(MOST_QUOTED).collect(),
            }),
        }
    }
}

/// The media type of an answer in lower case, without its parameters; empty if there is none.
pub(crate) fn media_type(response: &Response<Body>) -> String {
    let value = header_text(response, header::CONTENT_TYPE).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    kind.chars().take(MOST_QUOTED).collect::<String>().to_ascii_lowercase()
}

pub(crate) fn header_text(response: &Response<Body>, name: header::HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}

/// What went wrong while the archive did `action`.
pub(crate) fn failure(url: String, action: &'static str, error: ureq::Error) -> DicomWebError {
    match error {
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
            DicomWebError::Unreachable { url, source: Box::new(error) }
        }
        ureq::Error::Timeout(_) => DicomWebError::TimedOut { url, action },
        error => DicomWebError::Unreachable { url, source: Box::new(error) },
    }
}

/// What went wrong while an answer arrived, of whose files `arrived` bytes had come.
pub(crate) fn broken_off(url: String, action: &'static str, arrived: u64, error: io::Error) -> DicomWebError {
    match ureq::Error::from(error) {
        ureq::Error::Timeout(_) => DicomWebError::TimedOut { url, action },
        ureq::Error::Io(source) => DicomWebError::Truncated { url, arrived, source: Some(source) },
        other => DicomWebError::Truncated { url, arrived, source: Some(io::Error::other(other)) },
    }
}
