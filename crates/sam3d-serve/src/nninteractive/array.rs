//! Bodies with a packed array: received on disk, and unpacked once there is memory for them.

use std::{fs::File, io::Read};

use axum::{body::Body, http::StatusCode};
use futures_util::StreamExt;
use sam3d_nnia::{Array, ArrayError, Head};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    names::Asker,
    received::{Received, receive},
    refusal::{Refusal, sentence},
    room::Purpose,
    state::Core,
};

/// Bytes for each element of an array while it is used: as `f32`, and as it is kept.
const USED_BYTES: u64 = 8;

/// An array, and the memory that it may use.
pub(super) struct Unpacked {
    pub(super) array: Array,
    _memory: OwnedSemaphorePermit,
}

/// The packed array in `body`.
pub(super) async fn read(server: &Core, asker: &Asker, body: Body) -> Result<Unpacked, Refusal> {
    let place = server.uploads.reserve(Purpose::Pass, asker.address())?;
    let broken_off = |error| Refusal::bad_request(format!("the body broke off: {}", sentence(&error)));
    let chunks = body.into_data_stream().map(|chunk| chunk.map_err(broken_off));
    let received = receive(server, chunks, "array", place, server.config.limits.upload_bytes).await?;
    let limit = server.config.limits.voxels;
    let length = received.bytes();
    let head = blocking({
        let path = received.path();
        move || {
            let mut start = Vec::new();
            let read =
                File::open(path).and_then(|file| file.take(Head::LONGEST as u64).read_to_end(&mut start));
            read.map_err(|error| Refusal::internal("read the array", &error))?;
            Head::read(&start).map_err(refused)
        }
    })
    .await?;
    let bytes = head.check(limit).map_err(refused)? as u64;
    if length > head.longest_body(bytes as usize) {
        return Err(Refusal::bad_request("the body is longer than its array"));
    }
    let elements = bytes / head.element().bytes() as u64;
    let memory = server.memory.take(length + bytes + USED_BYTES * elements).await?;
    let array = blocking(move || unpack(received, limit)).await?;
    Ok(Unpacked { array, _memory: memory })
}

fn unpack(received: Received, limit: usize) -> Result<Array, Refusal> {
    let body = std::fs::read(received.path()).map_err(|error| Refusal::internal("read the array", &error))?;
    drop(received);
    sam3d_nnia::unpack(&body, limit).map_err(refused)
}

/// Why an array is not taken.
pub(super) fn refused(error: ArrayError) -> Refusal {
    let status = match error {
        ArrayError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        ArrayError::OutOfMemory { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    Refusal::new(status, error.to_string())
}

/// Does `work` on a thread that may take its time.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Refusal::internal("work on the request", &error))?
}
