//! A file of a client, from its first byte on the disk.

use std::{fs::File, io, io::Write, path::PathBuf};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use crate::{
    private::{self, PrivateDirectory},
    refusal::Refusal,
    room::Place,
    state::Core,
    studies,
};

/// Bytes that are gathered before they are written: one trip to a thread that may wait for the disk.
const GATHERED: usize = 1 << 20;

/// A file that was received, alone in a directory of its own; it is removed when dropped.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) directory: PrivateDirectory,
    /// The file, under a name of the server's.
    pub(crate) file: String,
    /// What the client calls it.
    pub(crate) name: String,
    /// SHA-256 of its content, in hexadecimal.
    pub(crate) sha256: String,
    pub(crate) place: Place,
}

impl Received {
    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join(&self.file)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.place.bytes()
    }
}

/// The file with the content `chunks`, which the client calls `name`; refused beyond `most` bytes.
pub(crate) async fn receive(
    server: &Core,
    chunks: impl Stream<Item = Result<Bytes, Refusal>>,
    name: &str,
    mut place: Place,
    most: u64,
) -> Result<Received, Refusal> {
    let file = format!("volume{}", studies::ending(name));
    let own_file = file.clone();
    let root = server.uploads.directory().to_owned();
    let (directory, mut written) = on_disk(move || {
        let directory = PrivateDirectory::new(&root, "upload-")?;
        let written =
            Written { file: private::new_file(&directory.path().join(own_file))?, hash: Sha256::new() };
        Ok((directory, written))
    })
    .await?;
    let mut chunks = std::pin::pin!(chunks);
    let mut gathered = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        if place.bytes() + chunk.len() as u64 > most {
            return Err(Refusal::too_large(format!(
                "the upload is larger than the {} bytes that are taken",
                server.config.limits.upload_bytes
            )));
        }
        place.take(chunk.len() as u64)?;
        gathered.extend_from_slice(&chunk);
        if gathered.len() >= GATHERED {
            (written, gathered) = written.append(gathered).await?;
        }
    }
    (written, _) = written.append(gathered).await?;
    let sha256 = written.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Received { directory, file, name: own_name(name), sha256, place })
}

/// What of a file has been written.
struct Written {
    file: File,
    hash: Sha256,
}

impl Written {
    /// Adds `bytes`, and hands the buffer back.
    async fn append(mut self, mut bytes: Vec<u8>) -> Result<(Self, Vec<u8>), Refusal> {
        on_disk(move || {
            self.hash.update(&bytes);
            self.file.write_all(&bytes)?;
            bytes.clear();
            Ok((self, bytes))
        })
        .await
    }
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    let done = spawn_blocking(work).await.map_err(|error| Refusal::internal("keep the upload", &error))?;
    done.map_err(|error| Refusal::internal("keep the upload", &error))
}

/// The last part of a path, as a name to show: never used as a path.
fn own_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown: String = last.chars().filter(|letter| !letter.is_control()).take(200).collect();
    if shown.is_empty() { "volume".to_owned() } else { shown }
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
