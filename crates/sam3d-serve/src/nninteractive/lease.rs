//! Leases: who may use the server for how long, and what is kept for them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, StatusCode};
use sam3d_infer::{Image, LogStep, MaskPart, SessionLog};
use sam3d_nnia::ElementType;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::{Limits, refusal::Refusal};

const TOKEN: &str = "x-lease-token";

/// The leases that clients hold, by token.
#[derive(Debug)]
pub(crate) struct Leases {
    most: usize,
    /// How long a client may do nothing.
    pub(super) idle: Duration,
    /// How long a client may give no sign of life; zero for ever.
    pub(super) liveness: Duration,
    held: Mutex<HashMap<String, Arc<Lease>>>,
}

#[derive(Debug)]
pub(super) struct Lease {
    clocks: Mutex<Clocks>,
    work: Arc<AsyncMutex<Work>>,
}

#[derive(Debug)]
struct Clocks {
    used: Instant,
    alive: Instant,
    /// Requests that count as use and are being answered: while there are any, no clock runs.
    running: usize,
}

/// What a request says about its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// The client works.
    Use,
    /// The client is there.
    Life,
    /// Nothing.
    None,
}

/// What is kept for a client.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) image: Option<Arc<Image>>,
    pub(super) buffer: Option<Buffer>,
    /// Whether the mask is followed beyond its crop.
    pub(super) autozoom: bool,
    pub(super) now: Interactions,
    /// The state before the last interaction.
    pub(super) before: Option<Interactions>,
}

/// The client's mask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buffer {
    pub(super) element: ElementType,
    pub(super) shape_kji: [usize; 3],
}

/// What the client has said of its object, and the mask that it holds. A clone is cheap.
#[derive(Debug, Clone, Default)]
pub(super) struct Interactions {
    /// A mask to begin from that the weights do not understand: it counts where the network has not answered.
    pub(super) base: Option<Arc<MaskPart>>,
    /// The steps of the session so far.
    pub(super) steps: Vec<Arc<LogStep>>,
    /// Those that wait for the next prediction.
    pub(super) queued: Vec<Arc<LogStep>>,
    pub(super) held: Arc<MaskPart>,
    pub(super) log: Option<Arc<SessionLog>>,
}

impl Leases {
    pub(crate) fn new(limits: &Limits) -> Self {
        let (most, idle, liveness) = (limits.leases, limits.lease_idle, limits.lease_liveness);
        Self { most, idle, liveness, held: Mutex::default() }
    }

    /// A lease for a new client, by its token; `None` if all are held.
    pub(super) fn claim(&self) -> Option<String> {
        let mut held = self.held();
        if held.len() >= self.most {
            return None;
        }
        let token = format!("{:032x}", rand::random::<u128>());
        let now = Instant::now();
        let clocks = Mutex::new(Clocks { used: now, alive: now, running: 0 });
        held.insert(token.clone(), Arc::new(Lease { clocks, work: Arc::default() }));
        Some(token)
    }

    /// The lease whose token is among `headers`.
    ///
    /// # Errors
    /// 410 if there is none.
    pub(super) fn find(&self, headers: &HeaderMap, sign: Sign) -> Result<InUse, Refusal> {
        let gone = |detail| Refusal::new(StatusCode::GONE, detail);
        let token = headers.get(TOKEN).ok_or_else(|| gone("lease token missing"))?;
        let held = self.held();
        let lease = token.to_str().ok().and_then(|token| held.get(token));
        let lease = Arc::clone(lease.ok_or_else(|| gone("lease expired or unknown"))?);
        let mut clocks = lease.clocks();
        match sign {
            Sign::Use => clocks.running += 1,
            Sign::Life => clocks.alive = Instant::now(),
            Sign::None => {}
        }
        drop(clocks);
        Ok(InUse { lease, counts: sign == Sign::Use })
    }

    /// Ends the lease whose token is among `headers`, if there is one.
    pub(super) fn release(&self, headers: &HeaderMap) {
        if let Some(token) = headers.get(TOKEN).and_then(|token| token.to_str().ok()) {
            self.held().remove(token);
        }
    }

    /// Most leases.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Number of leases that clients hold.
    pub(crate) fn count(&self) -> usize {
        self.held().len()
    }

