use std::path::Path;

use nifti::NiftiHeader;

use crate::{Format, IoError, Rescale, ValueType, header_geometry::HeaderGeometry, source::UnpackedFile};

const NIFTI1_BYTES: usize = 348;
const NIFTI2_BYTES: usize = 540;
/// Bytes that follow either header and say whether extensions come next.
const EXTENDER_BYTES: usize = 4;

/// What reading a volume needs of a NIfTI-1 or NIfTI-2 header; checked, apart from the geometry.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) shape_ijk: [usize; 3],
    pub(super) value_type: ValueType,
    pub(super) rescale: Option<Rescale>,
    pub(super) geometry: HeaderGeometry,
    pub(super) big_endian: bool,
    /// Where the voxels begin in their file.
    pub(super) data_offset: u64,
    /// Whether the voxels are in another file, the `.img`.
    pub(super) separate_data: bool,
}

impl Header {
    /// Reads and checks the header at the start of `source`.
    pub(super) fn read(source: &mut UnpackedFile) -> Result<Self, IoError> {
        let mut bytes = [0; NIFTI2_BYTES];
        let path = source.path().to_owned();
        let not_nifti =
            |reason: String| IoError::NotOfFormat { path: path.clone(), format: Format::Nifti, reason };
        if source.fill(&mut bytes[..4])? < 4 {
            return Err(not_nifti("expected a header, found fewer than four bytes".into()));
        }
        let (first, rest) = ([bytes[0], bytes[1], bytes[2], bytes[3]], &mut bytes[4..]);
        let sizes = [u32::from_le_bytes(first), u32::from_be_bytes(first)];
        let Some(size) =
            [NIFTI1_BYTES, NIFTI2_BYTES].into_iter().find(|size| sizes.contains(&(*size as u32)))
        else {
            let found = sizes[0];
            return Err(not_nifti(format!(
                "expected it to start with the header size, 348 or 540, found {found}"
            )));
        };
        let big_endian = sizes[1] == size as u32;
        if source.fill(&mut rest[..size - 4])? < size - 4 {
            return Err(source.truncated(size as u64));
        }
        if size == NIFTI1_BYTES {
            Fields::of_nifti1(&bytes[..size], big_endian).map_err(not_nifti)?.check(&path)
        } else {
            Fields::of_nifti2(&bytes, big_endian).map_err(not_nifti)?.check(&path)
        }
    }
}

/// Fields of either header as they stand there.
struct Fields {
    /// `dim[0]` and the sizes.
    dim: [i64; 8],
    datatype: i16,
    vox_offset: f64,
    scl_slope: f64,
    scl_inter: f64,
    geometry: HeaderGeometry,
    big_endian: bool,
    separate_data: bool,
    header_bytes: usize,
}

impl Fields {
    fn of_nifti1(bytes: &[u8], big_endian: bool) -> Result<Self, String> {
        let header = NiftiHeader::from_reader(bytes).map_err(|_| {
            format!(
                "expected the mark n+1 or ni1 at byte 344, found {:?}",
                bytes[344..].escape_ascii().to_string()
            )
        })?;
        // The crate tells the byte order by dim[0], this module by the size: in a sound header both agree.
        if header.sizeof_hdr != NIFTI1_BYTES as i32 {
            return Err(format!(
                "expected 1 to 7 dimensions, found {} in the byte order of the size",
                header.dim[0]
            ));
        }
        let widen = |row: [f32; 4]| row.map(f64::from);
        Ok(Self {
            // The crate reads sizes unsigned; the format has them signed, and a negative one must not look large.
            dim: header.dim.map(|size| i64::from(size as i16)),
            datatype: header.datatype,
            vox_offset: header.vox_offset.into(),
            scl_slope: header.scl_slope.into(),
            scl_inter: header.scl_inter.into(),
            geometry: HeaderGeometry {
                qform_code: header.qform_code,
                sform_code: header.sform_code,
                qfac: header.pixdim[0].into(),
                pixdim: [1, 2, 3].map(|axis| header.pixdim[axis].into()),
                quaternion: [header.quatern_b, header.quatern_c, header.quatern_d].map(f64::from),
                offset: [header.quatern_x, header.quatern_y, header.quatern_z].map(f64::from),
                srow: [header.srow_x, header.srow_y, header.srow_z].map(widen),
                xyzt_units: header.xyzt_units,
            },
            big_endian,
            separate_data: header.magic == *b"ni1\0",
            header_bytes: NIFTI1_BYTES,
        })
    }

    fn of_nifti2(bytes: &[u8; NIFTI2_BYTES], big_endian: bool) -> Result<Self, String> {
        let separate_data = match &bytes[4..8] {
            b"n+2\0" => false,
            b"ni2\0" => true,
            other => {
                return Err(format!(
                    "expected the mark n+2 or ni2 at byte 4, found {:?}",
                    other.escape_ascii().to_string()
                ));
            }
        };
        let field = Nifti2Bytes { bytes, big_endian };
        // The codes are wider here, but those that are defined are small: any other says nothing, as 0 does.
        let code = |at: usize| i16::try_from(field.i32(at)).unwrap_or(0);
        Ok(Self {
            dim: std::array::from_fn(|axis| field.i64(16 + 8 * axis)),
            datatype: i16::from_ne_bytes(field.array::<2>(12)),
            vox_offset: field.i64(168) as f64,
            scl_slope: field.f64(176),
            scl_inter: field.f64(184),
            geometry: HeaderGeometry {
                qform_code: code(344),
                sform_code: code(348),
                qfac: field.f64(104),
                pixdim: [1, 2, 3].map(|axis| field.f64(104 + 8 * axis)),
                quaternion: [0, 1, 2].map(|part| field.f64(352 + 8 * part)),
                offset: [0, 1, 2].map(|axis| field.f64(376 + 8 * axis)),
                srow: [0, 1, 2].map(|row| [0, 1, 2, 3].map(|column| field.f64(400 + 32 * row + 8 * column))),
                xyzt_units: field.i32(500) as u8,
            },
            big_endian,
            separate_data,
            header_bytes: NIFTI2_BYTES,
        })
    }

