//! What clients call the volumes they sent.
//!
//! MONAI Label's clients choose names themselves and ask by them later, and two users easily choose the same one. So a name
//! counts for the client that gave it, and stands for one content: another volume under it is refused while the first one is
//! there.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};

use serde::{Deserialize, Serialize};

use crate::{refusal::Refusal, uploads::Uploads};

/// Most names that are remembered.
const MOST: usize = 4096;

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Who asks: an address, and what the client calls itself (MONAI Label's `client_id`), which many requests leave out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asker {
    address: Option<IpAddr>,
    client: String,
}

impl Asker {
    /// Where it asks from.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The same with the `client_id` of a form's or query's parameters.
    pub(crate) fn with_client(mut self, client: &str) -> Self {
        if !client.is_empty() {
            client.clone_into(&mut self.client);
        }
        self
    }
}

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<Peer>().map(|peer| peer.0);
        Ok(Self { address, client: String::new() })
    }
}

/// What a client called an upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Called {
    pub(crate) name: String,
    pub(crate) giver: Asker,
}

#[derive(Debug, Clone)]
struct Entry {
    name: String,
    giver: Asker,
    sha256: String,
    upload: String,
}

/// The names, the oldest first. That of an upload which is gone stays: it must not begin to mean another one.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<VecDeque<Entry>>);

impl Names {
    /// Calls `upload`, of content `sha256`, `name` for `giver`.
    ///
    /// If `giver` has sent the same content under this name before, that upload stays and the new one is removed.
    ///
    /// # Errors
    /// A conflict, after which `upload` is removed, if the name stands for another content.
    pub(crate) fn give(
        &self,
        name: &str,
        giver: &Asker,
        (upload, sha256): (String, String),
        uploads: &Uploads,
    ) -> Result<(), Refusal> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = entries.iter().position(|entry| entry.name == name && entry.giver == *giver);
        if let Some(known) = known {
            if uploads.get(&entries[known].upload, true).is_ok() {
                let _removed = uploads.remove(&upload);
                if entries[known].sha256 == sha256 {
                    return Ok(());
                }
                return Err(Refusal::new(
                    StatusCode::CONFLICT,
                    format!("you have sent another volume as {name:?}; rename this one"),
                ));
            }
            entries.remove(known);
        }
        if entries.len() >= MOST {
            entries.pop_front();
        }
        uploads.called(&upload, Called { name: name.to_owned(), giver: giver.clone() });
        entries.push_back(Entry { name: name.to_owned(), giver: giver.clone(), sha256, upload });
        Ok(())
    }

    /// The names that clients gave the uploads of an earlier run.
    pub(crate) fn of_earlier(uploads: &Uploads) -> Self {
        let entries = uploads.names().into_iter().map(|(Called { name, giver }, upload, sha256)| Entry {
            name,
            giver,
            sha256,
            upload,
        });
        Self(Mutex::new(entries.take(MOST).collect()))
    }

    /// The upload that `asker` means by `name`; `None` if it has not given that name to any.
    ///
    /// # Errors
    /// A conflict if the request does not say which client asks, and clients at its address use the name for different
    /// volumes.
    pub(crate) fn find(&self, name: &str, asker: &Asker) -> Result<Option<String>, Refusal> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut meant = entries.iter().filter(|entry| entry.name == name && entry.may_be_of(asker)).rev();
        let Some(last) = meant.next() else { return Ok(None) };
        if meant.any(|other| other.sha256 != last.sha256) {
            return Err(Refusal::new(
                StatusCode::CONFLICT,
                format!("several clients at this address have sent volumes as {name:?}; give client_id"),
            ));
        }
        Ok(Some(last.upload.clone()))
    }

    /// Every name that `asker` can use.
    pub(crate) fn of(&self, asker: &Asker) -> Vec<String> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<String> =
            entries.iter().filter(|entry| entry.may_be_of(asker)).map(|entry| entry.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }
}

impl Entry {
    fn may_be_of(&self, asker: &Asker) -> bool {
        self.giver.address == asker.address && (asker.client.is_empty() || self.giver.client == asker.client)
    }
}
