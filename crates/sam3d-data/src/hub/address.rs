use std::{fmt, str::FromStr};

use super::HubError;

/// The scheme of an address of a hub's file.
pub const SCHEME: &str = "hf://";

/// The revision of a repository where none is named.
const DEFAULT_REVISION: &str = "main";

/// Hexadecimal digits of a commit.
const COMMIT_DIGITS: usize = 40;

/// Hexadecimal digits of a SHA-256.
const SHA256_DIGITS: usize = 64;

/// A file in a repository of Hugging Face's hub: `hf://OWNER/REPO[@REVISION]/FILE[#sha256=DIGITS]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubFile {
    pub(super) owner: String,
    pub(super) repository: String,
    pub(super) revision: String,
    pub(super) file: String,
    pub(super) sha256: Option<String>,
}

impl HubFile {
    /// The commit, if the revision is a full commit hash.
    pub(super) fn commit(&self) -> Option<&str> {
        is_commit(&self.revision).then_some(self.revision.as_str())
    }

    /// The same file with its commit and its hash.
    pub(super) fn pinned(&self, commit: &str, sha256: &str) -> Self {
        Self { revision: commit.to_owned(), sha256: Some(sha256.to_owned()), ..self.clone() }
    }
}

/// Whether `text` is a full commit hash.
pub(super) fn is_commit(text: &str) -> bool {
    is_hexadecimal(text, COMMIT_DIGITS)
}

/// Whether `text` is a SHA-256 in lower case.
pub(super) fn is_sha256(text: &str) -> bool {
    is_hexadecimal(text, SHA256_DIGITS)
}

fn is_hexadecimal(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether `text` can be a part of an address and the name of a file or directory in the cache.
pub(super) fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !text.is_empty() && !text.starts_with('.') && text.bytes().all(allowed)
}

impl FromStr for HubFile {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, HubError> {
        let wrong = |detail| HubError::Address { address: text.to_owned(), detail };
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong("it does not begin with hf://"))?;
        let (path, sha256) = match rest.split_once('#') {
            None => (rest, None),
            Some((path, fragment)) => {
                let digits = fragment.strip_prefix("sha256=").map(str::to_ascii_lowercase);
                let digits = digits.filter(|digits| is_sha256(digits));
                (
                    path,
                    Some(digits.ok_or_else(|| wrong("after # it needs sha256= and 64 hexadecimal digits"))?),
                )
            }
        };
        let mut parts = path.splitn(3, '/');
        let (Some(owner), Some(repository), Some(file)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong("it needs an owner, a repository and a file"));
        };
        let (repository, revision) = repository.split_once('@').unwrap_or((repository, DEFAULT_REVISION));
        if ![owner, repository, revision].into_iter().chain(file.split('/')).all(is_name) {
            return Err(wrong(
                "names are made of letters, digits, dots, dashes and underscores, and do not begin with a dot",
            ));
        }
        let owned = |text: &str| text.to_owned();
        Ok(Self {
            owner: owned(owner),
            repository: owned(repository),
            revision: owned(revision),
            file: owned(file),
            sha256,
        })
    }
}

impl fmt::Display for HubFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, repository, revision, file, sha256 } = self;
        write!(f, "{SCHEME}{owner}/{repository}")?;
        if revision != DEFAULT_REVISION {
            write!(f, "@{revision}")?;
        }
        write!(f, "/{file}")?;
        match sha256 {
            Some(sha256) => write!(f, "#sha256={sha256}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        let sha256 = "0123456789abcdef".repeat(4);
        let commit = "0123456789".repeat(4);
        for text in [
            "hf://owner/repo/w.safetensors".to_owned(),
            "hf://owner/repo@v1.0/deep/er/w.safetensors".to_owned(),
            format!("hf://owner/repo@{commit}/w.safetensors#sha256={sha256}"),
        ] {
            assert_eq!(text.parse::<HubFile>().unwrap().to_string(), text);
        }
        let file: HubFile = "hf://owner/repo/w.safetensors".parse().unwrap();
        assert_eq!((file.revision.as_str(), file.commit()), ("main", None));
        let file: HubFile = format!("hf://o/r@{commit}/w#sha256={}", sha256.to_uppercase()).parse().unwrap();
        assert_eq!((file.commit(), file.sha256.as_ref()), (Some(commit.as_str()), Some(&sha256)));
    }

    #[test]
    fn no_address_becomes_another_path() {
        for bad in [
            "https://owner/repo/w",
            "hf://owner/repo",
            "hf://owner",
            "hf:///repo/w",
            "hf://owner/../w",
            "hf://owner/repo/../w",
            "hf://owner/repo/a//w",
            "hf://owner/repo/",
            "hf://owner/repo@/w",
            "hf://owner/repo@../w",
            "hf://owner/repo@a@b/w",
            "hf://owner/repo/w?download=true",
            "hf://owner/repo/a b",
            "hf://owner/repo/w#sha256=12",
            "hf://owner/repo/w#md5=12",
        ] {
            let error = bad.parse::<HubFile>().unwrap_err().to_string();
            assert!(error.contains(bad) && error.contains("expected hf://OWNER/REPO"), "{error}");
        }
    }
}