    fn check(mut self, path: &Path) -> Result<Header, IoError> {
        let invalid =
            |reason: String| IoError::HeaderInvalid { path: path.to_owned(), format: Format::Nifti, reason };
        let rank = usize::try_from(self.dim[0]).ok().filter(|rank| (1..=7).contains(rank));
        let rank =
            rank.ok_or_else(|| invalid(format!("expected 1 to 7 dimensions, found {}", self.dim[0])))?;
        let sizes = &self.dim[1..=rank];
        if let Some(size) = sizes.iter().take(3).find(|size| **size < 1) {
            return Err(invalid(format!("expected positive sizes, found {size} in {sizes:?}")));
        }
        // A frame count of 0 is written by programs that mean a single volume.
        let frames = sizes.iter().skip(3).fold(1u64, |n, size| n.saturating_mul((*size).max(1) as u64));
        if frames > 1 {
            return Err(IoError::FramesUnsupported {
                path: path.to_owned(),
                frames,
                dimensions: sizes.to_vec(),
            });
        }
        let mut shape_ijk = [1; 3];
        for (axis, size) in sizes.iter().take(3).enumerate() {
            shape_ijk[axis] =
                usize::try_from(*size).map_err(|_| invalid(format!("size {size} is not addressable")))?;
        }
        // A plane or a line has no spacing along the axes it lacks.
        for spacing in self.geometry.pixdim.iter_mut().skip(rank).filter(|spacing| **spacing == 0.0) {
            *spacing = 1.0;
        }
        Ok(Header {
            shape_ijk,
            value_type: value_type(self.datatype, path)?,
            rescale: self.rescale().map_err(invalid)?,
            data_offset: self.data_offset().map_err(invalid)?,
            geometry: self.geometry,
            big_endian: self.big_endian,
            separate_data: self.separate_data,
        })
    }

    /// A slope of 0 means no scaling; one that is not a number cannot mean anything else.
    fn rescale(&self) -> Result<Option<Rescale>, String> {
        let (slope, intercept) = (self.scl_slope, self.scl_inter);
        if slope == 0.0 || !slope.is_finite() || (slope, intercept) == (1.0, 0.0) {
            return Ok(None);
        }
        if !intercept.is_finite() {
            return Err(format!("expected a finite scl_inter, found {intercept}"));
        }
        Ok(Some(Rescale { slope, intercept }))
    }

    fn data_offset(&self) -> Result<u64, String> {
        let smallest = if self.separate_data { 0 } else { self.header_bytes };
        let offset = self.vox_offset;
        if offset == 0.0 {
            return Ok(if self.separate_data { 0 } else { (self.header_bytes + EXTENDER_BYTES) as u64 });
        }
        // 2^53: beyond it a float does not hold every integer, and no file is that long.
        if offset.fract() == 0.0 && offset >= smallest as f64 && offset < 9e15 {
            Ok(offset as u64)
        } else {
            Err(format!("expected vox_offset to be a whole number from {smallest}, found {offset}"))
        }
    }
}

/// NIfTI's code of each type.
const DATATYPES: [(ValueType, i16); 10] = [
    (ValueType::Uint8, 2),
    (ValueType::Int16, 4),
    (ValueType::Int32, 8),
    (ValueType::Float32, 16),
    (ValueType::Float64, 64),
    (ValueType::Int8, 256),
    (ValueType::Uint16, 512),
    (ValueType::Uint32, 768),
    (ValueType::Int64, 1024),
    (ValueType::Uint64, 1280),
];

/// NIfTI's code of `value_type`.
pub(super) fn datatype_code(value_type: ValueType) -> i16 {
    DATATYPES.iter().find(|(known, _)| *known == value_type).map_or(0, |(_, code)| *code)
}

fn value_type(code: i16, path: &Path) -> Result<ValueType, IoError> {
    if let Some((value_type, _)) = DATATYPES.iter().find(|(_, known)| *known == code) {
        return Ok(*value_type);
    }
    let found = match code {
        1 => "single bits",
        32 | 1792 | 2048 => "complex numbers",
        128 => "RGB colours",
        2304 => "RGBA colours",
        1536 => "128-bit floats",
        _ => "an unknown type",
    };
    let found = format!("{found} (datatype code {code})");
    Err(IoError::TypeUnsupported { path: path.to_owned(), found })
}

/// The bytes of a NIfTI-2 header, which the nifti crate does not read, by offset.
struct Nifti2Bytes<'a> {
    bytes: &'a [u8; NIFTI2_BYTES],
    big_endian: bool,
}

impl Nifti2Bytes<'_> {
    /// `N` bytes from `at`, in the machine's order.
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut array: [u8; N] = std::array::from_fn(|i| self.bytes[at + i]);
        if self.big_endian != cfg!(target_endian = "big") {
            array.reverse();
        }
        array
    }

    fn i32(&self, at: usize) -> i32 {
        i32::from_ne_bytes(self.array(at))
    }

    fn i64(&self, at: usize) -> i64 {
        i64::from_ne_bytes(self.array(at))
    }

    fn f64(&self, at: usize) -> f64 {
        f64::from_ne_bytes(self.array(at))
    }
}
