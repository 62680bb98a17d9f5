//! Memory for reading volumes, shared by all clients.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::Refusal;

/// Bytes of one permit.
const UNIT: u64 = 1 << 20;

/// A budget of memory, of which each reader takes what it may need before it begins, and waits until there is enough.
#[derive(Debug)]
pub(crate) struct Memory {
    units: u32,
    left: Arc<Semaphore>,
}

impl Memory {
    pub(crate) fn new(bytes: u64) -> Self {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1);
        Self { units, left: Arc::new(Semaphore::new(units as usize)) }
    }

    /// Takes `bytes`, which are free again when the permit is dropped. Who came first is served first.
    ///
    /// # Errors
    /// 413 if there is not so much even when nobody else reads.
    pub(crate) async fn take(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Refusal> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok().filter(|units| *units <= self.units);
        let Some(units) = units else {
            return Err(Refusal::too_large(format!(
                "reading this volume needs {} MiB of memory, the server has {} MiB for all readers",
                bytes.div_ceil(UNIT),
                self.units
            )));
        };
        let taken = Arc::clone(&self.left).acquire_many_owned(units).await;
        taken.map_err(|error| Refusal::internal("take memory", &error))
    }

    /// Bytes that readers have taken.
    pub(crate) fn taken(&self) -> u64 {
        u64::from(self.units).saturating_sub(self.left.available_permits() as u64) * UNIT
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn readers_wait_for_memory_and_too_much_is_refused() {
        let memory = Memory::new(10 * UNIT);
        let take = |units| memory.take(units * UNIT).now_or_never();
        let first = take(6).unwrap().unwrap();
        let second = take(4).unwrap().unwrap();
        assert_eq!(memory.taken(), 10 * UNIT);
        assert!(take(1).is_none(), "nothing is left");
        drop(second);
        assert!(take(4).unwrap().is_ok() && take(5).is_none());
        drop(first);
        assert!(take(10).unwrap().is_ok());
        let refused = take(11).unwrap().unwrap_err();
        assert!(refused.status.as_u16() == 413 && refused.detail.contains("11 MiB"), "{}", refused.detail);
        assert_eq!(memory.taken(), 0);
    }
}
