//! Answers that take long. A client gives up if it reads nothing for a minute, so it is sent what is known of the answer, a byte
//! at a time: the box is then the whole volume, because what will change is not known yet.

use std::{io, pin::Pin, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::time::timeout;

use super::{answer::Changed, array::blocking};
use crate::refusal::Refusal;

type Computing = Pin<Box<dyn Future<Output = Result<Changed, Refusal>> + Send>>;

struct Slow {
    computing: Computing,
    /// The first bytes of the answer, which do not depend on it.
    start: Bytes,
    sent: usize,
    every: Duration,
    is_over: bool,
}

/// The packed mask of the whole volume, of which `start` is known: a byte of it after each `every` until the rest is there.
pub(super) fn body(computing: Computing, start: Vec<u8>, every: Duration) -> Body {
    let slow = Slow { computing, start: start.into(), sent: 0, every, is_over: false };
    Body::from_stream(stream::unfold(slow, Slow::step))
}

impl Slow {
    async fn step(mut self) -> Option<(io::Result<Bytes>, Self)> {
        if self.is_over {
            return None;
        }
        let changed = if self.sent < self.start.len() {
            match timeout(self.every, &mut self.computing).await {
                Ok(changed) => changed,
                Err(_) => {
                    let byte = self.start.slice(self.sent..self.sent + 1);
                    self.sent += 1;
                    return Some((Ok(byte), self));
                }
            }
        } else {
            (&mut self.computing).await
        };
        self.is_over = true;
        let sent = self.sent;
        let packed = match changed {
            Ok(changed) => {
                let whole = changed.shape_kji.map(|size| [0, size]);
                blocking(move || Ok(Bytes::from(changed.packed(whole)).slice(sent..))).await
            }
            Err(refusal) => Err(refusal),
        };
        // The status was sent long ago: what can be told is that the answer breaks off.
        let rest = packed.map_err(|Refusal { detail, .. }| {
            tracing::warn!("an answer broke off: {detail}");
            io::Error::other(detail)
        });
        Some((rest, self))
    }
}
