//! How libtorch's threads wait for each other.
//!
//! Between two parallel loops libgomp's threads spin for milliseconds. On cores that other processes want, too, that takes the
//! time away from the very threads that are waited for: beside one busy process on two cores a click then takes several times
//! as long. libgomp spins a few microseconds only once it has more threads than cores, so one idle team of threads is started
//! beside those that compute.

use std::{env, fs, sync::mpsc, thread};

use anyhow::Context;
use tch::{Device, Kind, Tensor};

/// Variables by which users decide this themselves.
const VARIABLES: [&str; 2] = ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"];
/// Values that libtorch adds to in parallel.
const VALUES: i64 = 1 << 17;

/// Lets waiting threads sleep, unless `OMP_WAIT_POLICY` or `GOMP_SPINCOUNT` is set. Sets libtorch's number of threads for a
/// moment: to be called before that is chosen.
///
/// # Errors
/// If a thread cannot be started.
pub fn sleep_while_waiting() -> anyhow::Result<()> {
    if VARIABLES.iter().any(|name| env::var_os(name).is_some()) {
        return Ok(());
    }
    let Some(cores) = allowed_cores() else { return Ok(()) };
    let before = tch::get_num_threads();
    let (started, is_started) = mpsc::channel::<()>();
    thread::Builder::new()
        .name("idle team".to_owned())
        .spawn(move || {
            // With one more than there are cores libgomp has too many for them, however few compute.
            tch::set_num_threads(cores.saturating_add(1));
            drop(Tensor::zeros([VALUES], (Kind::Float, Device::Cpu)) + 1.0);
            drop(started);
            loop {
                // The team lives as long as its first thread.
                thread::park();
            }
        })
        .context("cannot start a thread")?;
    // An error says that the other end was dropped: the team is there.
    let _started = is_started.recv();
    tch::set_num_threads(before);
    Ok(())
}

/// The cores this process may run on, as libgomp counts them; `None` where the system does not say.
fn allowed_cores() -> Option<i32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    count(list.trim())
}

/// The number of cores in a list such as `0-3,8`.
fn count(list: &str) -> Option<i32> {
    let mut cores = 0i32;
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (i32, i32) = (first.parse().ok()?, last.parse().ok()?);
        cores = cores.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_of_a_list() {
        assert_eq!((count("0"), count("0-3"), count("0-3,8,10-11")), (Some(1), Some(4), Some(7)));
        assert_eq!((count(""), count("a-b"), count("0-2147483647")), (None, None, None));
    }

    /// The threads of this process whose name is that of the idle team.
    #[cfg(target_os = "linux")]
    fn idle() -> usize {
        let tasks = fs::read_dir("/proc/self/task").unwrap();
        let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
        names.filter(|name| name.trim() == "idle team").count()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn there_are_more_threads_than_cores_and_as_many_compute_as_before() {
        let threads = tch::get_num_threads();
        let cores = allowed_cores().unwrap();
        sleep_while_waiting().unwrap();
        assert_eq!(tch::get_num_threads(), threads);
        // libgomp's threads, and others of libtorch's, take the name of the one that started them.
        if VARIABLES.iter().any(|name| env::var_os(name).is_some()) {
            assert_eq!(idle(), 0);
        } else {
            assert!(idle() > cores as usize, "{} threads for {cores} cores", idle());
        }
    }
}
