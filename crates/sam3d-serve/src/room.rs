//! Room for files of clients: taken before the first byte arrives, counted while they arrive.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Limits, refusal::Refusal};

/// Most files at a time that are used once and not kept: labels, and images sent along with clicks.
const PASSING_FILES: usize = 16;

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
    bytes: u64,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    kept: usize,
    passing: usize,
    bytes: u64,
}

impl Taken {
    fn files(&mut self, purpose: Purpose) -> &mut usize {
        match purpose {
            Purpose::Keep => &mut self.kept,
            Purpose::Pass => &mut self.passing,
        }
    }
}

/// The place of one file; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    room: Room,
    purpose: Purpose,
    bytes: u64,
}

impl Room {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { files: limits.uploads, bytes: limits.uploads_bytes, taken: Arc::default() }
    }

    /// A place for a file of which no byte has arrived.
    pub(crate) fn reserve(&self, purpose: Purpose) -> Result<Place, Refusal> {
        let most = match purpose {
            Purpose::Keep => self.files,
            Purpose::Pass => PASSING_FILES,
        };
        let mut taken = self.taken();
        let files = taken.files(purpose);
        if *files >= most {
            return Err(Refusal::busy(match purpose {
                Purpose::Keep => {
                    format!("{files} uploads are open already; close one, or wait until one expires")
                }
                Purpose::Pass => {
                    format!("{files} files are being received already; try again in a moment")
                }
            }));
        }
        *files += 1;
        Ok(Place { room: self.clone(), purpose, bytes: 0 })
    }

    /// Number of files on disk, those that are still arriving among them.
    pub(crate) fn files(&self) -> usize {
        let taken = self.taken();
        taken.kept + taken.passing
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

    /// Bytes it has taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        taken.bytes -= self.bytes;
        *taken.files(self.purpose) -= 1;
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
        let mut first = room.reserve(Purpose::Keep).unwrap();
        first.take(60).unwrap();
        let mut second = room.reserve(Purpose::Keep).unwrap();
        let refused = room.reserve(Purpose::Keep).unwrap_err();
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.detail.contains("2 uploads"), "{}", refused.detail);
        second.take(40).unwrap();
        assert!(second.take(1).unwrap_err().detail.contains("100 of 100 bytes"));
        drop(first);
        second.take(60).unwrap();
        assert_eq!((second.bytes(), room.files()), (100, 1));
        let passing: Vec<_> = (0..PASSING_FILES).map(|_| room.reserve(Purpose::Pass).unwrap()).collect();
        assert!(room.reserve(Purpose::Pass).is_err() && room.reserve(Purpose::Keep).is_ok());
        drop((passing, second));
        assert_eq!(room.files(), 0);
    }
}
