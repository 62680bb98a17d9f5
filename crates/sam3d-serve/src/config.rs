use std::{net::IpAddr, path::PathBuf, time::Duration};

/// What is served, where, and to whom.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port; 0 takes a free one.
    pub port: u16,
    /// What every request must carry as bearer; required beyond loopback.
    pub token: Option<String>,
    /// Pages of other origins that may use the server, as `scheme://host:port`; for OHIF on a server of its own.
    pub allowed_origins: Vec<String>,
    /// Directory whose volumes are offered.
    pub studies: Option<PathBuf>,
    /// Directory for the labels that viewers save; `None` refuses them.
    pub labels: Option<PathBuf>,
    /// What the network finds, as viewers shall call it.
    pub target: String,
    /// Bounds on what clients can ask for.
    pub limits: Limits,
}

/// Bounds on what clients can ask for.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest upload in bytes.
    pub upload_bytes: u64,
    /// Bytes of all uploads together.
    pub uploads_bytes: u64,
    /// Number of uploads kept at a time.
    pub uploads: usize,
    /// How long an upload that nobody uses is kept.
    pub idle: Duration,
    /// Largest volume in voxels.
    pub voxels: usize,
    /// Requests that wait for the network.
    pub queue: usize,
    /// Clicks of one request.
    pub clicks: usize,
    /// Open connections.
    pub connections: usize,
    /// Memory for prepared images, bytes; one image is kept however large it is.
    pub image_cache_bytes: usize,
    /// How long running requests may go on after the signal to stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        Self {
            upload_bytes: 2 * GIB,
            uploads_bytes: 16 * GIB,
            uploads: 64,
            idle: Duration::from_secs(3600),
            voxels: 1 << 28,
            queue: 16,
            clicks: 100,
            connections: 128,
            image_cache_bytes: 2 * GIB as usize,
            grace: Duration::from_secs(10),
        }
    }
}
