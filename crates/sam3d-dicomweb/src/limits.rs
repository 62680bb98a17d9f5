use std::time::Duration;

/// Bounds on what an archive may send, and on how long it may take.
#[derive(Debug, Clone)]
pub struct ArchiveLimits {
    /// Largest answer to a search, bytes.
    pub search_bytes: u64,
    /// Most files of a series.
    pub instances: usize,
    /// Largest file of a series, bytes.
    pub instance_bytes: u64,
    /// All files of a series together, bytes.
    pub series_bytes: u64,
    /// Most studies that are looked into for a series, at archives that search series by study only.
    pub studies: usize,
    /// Time to connect.
    pub connect: Duration,
    /// Time until an answer begins.
    pub answer: Duration,
    /// Longest silence in the middle of an answer.
    pub silence: Duration,
    /// Time for a whole search.
    pub search: Duration,
    /// Time to fetch a whole series.
    pub fetch: Duration,
    /// Time to store objects.
    pub store: Duration,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        Self {
            search_bytes: 64 << 20,
            instances: 20_000,
            instance_bytes: 2 * GIB,
            series_bytes: 8 * GIB,
            studies: 200,
            connect: Duration::from_secs(15),
            answer: Duration::from_secs(60),
            silence: Duration::from_secs(60),
            search: Duration::from_secs(120),
            fetch: Duration::from_secs(3600),
            store: Duration::from_secs(600),
        }
    }
}
