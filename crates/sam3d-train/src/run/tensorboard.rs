//! TensorBoard's event files: scalars only.
//!
//! A file is a sequence of records: length (8 bytes, little endian), its checksum, the data, its checksum. The data are
//! protocol buffers of the type `Event` (tensorflow/core/util/event.proto): 1 wall time (double), 2 step (int64), 3 file
//! version (string), 5 summary, 7 session log. A summary's field 1 are values with 1 tag (string) and 2 simple value
//! (float). Checksums are CRC-32C, rotated and shifted as TensorFlow does.

use std::{
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::TrainError;

/// Status of a session log that makes TensorBoard forget the steps from the event's step on.
const SESSION_START: u64 = 1;

/// An event file being written.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: BufWriter<fs::File>,
}

impl EventFile {
    /// A new file in `directory`. TensorBoard reads all files of a directory in the order of their names; values of
    /// steps from `first_step` on in earlier files are void.
    ///
    /// # Errors
    /// [`TrainError::File`] if it cannot be written.
    pub fn create(directory: &Path, first_step: u64) -> Result<Self, TrainError> {
        let since_epoch = seconds_since_1970();
        let mut number = 0;
        let (path, file) = loop {
            let name =
                format!("events.out.tfevents.{:010}.sam3d.{}.{number}", since_epoch as u64, process::id());
            let path = directory.join(name);
            match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                file => break (path, file),
            }
        };
        let file =
            file.map_err(|source| TrainError::File { action: "create", path: path.clone(), source })?;
        let mut events = Self { path, file: BufWriter::new(file) };
        let mut version = Message::event(since_epoch, 0);
        version.bytes(3, b"brain.Event:2");
        events.record(&version)?;
        if first_step > 0 {
            let mut session = Message::default();
            session.number(1, SESSION_START);
            let mut event = Message::event(since_epoch, first_step);
            event.bytes(7, &session.0);
            events.record(&event)?;
        }
        Ok(events)
    }

    /// Adds the value of a scalar at a step.
    ///
    /// # Errors
    /// [`TrainError::File`] if it cannot be written.
    pub fn scalar(&mut self, tag: &str, value: f64, step: u64) -> Result<(), TrainError> {
        let mut entry = Message::default();
        entry.bytes(1, tag.as_bytes());
        entry.float(2, value as f32);
        let mut summary = Message::default();
        summary.bytes(1, &entry.0);
        let mut event = Message::event(seconds_since_1970(), step);
        event.bytes(5, &summary.0);
        self.record(&event)
    }

    /// Hands everything to the operating system.
    ///
    /// # Errors
    /// [`TrainError::File`] if it cannot be written.
    pub fn flush(&mut self) -> Result<(), TrainError> {
        self.file.flush().map_err(|source| self.failed(source))
    }

    fn record(&mut self, message: &Message) -> Result<(), TrainError> {
        let data = &message.0;
        let length = (data.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(data.len() + 16);
        record.extend_from_slice(&length);
        record.extend_from_slice(&masked_checksum(&length).to_le_bytes());
        record.extend_from_slice(data);
        record.extend_from_slice(&masked_checksum(data).to_le_bytes());
        self.file.write_all(&record).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: std::io::Error) -> TrainError {
        TrainError::File { action: "append to", path: self.path.clone(), source }
    }
}

fn seconds_since_1970() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |duration| duration.as_secs_f64())
}

/// A protocol buffer.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn event(wall_time: f64, step: u64) -> Self {
        let mut event = Self::default();
        event.key(1, 1);
        event.0.extend_from_slice(&wall_time.to_le_bytes());
        event.number(2, step);
        event
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.varint(value);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// CRC-32C (Castagnoli) of `data`, masked as in TensorFlow's records.
fn masked_checksum(data: &[u8]) -> u32 {
    let crc = checksum(data);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

fn checksum(data: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = crc & 1;
            crc = (crc >> 1) ^ (0x82f6_3b78 * carry);
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_of_the_standard() {
        // RFC 3720, B.4.
        assert_eq!(checksum(b"123456789"), 0xe306_9283);
        assert_eq!(checksum(&[0; 32]), 0x8a91_36aa);
        assert_eq!(checksum(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn numbers_of_any_size() {
        let mut message = Message::default();
        message.number(2, 300);
        assert_eq!(message.0, [0x10, 0xac, 0x02]);
    }

    #[test]
    fn two_files_of_one_second_do_not_meet() {
        let place = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            EventFile::create(place.path(), 0).unwrap();
        }
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 3);
    }
}
