//! Multipart forms: texts in memory, files on disk, and neither without bound.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    body::{Body, BodyDataStream},
    extract::{
        FromRequest, Request,
        multipart::{Field, Multipart, MultipartError},
    },
    http::header,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::{
    names::Peer,
    received::{Received, receive},
    refusal::{Refusal, sentence},
    room::Purpose,
    state::Core,
};

/// Longest text field of a form: a thousand times what clients send.
const TEXT_BYTES: usize = 1 << 20;
/// Most parts of a form.
const PARTS: usize = 16;
/// Most bytes that are kept while a part's headers are incomplete.
const HELD_BYTES: usize = 1 << 16;
/// Bytes of the body that the parser of forms is given at a time.
const PIECE_BYTES: usize = 1 << 14;

/// A multipart form: texts in memory, files on disk.
#[derive(Debug, Default)]
pub(crate) struct Form {
    texts: HashMap<String, String>,
    files: Vec<(String, Received)>,
}

impl Form {
    /// Whether `request` has a form.
    pub(crate) fn is_sent(request: &Request) -> bool {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data"))
    }

    /// Reads a whole form, whose files are received for `purpose`. A part with a file name is a file. What was written of a
    /// form that breaks off is removed.
    pub(crate) async fn read(server: &Core, request: Request, purpose: Purpose) -> Result<Self, Refusal> {
        let held = Arc::new(AtomicUsize::new(0));
        let pieces = |body: Body| Body::from_stream(Pieces::new(body, Arc::clone(&held)));
        let client = request.extensions().get::<Peer>().map(|peer| peer.0);
        let multipart = Multipart::from_request(request.map(pieces), &()).await;
        let mut multipart = multipart.map_err(|error| Refusal::new(error.status(), error.body_text()))?;
        let mut form = Self::default();
        let mut left = server.config.limits.upload_bytes;
        let mut parts = 0;
        while let Some(field) = multipart.next_field().await.map_err(|error| malformed(&error))? {
            held.store(0, Ordering::Relaxed);
            parts += 1;
            if parts > PARTS {
                return Err(Refusal::bad_request(format!("the form has more than {PARTS} parts")));
            }
            let name = field.name().unwrap_or_default().to_owned();
            match field.file_name().map(str::to_owned) {
                Some(file_name) => {
                    let place = server.uploads.reserve(purpose, client)?;
                    let chunks = field.map(|chunk| {
                        held.store(0, Ordering::Relaxed);
                        chunk.map_err(|error| malformed(&error))
                    });
                    let received = receive(server, chunks, &file_name, place, left).await?;
                    left -= received.bytes();
                    form.files.push((name, received));
                }
                None => {
                    let text = text(field, &held).await?;
                    form.texts.insert(name, text);
                }
            }
        }
        Ok(form)
    }

    /// Takes the only file of the field `name`.
    pub(crate) fn take_file(&mut self, name: &str) -> Result<Option<Received>, Refusal> {
        let mut found = Vec::new();
        for at in (0..self.files.len()).rev() {
            if self.files[at].0 == name {
                found.push(self.files.swap_remove(at).1);
            }
        }
        if found.len() > 1 {
            let detail = format!("found {} files: send one volume in one file", found.len());
            return Err(Refusal::bad_request(detail));
        }
        Ok(found.pop())
    }

    /// Takes the only file of the field `name`, which must be there.
    pub(crate) fn required_file(&mut self, name: &str) -> Result<Received, Refusal> {
        self.take_file(name)?
            .ok_or_else(|| Refusal::bad_request(format!("the form has no file in its field {name}")))
    }

    /// The text of the field `name`, empty if there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }
}

async fn text(mut field: Field<'_>, held: &AtomicUsize) -> Result<String, Refusal> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| malformed(&error))? {
        held.store(0, Ordering::Relaxed);
        if bytes.len() + chunk.len() > TEXT_BYTES {
            return Err(Refusal::too_large(format!("a text field is longer than {TEXT_BYTES} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| Refusal::bad_request("a text field is not UTF-8"))
}

fn malformed(error: &MultipartError) -> Refusal {
    Refusal::bad_request(format!("the form cannot be read: {}", sentence(error)))
}

/// A body in small pieces, one each time it is asked.
///
/// The parser of forms takes all it can get before it looks at it, and keeps what it cannot interpret yet. So it gets little
/// at a time, and an error once it keeps too much.
struct Pieces {
    body: BodyDataStream,
    rest: Bytes,
    /// Bytes given since the parser last made something of them.
    held: Arc<AtomicUsize>,
    /// Whether the last answer was a piece: the next one is a pause, in which the parser looks at it.
    paused: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("the headers of a part are longer than {HELD_BYTES} bytes")]
struct HeadersTooLong;

impl Pieces {
    fn new(body: Body, held: Arc<AtomicUsize>) -> Self {
        Self { body: body.into_data_stream(), rest: Bytes::new(), held, paused: true }
    }
}

impl Stream for Pieces {
    type Item = Result<Bytes, axum::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !std::mem::replace(&mut self.paused, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.rest.is_empty() {
            match std::task::ready!(self.body.poll_next_unpin(context)) {
                Some(Ok(chunk)) => self.rest = chunk,
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            }
        }
        let length = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(length);
        if self.held.fetch_add(piece.len(), Ordering::Relaxed) + piece.len() > HELD_BYTES {
            return Poll::Ready(Some(Err(HeadersTooLong.into())));
        }
        self.paused = false;
        Poll::Ready(Some(Ok(piece)))
    }
}
