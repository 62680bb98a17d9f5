//! Who may ask: by name of the host, by origin of the page, by token.
//!
//! Without a token the server listens on loopback only. That alone would not keep a page of the internet out: the
//! user's browser is on this computer, and can be made to ask `http://rebound.example:8000` after that name was pointed
//! at 127.0.0.1, or to send forms to `http://localhost:8000`. So a request must name this computer as its host, and a
//! page that asks must come from this server or from an origin that was allowed. Requests without an origin come from
//! programs, or are ones whose answers a browser shows to no other page.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{Config, ServeError, refusal::Refusal};

/// Fewest characters of a token: 16 of 64 kinds are 96 bits.
pub const SHORTEST_TOKEN: usize = 16;

/// What decides who may ask.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    /// SHA-256 of the token: digests are equally long, so that comparing them tells nothing of the token's length.
    token: Option<[u8; 32]>,
    allowed_origins: Vec<HeaderValue>,
}

impl Access {
    /// The rules of `config`.
    pub(crate) fn new(config: &Config) -> Result<Self, ServeError> {
        let usable =
            |token: &str| token.len() >= SHORTEST_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
        if config.token.as_deref().is_some_and(|token| !usable(token)) {
            return Err(ServeError::TokenUnusable { shortest: SHORTEST_TOKEN });
        }
        if config.token.is_none() && !config.host.is_loopback() {
            let address = (config.host, config.port).into();
            return Err(ServeError::TokenMissing { address, shortest: SHORTEST_TOKEN });
        }
        let origin = |text: &String| {
            let invalid = || ServeError::OriginInvalid { found: text.clone() };
            let uri: Uri = text.parse().map_err(|_| invalid())?;
            let whole = matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some()
                && !text.ends_with('/')
                && uri.path() == "/";
            if whole { HeaderValue::from_str(text).map_err(|_| invalid()) } else { Err(invalid()) }
        };
        Ok(Self {
            token: config.token.as_deref().map(digest),
            allowed_origins: config.allowed_origins.iter().map(origin).collect::<Result<_, _>>()?,
        })
    }

    /// Whether a token is needed.
    pub(crate) fn needs_token(&self) -> bool {
        self.token.is_some()
    }

    /// The origins besides its own from which pages may ask.
    pub(crate) fn allowed_origins(&self) -> &[HeaderValue] {
        &self.allowed_origins
    }

    /// Whether `token` is the right one; always so where none is needed.
    pub(crate) fn accepts_token(&self, token: &str) -> bool {
        self.token.is_none_or(|expected| bool::from(expected.ct_eq(&digest(token))))
    }

    fn check_host(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), Refusal> {
        // A stranger's page knows no token, under whatever name it asks.
        if self.needs_token() {
            return Ok(());
        }
        let host = host(headers, uri).map(|authority| authority.host().to_ascii_lowercase());
        if host.is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&host.as_str())) {
            return Ok(());
        }
        Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "this server answers under the names localhost, 127.0.0.1 and [::1] only; for others start it with a token",
        ))
    }

    fn check_origin(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), Refusal> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let own = host(headers, uri).is_some_and(|host| {
            let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
            origin.and_then(|origin| origin.into_parts().authority).is_some_and(|authority| authority == host)
        });
        if own || self.allowed_origins.contains(origin) {
            return Ok(());
        }
        Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "pages of another origin may not use this server; allow one with --allow-origin",
        ))
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = given
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map_or("", |(_, token)| token.trim());
        if self.accepts_token(token) {
            return Ok(());
        }
        Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "this server wants its token: send it as Authorization: Bearer",
        ))
    }
}

/// Lets a request through if host and origin are right.
pub(crate) async fn same_origin(State(access): State<Access>, request: Request, next: Next) -> Response {
    let checked = access
        .check_host(request.headers(), request.uri())
        .and_then(|()| access.check_origin(request.headers(), request.uri()));
    match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Lets a request through if it carries the token.
pub(crate) async fn with_token(State(access): State<Access>, request: Request, next: Next) -> Response {
    // A browser asks whether it may ask without the header it wants to send.
    let preflight = request.method() == Method::OPTIONS;
    match access.check_token(request.headers()) {
        Err(refusal) if !preflight => refusal.into_response(),
        _ => next.run(request).await,
    }
}

fn host(headers: &HeaderMap, uri: &Uri) -> Option<Authority> {
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    // HTTP/2 has the host in the address.
    named.and_then(|host| host.parse().ok()).or_else(|| uri.authority().cloned())
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn access(host: &str, token: Option<&str>, origins: &[&str]) -> Result<Access, ServeError> {
        Access::new(&Config {
            host: host.parse().unwrap(),
            port: 8000,
            token: token.map(str::to_owned),
            allowed_origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
            studies: None,
            labels: None,
            sessions: None,
            archive: None,
            algorithm: "bright.safetensors".to_owned(),
            encode_ahead: true,
            target: "target".to_owned(),
            limits: Limits::default(),
        })
    }

    fn allowed(access: &Access, headers: &[(&str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let uri = Uri::from_static("/api/studies");
        access.check_host(&map, &uri).is_ok() && access.check_origin(&map, &uri).is_ok()
    }

    #[test]
    fn beyond_loopback_a_token_is_needed() {
        assert!(access("127.0.0.1", None, &[]).is_ok() && access("::1", None, &[]).is_ok());
        let error = access("0.0.0.0", None, &[]).unwrap_err().to_string();
        assert!(error.contains("0.0.0.0:8000") && error.contains("--token"), "{error}");
        assert!(access("0.0.0.0", Some("0123456789abcdef"), &[]).is_ok());
        for bad in ["", "short", "0123456789 abcdef", "0123456789abcdé"] {
            assert!(access("127.0.0.1", Some(bad), &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn strangers_pages_are_kept_out() {
        let access = access("127.0.0.1", None, &["http://localhost:3000"]).unwrap();
        assert!(allowed(&access, &[("host", "localhost:8000")]));
        assert!(allowed(&access, &[("host", "[::1]:8000"), ("origin", "http://[::1]:8000")]));
        assert!(allowed(&access, &[("host", "127.0.0.1:8000"), ("origin", "http://localhost:3000")]));
        for headers in [
            &[("host", "rebound.example:8000")][..],
            &[("host", "localhost.example")],
            &[],
            &[("host", "127.0.0.1:8000"), ("origin", "http://127.0.0.1:9000")],
            &[("host", "127.0.0.1:8000"), ("origin", "null")],
            &[("host", "127.0.0.1:8000"), ("origin", "https://evil.example")],
        ] {
            assert!(!allowed(&access, headers), "{headers:?}");
        }
    }

    #[test]
    fn an_origin_has_scheme_and_host_only() {
        for bad in ["localhost:3000", "http://a/", "http://a/b", "ftp://a", "*", ""] {
            assert!(access("127.0.0.1", None, &[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_token_is_compared_whole() {
        let access = access("0.0.0.0", Some("0123456789abcdef"), &[]).unwrap();
        assert!(access.accepts_token("0123456789abcdef"));
        for bad in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF"] {
            assert!(!access.accepts_token(bad), "{bad}");
        }
    }
}
