//! Memory use of this process, as the operating system reports it.

use std::fs;

/// Peak resident memory of this process in MiB; `None` where the system does not report it (only Linux does).
///
/// The peak never falls, so each thing to measure needs a process of its own.
pub fn peak_memory_mib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024)
}
