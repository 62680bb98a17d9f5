//! The thread that owns a segmenter and its sessions.
//!
//! A segmenter belongs to one thread (`sam3d_infer::Segmenter`), while Python's threads come and go: they send it work and wait
//! for the result without holding Python's lock.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

use pyo3::{exceptions::PyRuntimeError, prelude::*};
use sam3d_infer::{InferError, Segmenter, Session};

use crate::{
    errors::{exception, fault},
    parallel,
};

/// How often a thread that waits looks whether the user has interrupted it.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

type Job = Box<dyn FnOnce(&mut Owned) + Send>;

/// What the thread owns.
pub(crate) struct Owned {
    /// The segmenter.
    pub(crate) segmenter: Segmenter,
    /// The sessions, by the numbers that Python's objects hold.
    pub(crate) sessions: HashMap<u64, Session>,
}

impl Owned {
    /// The session `number`, which is there as long as a Python object holds the number.
    pub(crate) fn session(&mut self, number: u64) -> Result<&mut Session, InferError> {
        self.sessions.get_mut(&number).ok_or(InferError::Internal("a session that is not there"))
    }
}

/// A handle on the thread, which ends when the last handle does.
pub(crate) struct Worker {
    jobs: mpsc::Sender<Job>,
    next_session: AtomicU64,
    process: u32,
}

impl Worker {
    /// Starts a thread with the segmenter that `open` returns; `open` also says what else is to be known of it.
    pub(crate) fn start<T: Send + 'static>(
        py: Python<'_>,
        open: impl FnOnce() -> Result<(Segmenter, T), InferError> + Send + 'static,
    ) -> PyResult<(Self, T)> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (tell, opened) = mpsc::channel();
        // On a thread of a pool of its own: what the segmenter does in parallel then runs in that pool.
        let pool = Arc::new(parallel::new_pool()?);
        let kept = Arc::clone(&pool);
        pool.spawn(move || {
            // The pool's threads end with this one.
            let _pool = kept;
            let result = match catch_unwind(AssertUnwindSafe(open)) {
                Ok(Ok((segmenter, known))) => Ok((Owned { segmenter, sessions: HashMap::new() }, known)),
                Ok(Err(error)) => Err(exception(error)),
                Err(panic) => Err(fault(&*panic)),
            };
            let mut owned = match result {
                Ok((owned, known)) => {
                    if tell.send(Ok(known)).is_err() {
                        return;
                    }
                    owned
                }
                Err(error) => return drop(tell.send(Err(error))),
            };
            while let Ok(job) = inbox.recv() {
                job(&mut owned);
            }
        });
        let known = wait(py, opened)??;
        Ok((Self { jobs, next_session: AtomicU64::new(0), process: process::id() }, known))
    }

    /// Runs `work` on the thread and waits for it. If the user interrupts the waiting, the work is finished all the same.
    pub(crate) fn call<R: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Owned) -> Result<R, InferError> + Send + 'static,
    ) -> PyResult<R> {
        if self.process != process::id() {
            return Err(PyRuntimeError::new_err(
                "this segmenter belongs to another process: open one in the process that uses it",
            ));
        }
        let (tell, done) = mpsc::channel();
        let job: Job = Box::new(move |owned| {
            let result = match catch_unwind(AssertUnwindSafe(|| work(owned))) {
                Ok(result) => result.map_err(exception),
                Err(panic) => Err(fault(&*panic)),
            };
            // Nobody waits for it after an interrupt.
            let _ = tell.send(result);
        });
        self.jobs.send(job).map_err(|_| ended())?;
        wait(py, done)?
    }

    /// A number for a session.
    pub(crate) fn new_session(&self) -> u64 {
        self.next_session.fetch_add(1, Ordering::Relaxed)
    }

    /// Lets a session go, without waiting.
    pub(crate) fn drop_session(&self, number: u64) {
        if self.process == process::id() {
            let job: Job = Box::new(move |owned| drop(owned.sessions.remove(&number)));
            // If the thread has ended, so have its sessions.
            let _ = self.jobs.send(job);
        }
    }
}

/// Waits for a result without holding Python's lock, and ends early if the user interrupts.
fn wait<R: Send>(py: Python<'_>, done: mpsc::Receiver<R>) -> PyResult<R> {
    // A receiver alone cannot be lent to what runs without the lock.
    let done = Mutex::new(done);
    loop {
        let received = py.detach(|| {
            let done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.recv_timeout(SIGNAL_INTERVAL)
        });
        match received {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => return Err(ended()),
        }
    }
}

fn ended() -> PyErr {
    PyRuntimeError::new_err("internal fault: the segmenter's thread has ended; please report it")
}
