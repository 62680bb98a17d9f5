//! Samples drawn ahead of their use by worker threads, in the order of the requests.
//!
//! A [`Loader`] runs tasks on threads of its own and gives out their results in the order of the tasks, so that neither
//! the number of workers nor their speed affects the result. It holds no tensors and is independent of training:
//! [`crate::crops`] makes tasks of cases and draws.

use std::{
    any::Any,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

/// The number of threads, and how far ahead they draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoaderConfig {
    /// Worker threads; 0 runs each task when its result is requested, on the requesting thread.
    pub workers: usize,
    /// The most results that are ready or in progress ahead of the next one; at least 1.
    pub ahead: usize,
}

impl LoaderConfig {
    /// `workers` threads that keep two results each ahead.
    pub fn with_workers(workers: usize) -> Self {
        Self { workers, ahead: 2 * workers.max(1) }
    }
}

impl Default for LoaderConfig {
    /// Half of the cores, at least one and at most eight: the other half is for the network.
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self::with_workers((cores / 2).clamp(1, 8))
    }
}

/// Something to be done by a worker.
type Task<T> = Box<dyn FnOnce() -> T + Send>;

/// The results of tasks, in the order of the tasks.
///
/// Dropping it stops the workers: each finishes its task, and the rest are not started. A task that panics panics
/// again in [`next`](Iterator::next), in its turn.
pub struct Loader<T> {
    shared: Arc<Shared<T>>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Signalled when a result is ready or no more will come.
    ready: Condvar,
    /// Signalled when there is room for one more result, or the loader is dropped.
    room: Condvar,
    ahead: u64,
}

struct State<T> {
    tasks: Box<dyn Iterator<Item = Task<T>> + Send>,
    /// Tasks taken so far: the number of the next one.
    taken: u64,
    /// Results given out so far: the number of the next one.
    given: u64,
    results: BTreeMap<u64, thread::Result<T>>,
    /// No task is left, or the loader was dropped.
    closed: bool,
}

impl<T: Send + 'static> Loader<T> {
    /// Starts `config.workers` threads that run `draw` on each of `jobs`, which are taken one at a time, in order.
    pub fn new<J>(
        jobs: impl IntoIterator<Item = J, IntoIter: Send + 'static>,
        draw: impl Fn(J) -> T + Send + Sync + 'static,
        config: LoaderConfig,
    ) -> Self
    where
        J: Send + 'static,
    {
        let draw = Arc::new(draw);
        let tasks = jobs.into_iter().map(move |job| {
            let draw = Arc::clone(&draw);
            Box::new(move || draw(job)) as Task<T>
        });
        let state =
            State { tasks: Box::new(tasks), taken: 0, given: 0, results: BTreeMap::new(), closed: false };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            ready: Condvar::new(),
            room: Condvar::new(),
            ahead: config.ahead.max(1) as u64,
        });
        let worker = |number: usize| {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new().name(format!("loader-{number}"));
            // A system that gives no more threads leaves fewer workers, or none: then the caller's thread draws.
            thread.spawn(move || shared.work()).ok()
        };
        let workers = (0..config.workers).map_while(worker).collect();
        Self { shared, workers }
    }
}

impl<T> Iterator for Loader<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let mut state = self.shared.lock();
        if self.workers.is_empty() {
            let task = state.next_task()?;
            drop(state);
            return Some(task());
        }
        let result = loop {
            let number = state.given;
            if let Some(result) = state.results.remove(&number) {
                break result;
            }
            if state.closed && state.given == state.taken {
                return None;
            }
            state = self.shared.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        state.given += 1;
        drop(state);
        self.shared.room.notify_one();
        match result {
            Ok(value) => Some(value),
            Err(panic) => resume_unwind(panic),
        }
    }
}

impl<T> Drop for Loader<T> {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.room.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches the panics of its tasks; should it end by one of its own, nothing is left to be done.
            let _: Result<(), Box<dyn Any + Send>> = worker.join();
        }
    }
}

impl<T> std::fmt::Debug for Loader<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("workers", &self.workers.len()).finish_non_exhaustive()
    }
}

