use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::DicomWebError;

/// A unique identifier: 1 to 64 digits and dots, so that it is safe in an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Uid(String);

impl Uid {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Uid {
    type Err = DicomWebError;

    fn from_str(text: &str) -> Result<Self, DicomWebError> {
        // Padding of a value in a file.
        let uid = text.trim_end_matches(['\0', ' ']);
        let is_valid = (1..=64).contains(&uid.len())
            && uid.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        if is_valid {
            Ok(Self(uid.to_owned()))
        } else {
            Err(DicomWebError::UidInvalid { found: text.chars().take(80).collect() })
        }
    }
}

impl TryFrom<String> for Uid {
    type Error = DicomWebError;

    fn try_from(text: String) -> Result<Self, DicomWebError> {
        text.parse()
    }
}

impl From<Uid> for String {
    fn from(uid: Uid) -> Self {
        uid.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_dots_only() {
        assert_eq!("1.2.840\0".parse::<Uid>().unwrap().as_str(), "1.2.840");
        for bad in ["", "1..2", ".1", "1.", "1/2", "1.2?x", "../1", "a", "1.2 3", &"1".repeat(65)] {
            assert!(bad.parse::<Uid>().is_err(), "{bad:?}");
        }
    }
}
