//! Room for files of clients: taken before the first byte arrives, counted while they arrive.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{Limits, refusal::Refusal};

/// Most files at a time that are used once and not kept: labels, and images sent along with clicks.
const PASSING_FILES: usize = 16;
/// Of which so many from one address.
const PASSING_FILES_PER_CLIENT: usize = 8;

/// What a file is received for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be kept as an upload.
    Keep,
    /// To be used by one request.
    Pass,
}

/// The room there is, shared by all clients.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    files: usize,
    files_per_client: usize,
    bytes: u64,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Files by the address they came from.
    kept: HashMap<Option<IpAddr>, usize>,
    passing: HashMap<Option<IpAddr>, usize>,
    bytes: u64,
}

impl Taken {
    fn files(&mut self, purpose: Purpose) -> &mut HashMap<Option<IpAddr>, usize> {
        match purpose {
            Purpose::Keep => &mut self.kept,
            Purpose::Pass => &mut self.passing,
        }
    }
}

/// Why there is no place for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// All places are taken.
    All(usize),
    /// Those of the client's address are taken.
    Client(usize),
}

/// The place of one file; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    room: Room,
    purpose: Purpose,
    client: Option<IpAddr>,
    bytes: u64,
}

impl Room {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            files: limits.uploads,
            files_per_client: limits.uploads_per_client,
            bytes: limits.uploads_bytes,
            taken: Arc::default(),
        }
    }

    /// A place for a file of `client` of which no byte has arrived.
    pub(crate) fn reserve(&self, purpose: Purpose, client: Option<IpAddr>) -> Result<Place, Full> {
        let (most, most_of_client) = match purpose {
            Purpose::Keep => (self.files, self.files_per_client),
            Purpose::Pass => (PASSING_FILES, PASSING_FILES_PER_CLIENT),
        };
        let mut taken = self.taken();
        let files = taken.files(purpose);
        let of_client = files.get(&client).copied().unwrap_or_default();
        if of_client >= most_of_client {
            return Err(Full::Client(of_client));
        }
        let all = files.values().sum();
        if all >= most {
            return Err(Full::All(all));
        }
        files.insert(client, of_client + 1);
        Ok(Place { room: self.clone(), purpose, client, bytes: 0 })
    }

    /// Number of files on disk, those that are still arriving among them.
    pub(crate) fn files(&self) -> usize {
        let taken = self.taken();
        taken.kept.values().chain(taken.passing.values()).sum()
    }

    /// Bytes on disk, those of files that are still arriving among them.
    pub(crate) fn bytes(&self) -> u64 {
        self.taken().bytes
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // The counts are whole between any two statements, so a panic elsewhere does not spoil them.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Takes room for `bytes` more.
    pub(crate) fn take(&mut self, bytes: u64) -> Result<(), Refusal> {
        let mut taken = self.room.taken();
        if taken.bytes.saturating_add(bytes) > self.room.bytes {
            return Err(Refusal::busy(format!(
                "the open uploads hold {} of {} bytes; close one, or wait until one expires",
                taken.bytes, self.room.bytes
            )));
        }
        taken.bytes += bytes;
        self.bytes += bytes;
        Ok(())
    }

    /// The address of the client whose file it is for.
    pub(crate) fn client(&self) -> Option<IpAddr> {
        self.client
    }

    /// Bytes it has taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Full {
    /// What the client is told.
    pub(crate) fn refusal(self, purpose: Purpose) -> Refusal {
        Refusal::busy(match (self, purpose) {
            (Self::All(files), Purpose::Keep) => {
                format!("{files} uploads are open already; close one, or wait until one expires")
            }
            (Self::Client(files), Purpose::Keep) => {
                format!("{files} uploads from your address are in use; close one, or wait a minute")
            }
            (Self::All(files) | Self::Client(files), Purpose::Pass) => {
                format!("{files} files are being received already; try again in a moment")
            }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        taken.bytes -= self.bytes;
        let files = taken.files(self.purpose);
        if let Some(of_client) = files.get_mut(&self.client) {
            *of_client -= 1;
            // So that addresses of clients that have gone do not pile up.
            if *of_client == 0 {
                files.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn room_is_taken_before_and_while_a_file_arrives() {
        let limits = Limits { uploads: 2, uploads_bytes: 100, ..Limits::default() };
        let room = Room::new(&limits);
        let reserve = |purpose| room.reserve(purpose, None).map_err(|full| full.refusal(purpose));
        let mut first = reserve(Purpose::Keep).unwrap();
        first.take(60).unwrap();
        let mut second = reserve(Purpose::Keep).unwrap();
        let refused = reserve(Purpose::Keep).unwrap_err();
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.detail.contains("2 uploads"), "{}", refused.detail);
        second.take(40).unwrap();
        assert!(second.take(1).unwrap_err().detail.contains("100 of 100 bytes"));
        drop(first);
        second.take(60).unwrap();
        assert_eq!((second.bytes(), room.files()), (100, 1));
        let address =
            |number: usize| Some(IpAddr::from([10, 0, 0, (number / PASSING_FILES_PER_CLIENT) as u8]));
        let passing: Vec<_> =
            (0..PASSING_FILES).map(|number| room.reserve(Purpose::Pass, address(number)).unwrap()).collect();
        assert_eq!(
            room.reserve(Purpose::Pass, address(0)).unwrap_err(),
            Full::Client(PASSING_FILES_PER_CLIENT)
        );
        assert!(reserve(Purpose::Pass).is_err() && reserve(Purpose::Keep).is_ok());
        drop((passing, second));
        assert_eq!(room.files(), 0);
    }
}
