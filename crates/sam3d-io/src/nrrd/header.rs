use std::path::PathBuf;

use super::fields::Fields;
use crate::{Grid, IoError, ValueType, data_file::beside, source::Packing};

/// What reading the voxels needs; checked.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) grid: Grid,
    pub(super) value_type: ValueType,
    pub(super) big_endian: bool,
    pub(super) packing: Packing,
    pub(super) data: VoxelData,
}

/// Where the voxels are.
#[derive(Debug)]
pub(super) struct VoxelData {
    pub(super) path: PathBuf,
    /// Where the header ends, 0 in a file of its own.
    pub(super) offset: u64,
    /// Lines to pass over, of the file as it is.
    pub(super) lines: u64,
    /// Bytes to pass over, unpacked; `None` if the voxels are the last bytes of the file.
    pub(super) bytes: Option<u64>,
}

impl Header {
    /// The header of voxels on `grid`.
    pub(super) fn new(fields: &Fields, grid: Grid) -> Result<Self, IoError> {
        let value_type = value_type(fields)?;
        Ok(Self {
            grid,
            value_type,
            big_endian: is_big_endian(fields, value_type)?,
            packing: packing(fields)?,
            data: VoxelData::new(fields)?,
        })
    }
}

impl VoxelData {
    fn new(fields: &Fields) -> Result<Self, IoError> {
        let (path, offset) = match fields.get("data file") {
            None => (fields.path.clone(), fields.header_bytes),
            Some(name) => (data_file(fields, name)?, 0),
        };
        let skip = |name: &str| -> Result<i64, IoError> {
            let text = fields.get(name).unwrap_or("0");
            text.parse().map_err(|_| fields.unexpected(name, "a whole number", text))
        };
        let (lines, bytes) = (skip("line skip")?, skip("byte skip")?);
        let unexpected = |name, found: i64| fields.unexpected(name, "0 or more", &found.to_string());
        let lines = u64::try_from(lines).map_err(|_| unexpected("line skip", lines))?;
        let bytes = match bytes {
            -1 if packing(fields)? == Packing::Plain => None,
            bytes => Some(u64::try_from(bytes).map_err(|_| unexpected("byte skip", bytes))?),
        };
        Ok(Self { path, offset, lines, bytes })
    }
}

/// The one data file named in a header.
fn data_file(fields: &Fields, name: &str) -> Result<PathBuf, IoError> {
    let words: Vec<&str> = name.split_whitespace().collect();
    let is_pattern = name.contains('%') && words.len() >= 4;
    if words.first() == Some(&"LIST") || is_pattern {
        return Err(fields.invalid("voxels in several data files are not read; save them in one file".into()));
    }
    beside(&fields.path, name)
}

fn value_type(fields: &Fields) -> Result<ValueType, IoError> {
    let name = fields.required("type")?;
    Ok(match name.to_ascii_lowercase().as_str() {
        "signed char" | "int8" | "int8_t" => ValueType::Int8,
        "uchar" | "unsigned char" | "uint8" | "uint8_t" => ValueType::Uint8,
        "short" | "short int" | "signed short" | "signed short int" | "int16" | "int16_t" => ValueType::Int16,
        "ushort" | "unsigned short" | "unsigned short int" | "uint16" | "uint16_t" => ValueType::Uint16,
        "int" | "signed int" | "int32" | "int32_t" => ValueType::Int32,
        "uint" | "unsigned int" | "uint32" | "uint32_t" => ValueType::Uint32,
        "longlong"
        | "long long"
        | "long long int"
        | "signed long long"
        | "signed long long int"
        | "int64"
        | "int64_t" => ValueType::Int64,
        "ulonglong" | "unsigned long long" | "unsigned long long int" | "uint64" | "uint64_t" => {
            ValueType::Uint64
        }
        "float" => ValueType::Float32,
        "double" => ValueType::Float64,
        _ => {
            let found = format!("the type {name:?}");
            return Err(IoError::TypeUnsupported { path: fields.path.clone(), found });
        }
    })
}

fn is_big_endian(fields: &Fields, value_type: ValueType) -> Result<bool, IoError> {
    if value_type.bytes() == 1 {
        return Ok(false);
    }
    let text = fields.required("endian")?;
    match text.to_ascii_lowercase().as_str() {
        "little" => Ok(false),
        "big" => Ok(true),
        _ => Err(fields.unexpected("endian", "little or big", text)),
    }
}

fn packing(fields: &Fields) -> Result<Packing, IoError> {
    let name = fields.required("encoding")?;
    match name.to_ascii_lowercase().as_str() {
        "raw" => Ok(Packing::Plain),
        "gzip" | "gz" => Ok(Packing::Gzip),
        _ => Err(fields.unexpected("encoding", "raw or gzip", name)),
    }
}
