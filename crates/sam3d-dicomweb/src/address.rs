//! Where an archive is, and the secret that opens it.

use std::fmt;

use ureq::http::{HeaderValue, Uri};

use crate::DicomWebError;

/// The root of an archive's DICOMweb services, as `https://host/dicom-web`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address(String);

impl Address {
    /// Checks `text` and removes slashes at its end.
    pub(crate) fn parse(text: &str) -> Result<Self, DicomWebError> {
        let invalid =
            |problem: &'static str| DicomWebError::AddressInvalid { found: without_secrets(text), problem };
        let root = text.trim().trim_end_matches('/');
        let uri: Uri = root.parse().map_err(|_| invalid("it is not an address"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(invalid("expected http:// or https://"));
        }
        let authority = uri.authority().ok_or_else(|| invalid("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid("a secret in an address ends up in logs; put it into a file"));
        }
        if uri.query().is_some() || root.contains('#') {
            return Err(invalid("expected the root of the services, without a query"));
        }
        Ok(Self(root.to_owned()))
    }

    /// The address of a resource below the root.
    pub(crate) fn below(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether everybody on the way can read what is sent.
    pub(crate) fn is_open_to_eavesdroppers(&self) -> bool {
        let Some(rest) = self.0.strip_prefix("http://") else { return false };
        let host = rest.split('/').next().unwrap_or_default();
        let name = match host.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let is_loopback = name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        !is_loopback && name != "localhost"
    }
}

fn without_secrets(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}...{}", &text[..scheme + 3], &text[at..]),
        (None, Some(at)) => format!("...{}", &text[at..]),
        _ => text.to_owned(),
    }
}

/// A secret that each request carries; never shown.
#[derive(Clone)]
pub struct Token(HeaderValue);

impl Token {
    /// The secret in the first line of `text`: a bearer token, or the whole value of a header, as `Basic dXNlcjpwYXNz`.
    ///
    /// # Errors
    /// [`DicomWebError::TokenUnusable`] if it is empty or no header can carry it.
    pub fn new(text: &str) -> Result<Self, DicomWebError> {
        let secret = text.trim();
        let words: Vec<&str> = secret.split(' ').collect();
        let value = match words.as_slice() {
            [token] if !token.is_empty() && !is_scheme(token) => format!("Bearer {token}"),
            [scheme, secret] if !secret.is_empty() && is_scheme(scheme) => format!("{scheme} {secret}"),
            _ => return Err(DicomWebError::TokenUnusable),
        };
        if !value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return Err(DicomWebError::TokenUnusable);
        }
        let mut value = HeaderValue::from_str(&value).map_err(|_| DicomWebError::TokenUnusable)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

fn is_scheme(word: &str) -> bool {
    ["bearer", "basic"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_root_of_services() {
        assert_eq!(
            Address::parse("http://h:8042/dicom-web/").unwrap().below("/series"),
            "http://h:8042/dicom-web/series"
        );
        for bad in ["", "h:8042", "ftp://h/", "https://h/?a=b", "https://h/#a", "/dicom-web", "https://"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
        let error = Address::parse("https://me:secret@h/d").unwrap_err().to_string();
        assert!(!error.contains("secret@") && !error.contains("me:") && error.contains("file"), "{error}");
    }

    #[test]
    fn only_this_computer_needs_no_encryption() {
        let open = |text| Address::parse(text).unwrap().is_open_to_eavesdroppers();
        assert!(open("http://pacs/d") && open("http://10.0.0.1:80/d"));
        for safe in ["https://pacs/d", "http://127.0.0.1:8042/d", "http://[::1]:8042", "http://localhost/d"] {
            assert!(!open(safe), "{safe}");
        }
    }

    #[test]
    fn a_token_is_a_bearer_or_a_whole_value() {
        let value = |text| Token::new(text).map(|token| token.header().to_str().unwrap().to_owned());
        assert_eq!(value("abc.def\n").unwrap(), "Bearer abc.def");
        assert_eq!(value("Basic dTpw").unwrap(), "Basic dTpw");
        for bad in ["", "\n", "a b", "a b c", "Basic ", "ab\u{7f}", "é"] {
            assert!(Token::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(format!("{:?}", Token::new("secret").unwrap()), "Token(...)");
    }
}