    /// The leases, without those that have expired.
    fn held(&self) -> MutexGuard<'_, HashMap<String, Arc<Lease>>> {
        // The map is whole between any two statements, so a panic elsewhere does not spoil it.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, lease| {
            let clocks = lease.clocks();
            let is_alive = self.liveness.is_zero() || clocks.alive.elapsed() < self.liveness;
            clocks.running > 0 || is_alive && clocks.used.elapsed() < self.idle
        });
        held
    }
}

impl Lease {
    fn clocks(&self) -> MutexGuard<'_, Clocks> {
        self.clocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lease that a request is using.
#[derive(Debug)]
pub(super) struct InUse {
    lease: Arc<Lease>,
    counts: bool,
}

impl InUse {
    /// What is kept for the client, once its other requests have ended.
    pub(super) async fn work(&self) -> OwnedMutexGuard<Work> {
        Arc::clone(&self.lease.work).lock_owned().await
    }

    /// Time until the lease expires if the client does nothing more.
    pub(super) fn remaining(&self, idle: Duration) -> Duration {
        let clocks = self.lease.clocks();
        if clocks.running > 0 { idle } else { idle.saturating_sub(clocks.used.elapsed()) }
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if self.counts {
            let mut clocks = self.lease.clocks();
            let now = Instant::now();
            (clocks.used, clocks.alive) = (now, now);
            clocks.running -= 1;
        }
    }
}

impl Work {
    /// The image and the client's buffer, which must have its shape.
    pub(super) fn ready(&self) -> Result<(Arc<Image>, Buffer), Refusal> {
        let image = self.image.clone().ok_or_else(no_image)?;
        let missing = || Refusal::bad_request("no mask buffer yet: send set_target_buffer first");
        let buffer = self.buffer.ok_or_else(missing)?;
        check_shape("the mask buffer", buffer.shape_kji, &image)?;
        Ok((image, buffer))
    }
}

pub(super) fn no_image() -> Refusal {
    Refusal::bad_request("no image yet: send set_image first")
}

/// Checks that `what` has the shape of the image.
pub(super) fn check_shape(what: &str, found: [usize; 3], image: &Image) -> Result<(), Refusal> {
    let expected = image.grid().shape_kji();
    if found == expected {
        return Ok(());
    }
    Err(Refusal::bad_request(format!("{what} has the shape {found:?}, the image {expected:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(token: &str) -> HeaderMap {
        [(TOKEN.parse::<axum::http::HeaderName>().unwrap(), token.parse().unwrap())].into_iter().collect()
    }

    fn leases(idle: Duration, liveness: Duration) -> Leases {
        Leases::new(&Limits { leases: 1, lease_idle: idle, lease_liveness: liveness, ..Limits::default() })
    }

    #[test]
    fn each_clock_ends_a_lease_unless_a_request_runs() {
        let (never, soon) = (Duration::from_secs(1000), Duration::from_millis(1));
        for (idle, liveness) in [(soon, never), (never, soon)] {
            let leases = leases(idle, liveness);
            let token = headers(&leases.claim().unwrap());
            // Kept while a request runs, however long.
            let running = leases.find(&token, Sign::Use);
            std::thread::sleep(Duration::from_millis(5));
            assert!(leases.claim().is_none(), "{running:?}");
            drop(running);
            std::thread::sleep(Duration::from_millis(5));
            let refused = leases.find(&token, Sign::Use).unwrap_err();
            assert_eq!((refused.status.as_u16(), refused.detail.as_str()), (410, "lease expired or unknown"));
            assert!(leases.claim().is_some());
        }
    }

    #[test]
    fn without_a_liveness_clock_only_idling_counts() {
        let leases = leases(Duration::from_secs(1000), Duration::ZERO);
        let token = headers(&leases.claim().unwrap());
        let found = leases.find(&token, Sign::None).unwrap();
        assert!(found.remaining(leases.idle) > Duration::from_secs(990));
        leases.release(&token);
        assert!(leases.find(&token, Sign::None).is_err());
        assert_eq!(leases.find(&HeaderMap::new(), Sign::None).unwrap_err().detail, "lease token missing");
    }
}