impl<T> Shared<T> {
    /// The state. A poisoned lock is harmless: it is never held while a task runs.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs tasks until none are left or the loader is dropped.
    fn work(&self) {
        while let Some((number, task)) = self.take() {
            let result = catch_unwind(AssertUnwindSafe(task));
            self.lock().results.insert(number, result);
            self.ready.notify_one();
        }
        self.ready.notify_one();
    }

    /// The next task, once there is room for its result.
    fn take(&self) -> Option<(u64, Task<T>)> {
        let mut state = self.lock();
        while !state.closed && state.taken - state.given >= self.ahead {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let number = state.taken;
        match state.next_task() {
            Some(task) => Some((number, task)),
            None => {
                drop(state);
                // The other workers wait for room, and are to see that there is nothing to wait for.
                self.room.notify_all();
                None
            }
        }
    }
}

impl<T> State<T> {
    fn next_task(&mut self) -> Option<Task<T>> {
        if self.closed {
            return None;
        }
        let task = self.tasks.next();
        match task {
            Some(_) => self.taken += 1,
            None => self.closed = true,
        }
        task
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    };

    use super::*;

    fn config(workers: usize, ahead: usize) -> LoaderConfig {
        LoaderConfig { workers, ahead }
    }

    #[test]
    fn results_come_in_the_order_of_the_jobs_for_any_number_of_workers() {
        for workers in [0, 1, 2, 3, 7] {
            for ahead in [0, 1, 2, 9] {
                let uneven =
                    |job: u64| (0..(job % 5) * 1000).fold(job, |sum, step| sum ^ (step & 1) ^ (step & 1));
                let loader = Loader::new(0..100u64, uneven, config(workers, ahead));
                assert_eq!(loader.collect::<Vec<_>>(), (0..100).collect::<Vec<_>>(), "{workers} {ahead}");
            }
        }
    }

    /// The second job ends before the first may: were results given out as they come, it would be the first.
    #[test]
    fn a_fast_job_waits_for_its_turn() {
        let (finished, first_may_end) = mpsc::channel();
        let first_may_end = Mutex::new(first_may_end);
        let draw = move |job| {
            if job == 0 {
                first_may_end.lock().unwrap().recv().unwrap();
            } else {
                finished.send(()).unwrap();
            }
            job
        };
        assert_eq!(Loader::new([0, 1], draw, config(2, 2)).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn no_more_is_drawn_than_the_queue_holds() {
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&begun);
        let draw = move |job: usize| {
            counted.fetch_add(1, Ordering::SeqCst);
            job
        };
        let mut loader = Loader::new(0..1000, draw, config(4, 3));
        for given in 1..=20 {
            assert_eq!(loader.next(), Some(given - 1));
            assert!(begun.load(Ordering::SeqCst) <= given + 3);
        }
        drop(loader);
        assert!(begun.load(Ordering::SeqCst) <= 23);
    }

    /// Workers that wait for room, and one in the middle of a task, all end when the loader is dropped.
    #[test]
    fn dropping_ends_every_worker() {
        let alive = Arc::new(());
        let token = Arc::clone(&alive);
        let in_a_task = Arc::new(Barrier::new(2));
        let reached = Arc::clone(&in_a_task);
        let draw = move |job: usize| {
            let _token = &token;
            if job == 0 {
                reached.wait();
            }
            vec![0u8; 1000]
        };
        let loader = Loader::new(0.., draw, config(3, 2));
        in_a_task.wait();
        drop(loader);
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    #[test]
    fn a_panic_comes_in_its_turn_and_the_rest_goes_on() {
        for workers in [0, 2] {
            let draw = |job: usize| if job == 1 { panic!("job {job}") } else { job };
            let mut loader = Loader::new(0..4, draw, config(workers, 2));
            assert_eq!(loader.next(), Some(0));
            let panic = catch_unwind(AssertUnwindSafe(|| loader.next())).unwrap_err();
            assert_eq!(panic.downcast_ref::<String>().unwrap(), "job 1");
            assert_eq!(loader.collect::<Vec<_>>(), [2, 3]);
        }
    }

    #[test]
    fn nothing_to_do_ends_at_once() {
        let mut loader = Loader::new(Vec::<u8>::new(), |job| job, config(2, 2));
        assert_eq!((loader.next(), loader.next()), (None, None));
    }
}
