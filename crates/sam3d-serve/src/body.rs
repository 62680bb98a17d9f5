//! Request bodies that are not kept in memory: streamed to a file, up to a limit.

use std::collections::HashMap;

use axum::{
    body::Body,
    extract::multipart::{Field, Multipart, MultipartError, MultipartRejection},
    http::StatusCode,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncWriteExt;

use crate::{
    refusal::{Refusal, sentence},
    state::Core,
    uploads::Received,
};

/// Longest text field of a form: a thousand times what clients send.
const TEXT_BYTES: usize = 1 << 20;
/// Most parts of a form.
const PARTS: usize = 16;

/// A multipart form: texts in memory, files on disk.
#[derive(Debug, Default)]
pub(crate) struct Form {
    pub(crate) texts: HashMap<String, String>,
    pub(crate) files: Vec<(String, Received)>,
}

impl Form {
    /// Takes the file of the field `name`.
    pub(crate) fn take_file(&mut self, name: &str) -> Option<Received> {
        let at = self.files.iter().position(|(field, _)| field == name)?;
        Some(self.files.swap_remove(at).1)
    }

    /// The text of the field `name`, empty if there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }
}

/// A form, or why the request has none.
pub(crate) fn multipart(form: Result<Multipart, MultipartRejection>) -> Result<Multipart, Refusal> {
    form.map_err(|error| Refusal::new(error.status(), error.body_text()))
}

/// Reads a whole form. A part with a file name is a file. What was written of a form that breaks off is removed.
pub(crate) async fn read_form(server: &Core, mut multipart: Multipart) -> Result<Form, Refusal> {
    let mut form = Form::default();
    let mut left = server.config.limits.upload_bytes;
    for _ in 0..PARTS {
        let Some(field) = multipart.next_field().await.map_err(|error| malformed(&error))? else {
            return Ok(form);
        };
        let name = field.name().unwrap_or_default().to_owned();
        match field.file_name().map(str::to_owned) {
            Some(file_name) => {
                let chunks = field.map(|chunk| chunk.map_err(|error| malformed(&error)));
                let received = receive(server, chunks, &file_name, left).await?;
                left -= received.bytes;
                form.files.push((name, received));
            }
            None => {
                form.texts.insert(name, text(field).await?);
            }
        }
    }
    Err(Refusal::bad_request(format!("the form has more than {PARTS} parts")))
}

/// Writes the whole `body` to a file for what the client calls `name`.
pub(crate) async fn read_file(server: &Core, body: Body, name: &str) -> Result<Received, Refusal> {
    let chunks = body.into_data_stream().map(|chunk| chunk.map_err(|error| broken_off(&error)));
    receive(server, chunks, name, server.config.limits.upload_bytes).await
}

async fn receive(
    server: &Core,
    chunks: impl Stream<Item = Result<Bytes, Refusal>>,
    name: &str,
    most: u64,
) -> Result<Received, Refusal> {
    let failed = |error: std::io::Error| Refusal::internal("keep the upload", &error);
    let (file, path) = server.uploads.new_file(name)?.into_parts();
    let mut file = tokio::fs::File::from_std(file);
    let mut chunks = std::pin::pin!(chunks);
    let mut bytes = 0u64;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        bytes += chunk.len() as u64;
        if bytes > most {
            return Err(Refusal::too_large(format!(
                "the upload is larger than the {} bytes that are taken",
                server.config.limits.upload_bytes
            )));
        }
        file.write_all(&chunk).await.map_err(failed)?;
    }
    // tokio's file writes in the background: without this the last bytes could be missing when it is read.
    file.flush().await.map_err(failed)?;
    Ok(Received { file: path, name: own_name(name), bytes })
}

/// The last part of a path, as a name to show: never used as one.
fn own_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown: String = last.chars().filter(|letter| !letter.is_control()).take(200).collect();
    if shown.is_empty() { "volume".to_owned() } else { shown }
}

async fn text(mut field: Field<'_>) -> Result<String, Refusal> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| malformed(&error))? {
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

fn broken_off(error: &axum::Error) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, format!("the upload broke off: {}", sentence(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_for_showing() {
        assert_eq!(own_name("C:\\a\\ct.nii.gz"), "ct.nii.gz");
        assert_eq!(own_name("../../etc/passwd"), "passwd");
        assert_eq!(
            (own_name(""), own_name("a/"), own_name("a\nb")),
            ("volume".into(), "volume".into(), "ab".into())
        );
    }
}
