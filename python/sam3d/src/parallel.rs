//! Threads for work on volumes, which a process that was forked can use as well.
//!
//! rayon's global pool has no threads in a child of `fork`, as PyTorch's loader makes them: work handed to it would never
//! end. Each process has a pool of its own here.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::{Mutex, PoisonError},
};

use pyo3::{exceptions::PyRuntimeError, prelude::*};
use rayon::ThreadPool;

use crate::errors::fault;

/// The pool, and the process it belongs to.
static POOL: Mutex<Option<(u32, &'static ThreadPool)>> = Mutex::new(None);

/// This process's pool, which lasts as long as the process.
pub(crate) fn pool() -> PyResult<&'static ThreadPool> {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    match *pool {
        Some((owner, pool)) if owner == process::id() => Ok(pool),
        _ => {
            let new = new_pool()?;
            let new: &'static ThreadPool = Box::leak(Box::new(new));
            *pool = Some((process::id(), new));
            Ok(new)
        }
    }
}

/// A pool with a thread for each core.
pub(crate) fn new_pool() -> PyResult<ThreadPool> {
    let built = rayon::ThreadPoolBuilder::new().thread_name(|number| format!("sam3d-{number}")).build();
    built.map_err(|error| PyRuntimeError::new_err(format!("the system gives no threads: {error}")))
}

/// Runs `work` on this process's pool, without holding Python's lock.
pub(crate) fn compute<R: Send>(py: Python<'_>, work: impl FnOnce() -> R + Send) -> PyResult<R> {
    let pool = pool()?;
    py.detach(|| catch_unwind(AssertUnwindSafe(|| pool.install(work)))).map_err(|panic| fault(&*panic))
}
