//! Writes small pickles and archives, instruction by instruction, so that each test says what is in its file.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;

use flate2::{Compression, write::DeflateEncoder};
use rawzip::{CompressionMethod, ZipArchiveWriter};

/// A pickle of protocol 2 under construction. Methods push a value or apply an instruction.
pub(crate) struct Pickle {
    bytes: Vec<u8>,
}

impl Pickle {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0x80, 2] }
    }

    /// Raw instructions.
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()).raw(text.as_bytes())
    }

    pub(crate) fn int(self, value: i32) -> Self {
        self.raw(b"J").raw(&value.to_le_bytes())
    }

    pub(crate) fn global(self, module: &str, name: &str) -> Self {
        self.raw(b"c").raw(module.as_bytes()).raw(b"\n").raw(name.as_bytes()).raw(b"\n")
    }

    /// A tuple of integers.
    pub(crate) fn ints(self, values: &[i32]) -> Self {
        values.iter().fold(self.raw(b"("), |pickle, value| pickle.int(*value)).raw(b"t")
    }

    /// A storage of the class `class` with the key `key`.
    pub(crate) fn storage(self, class: &str, key: &str, elements: i32) -> Self {
        self.raw(b"(").text("storage").global("torch", class).text(key).text("cpu").int(elements).raw(b"tQ")
    }

    /// A view of a `FloatStorage`.
    pub(crate) fn tensor(
        self,
        key: &str,
        elements: i32,
        offset: i32,
        shape: &[i32],
        strides: &[i32],
    ) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"(")
            .storage("FloatStorage", key, elements)
            .int(offset)
            .ints(shape)
            .ints(strides)
            .raw(b"\x89")
            .global("collections", "OrderedDict")
            .raw(b")RtR")
    }

    /// The finished pickle.
    pub(crate) fn stop(mut self) -> Vec<u8> {
        self.bytes.push(b'.');
        self.bytes
    }
}

/// An archive of `(name, content)`, deflated or stored.
pub(crate) fn archive(entries: &[(&str, &[u8])], deflated: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut zip = ZipArchiveWriter::new(&mut bytes);
    for (name, content) in entries {
        let method = if deflated { CompressionMethod::DEFLATE } else { CompressionMethod::STORE };
        let (mut entry, config) = zip.new_file(*name).compression_method(method).start().unwrap();
        let descriptor = if deflated {
            let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::best()));
            writer.write_all(content).unwrap();
            let (encoder, descriptor) = writer.finish().unwrap();
            encoder.finish().unwrap();
            descriptor
        } else {
            let mut writer = config.wrap(&mut entry);
            writer.write_all(content).unwrap();
            writer.finish().unwrap().1
        };
        entry.finish(descriptor).unwrap();
    }
    zip.finish().unwrap();
    bytes
}

/// Little-endian floats.
pub(crate) fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
