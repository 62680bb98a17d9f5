use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::{
    AffineSource, Format, Grid, IoError, Rescale, ValueType,
    data_file::beside,
    source::{Packing, open_file, read_failed},
};

/// A header is a few hundred bytes of text.
const MOST_HEADER_BYTES: u64 = 1 << 16;

/// What reading the voxels needs; checked.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) grid: Grid,
    pub(super) value_type: ValueType,
    pub(super) big_endian: bool,
    pub(super) rescale: Option<Rescale>,
    pub(super) packing: Packing,
    pub(super) data_path: PathBuf,
    /// Where the voxels begin in their file; `None` if they are its last bytes.
    pub(super) data_offset: Option<u64>,
}

impl Header {
    pub(super) fn read(path: &Path) -> Result<Self, IoError> {
        let fields = Fields::read(path)?;
        if fields.is("BinaryData")? == Some(false) {
            return Err(fields.invalid("expected BinaryData = True; text is not read".into()));
        }
        let msb = ["ElementByteOrderMSB", "BinaryDataByteOrderMSB"];
        let big_endian = match msb.map(|name| fields.is(name)) {
            [Ok(first), Ok(second)] => first.or(second).unwrap_or(false),
            [Err(error), _] | [_, Err(error)] => return Err(error),
        };
        let packing = if fields.is("CompressedData")? == Some(true) { Packing::Zlib } else { Packing::Plain };
        let (data_path, header_end) = fields.data_file()?;
        let data_offset = match fields.number::<i64>("HeaderSize")? {
            Some(-1) if packing == Packing::Plain => None,
            Some(-1) => {
                let reason = "HeaderSize = -1, which puts the voxels at the end of their file, needs uncompressed voxels; \
                              expected HeaderSize to be 0 or more with CompressedData = True";
                return Err(fields.invalid(reason.into()));
            }
            Some(size) => {
                let size = u64::try_from(size).map_err(|_| {
                    fields.invalid(format!("expected HeaderSize to be -1 or more, found {size}"))
                })?;
                Some(header_end.saturating_add(size))
            }
            None => Some(header_end),
        };
        Ok(Self {
            grid: fields.grid()?,
            value_type: fields.value_type()?,
            rescale: fields.rescale()?,
            big_endian,
            packing,
            data_path,
            data_offset,
        })
    }
}

/// The lines `Name = value` up to `ElementDataFile`, which is the last.
struct Fields {
    path: PathBuf,
    fields: BTreeMap<String, String>,
    header_bytes: u64,
}

