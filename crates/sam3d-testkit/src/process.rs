//! What the operating system says of this process.

use std::fs;

/// The largest memory this process has had so far, in MiB: its resident set, where the system says it (Linux).
///
/// It only grows, so two things are compared in two processes.
pub fn peak_memory_mib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024)
}
