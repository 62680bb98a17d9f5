use ndarray::Array3;

use crate::{Grid, IoError, ReadLimits, Rescale, ValueType, Volume, source::UnpackedFile};

/// A whole number of values of every type.
const CHUNK_BYTES: usize = 1 << 18;

/// How stored bytes become values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoding {
    pub(crate) value_type: ValueType,
    pub(crate) big_endian: bool,
    pub(crate) rescale: Option<Rescale>,
}

/// The volume on `grid` whose values begin at byte `offset` of `source`.
///
/// Memory is taken only after the size was checked against `limits` and against what `source` can hold.
pub(crate) fn read_volume(
    source: &mut UnpackedFile,
    offset: u64,
    encoding: Encoding,
    grid: Grid,
    limits: ReadLimits,
) -> Result<Volume, IoError> {
    let count = limits.check(source.path(), grid.shape_ijk())?;
    let end = offset.saturating_add((count as u64).saturating_mul(encoding.value_type.bytes() as u64));
    source.check_holds(end)?;
    source.skip_to(offset)?;
    let (values, nan_voxels) = decode(source, count, encoding, end)?;
    source.check_end()?;
    if nan_voxels > 0 {
        tracing::warn!(path = %source.path().display(), nan_voxels, "NaN voxels are read as 0");
    }
    let found = [values.len(), 1, 1];
    let data = Array3::from_shape_vec(grid.shape_kji(), values)
        .map_err(|_| IoError::ShapeMismatch { expected: grid.shape_kji(), found })?;
    let Encoding { value_type, rescale, .. } = encoding;
    Ok(Volume { data, grid, nan_voxels, value_type, rescale })
}

/// The next `count` values of `source` and how many of them were NaN. `end` is the byte after the last value.
fn decode(
    source: &mut UnpackedFile,
    count: usize,
    encoding: Encoding,
    end: u64,
) -> Result<(Vec<f32>, usize), IoError> {
    let mut values = Values { values: Vec::new(), nan: 0 };
    values
        .values
        .try_reserve_exact(count)
        .map_err(|_| IoError::OutOfMemory { voxels: count }.of_file(source.path()))?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut remaining = count * encoding.value_type.bytes();
    while remaining > 0 {
        let bytes = &mut chunk[..remaining.min(CHUNK_BYTES)];
        if source.fill(bytes)? < bytes.len() {
            return Err(source.truncated(end));
        }
        values.extend(bytes, encoding);
        remaining -= bytes.len();
    }
    Ok((values.values, values.nan))
}

struct Values {
    values: Vec<f32>,
    nan: usize,
}

impl Values {
    fn extend(&mut self, bytes: &[u8], encoding: Encoding) {
        let Encoding { value_type, big_endian, rescale } = encoding;
        match value_type {
            ValueType::Uint8 => self.push(bytes, big_endian, rescale, |b| u8::from_le_bytes(b).into()),
            ValueType::Int8 => self.push(bytes, big_endian, rescale, |b| i8::from_le_bytes(b).into()),
            ValueType::Uint16 => self.push(bytes, big_endian, rescale, |b| u16::from_le_bytes(b).into()),
            ValueType::Int16 => self.push(bytes, big_endian, rescale, |b| i16::from_le_bytes(b).into()),
            ValueType::Uint32 => self.push(bytes, big_endian, rescale, |b| u32::from_le_bytes(b).into()),
            ValueType::Int32 => self.push(bytes, big_endian, rescale, |b| i32::from_le_bytes(b).into()),
            ValueType::Uint64 => self.push(bytes, big_endian, rescale, |b| u64::from_le_bytes(b) as f64),
            ValueType::Int64 => self.push(bytes, big_endian, rescale, |b| i64::from_le_bytes(b) as f64),
            ValueType::Float32 => self.push(bytes, big_endian, rescale, |b| f32::from_le_bytes(b).into()),
            ValueType::Float64 => self.push(bytes, big_endian, rescale, f64::from_le_bytes),
        }
    }

    fn push<const N: usize>(
        &mut self,
        bytes: &[u8],
        big_endian: bool,
        rescale: Option<Rescale>,
        value_of: impl Fn([u8; N]) -> f64,
    ) {
        let Rescale { slope, intercept } = rescale.unwrap_or(Rescale { slope: 1.0, intercept: 0.0 });
        let (stored, _) = bytes.as_chunks::<N>();
        let mut nan = 0;
        self.values.extend(stored.iter().map(|stored| {
            let mut stored = *stored;
            if big_endian {
                stored.reverse();
            }
            let value = slope * value_of(stored) + intercept;
            if value.is_nan() {
                nan += 1;
                return 0.0;
            }
            value.clamp(f32::MIN.into(), f32::MAX.into()) as f32
        }));
        self.nan += nan;
    }
}