impl Fields {
    fn read(path: &Path) -> Result<Self, IoError> {
        let mut reader = BufReader::new(open_file(path)?).take(MOST_HEADER_BYTES);
        let mut fields = Self { path: path.to_owned(), fields: BTreeMap::new(), header_bytes: 0 };
        let mut line = Vec::new();
        while !fields.fields.contains_key("ElementDataFile") {
            line.clear();
            let count = reader.read_until(b'\n', &mut line).map_err(|source| read_failed(path, source))?;
            fields.header_bytes += count as u64;
            let text = String::from_utf8_lossy(&line);
            match text.split_once('=') {
                Some((name, value)) => {
                    fields.fields.insert(name.trim().to_owned(), value.trim().to_owned());
                }
                None if count > 0 && text.trim().is_empty() => {}
                None => {
                    let start: String = text.trim().chars().take(40).collect();
                    let reason =
                        format!("expected lines \"Name = value\" up to ElementDataFile, found {start:?}");
                    let path = path.to_owned();
                    return Err(IoError::NotOfFormat { path, format: Format::MetaImage, reason });
                }
            }
        }
        Ok(fields)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    fn first_of(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    fn required(&self, name: &str) -> Result<&str, IoError> {
        self.get(name).ok_or_else(|| self.invalid(format!("expected the field {name}, which is missing")))
    }

    fn invalid(&self, reason: String) -> IoError {
        IoError::HeaderInvalid { path: self.path.clone(), format: Format::MetaImage, reason }
    }

    fn is(&self, name: &str) -> Result<Option<bool>, IoError> {
        match self.get(name).map(|value| (value, value.to_ascii_lowercase())) {
            None => Ok(None),
            Some((_, lower)) if ["true", "t", "1"].contains(&lower.as_str()) => Ok(Some(true)),
            Some((_, lower)) if ["false", "f", "0"].contains(&lower.as_str()) => Ok(Some(false)),
            Some((value, _)) => {
                Err(self.invalid(format!("expected {name} to be True or False, found {value:?}")))
            }
        }
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, IoError> {
        self.get(name)
            .map(|value| {
                value.parse().map_err(|_| self.invalid(format!("{name}: {value:?} is not a number")))
            })
            .transpose()
    }

    fn numbers<T: FromStr>(&self, name: &str, text: &str, count: usize) -> Result<Vec<T>, IoError> {
        let numbers: Option<Vec<T>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
        numbers
            .filter(|numbers| numbers.len() == count)
            .ok_or_else(|| self.invalid(format!("expected {name} to be {count} numbers, found {text:?}")))
    }

    /// The file with the voxels and where this header ends in it.
    fn data_file(&self) -> Result<(PathBuf, u64), IoError> {
        let name = self.required("ElementDataFile")?;
        if name.eq_ignore_ascii_case("local") {
            return Ok((self.path.clone(), self.header_bytes));
        }
        if name.starts_with("LIST") || name.contains('%') {
            return Err(
                self.invalid("voxels in several data files are not read; save them in one file".into())
            );
        }
        Ok((beside(&self.path, name)?, 0))
    }

    /// Axes beyond the third have one entry.
    fn grid(&self) -> Result<Grid, IoError> {
        let dimensions: usize = self.number("NDims")?.filter(|n| (3..=10).contains(n)).ok_or_else(|| {
            self.invalid(format!(
                "expected NDims from 3 to 10, found {:?}",
                self.get("NDims").unwrap_or_default()
            ))
        })?;
        let sizes: Vec<usize> = self.numbers("DimSize", self.required("DimSize")?, dimensions)?;
        if sizes.contains(&0) {
            return Err(self.invalid(format!("expected DimSize to be positive, found {sizes:?}")));
        }
        let frames = sizes[3..].iter().fold(1u64, |n, size| n.saturating_mul(*size as u64));
        if frames > 1 {
            let dimensions = sizes.iter().map(|size| *size as i64).collect();
            return Err(IoError::FramesUnsupported { path: self.path.clone(), frames, dimensions });
        }
        let all = |name: &str, text: Option<&str>, count| {
            text.map(|text| self.numbers::<f64>(name, text, count)).transpose()
        };
        let spacing = all("ElementSpacing", self.first_of(&["ElementSpacing", "ElementSize"]), dimensions)?;
        let spacing = spacing.unwrap_or_else(|| {
            tracing::warn!(path = %self.path.display(), "the header has no spacing: voxels are taken to be 1 mm apart");
            vec![1.0; dimensions]
        });
        let offset = all("Offset", self.first_of(&["Offset", "Origin", "Position"]), dimensions)?;
        let matrix = ["TransformMatrix", "Rotation", "Orientation"];
        let matrix = all("TransformMatrix", self.first_of(&matrix), dimensions * dimensions)?;
        // ITK's physical space is LPS; each row of the matrix is the direction of one axis of the array.
        let rows = std::array::from_fn(|row| {
            let sign = if row < 2 { -1.0 } else { 1.0 };
            let identity = |axis: usize| f64::from(u8::from(axis == row));
            let column = |axis: usize| {
                let cosine = matrix.as_ref().map_or(identity(axis), |matrix| matrix[axis * dimensions + row]);
                cosine * spacing[axis] * sign + 0.0
            };
            let origin = offset.as_ref().map_or(0.0, |offset| offset[row]);
            [column(0), column(1), column(2), origin * sign + 0.0]
        });
        let origin = AffineSource::TransformMatrix;
        Grid::from_exact_affine([sizes[0], sizes[1], sizes[2]], rows, origin).map_err(|source| {
            IoError::GeometryInvalid { path: self.path.clone(), origin, source: Box::new(source) }
        })
    }

    fn value_type(&self) -> Result<ValueType, IoError> {
        let unsupported = |found: String| IoError::TypeUnsupported { path: self.path.clone(), found };
        if let Some(channels) = self.number::<usize>("ElementNumberOfChannels")?.filter(|n| *n != 1) {
            return Err(unsupported(format!("{channels} numbers for each voxel")));
        }
        let name = self.required("ElementType")?;
        Ok(match name {
            "MET_CHAR" => ValueType::Int8,
            "MET_UCHAR" => ValueType::Uint8,
            "MET_SHORT" => ValueType::Int16,
            "MET_USHORT" => ValueType::Uint16,
            // Four bytes on every platform, as MetaIO's own table has it.
            "MET_INT" | "MET_LONG" => ValueType::Int32,
            "MET_UINT" | "MET_ULONG" => ValueType::Uint32,
            "MET_LONG_LONG" => ValueType::Int64,
            "MET_ULONG_LONG" => ValueType::Uint64,
            "MET_FLOAT" => ValueType::Float32,
            "MET_DOUBLE" => ValueType::Float64,
            _ => return Err(unsupported(format!("the type {name:?}"))),
        })
    }

    fn rescale(&self) -> Result<Option<Rescale>, IoError> {
        let slope = self.number("ElementToIntensityFunctionSlope")?.unwrap_or(1.0);
        let intercept = self.number("ElementToIntensityFunctionOffset")?.unwrap_or(0.0);
        if (slope, intercept) == (1.0, 0.0) {
            return Ok(None);
        }
        if !f64::is_finite(slope) || slope == 0.0 || !f64::is_finite(intercept) {
            let found = format!("{slope} and {intercept}");
            return Err(
                self.invalid(format!("expected a scaling that keeps the values apart, found {found}"))
            );
        }
        Ok(Some(Rescale { slope, intercept }))
    }
}
