use std::{
    io::{self, Write},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use ndarray::ArrayView3;
use nifti::{Endianness, NiftiHeader};

use super::header::datatype_code;
use crate::{
    Format, Grid, IoError, ValueType, atomic,
    atomic::Overwrite,
    orient::check_shape,
    write::{Voxel, write_values},
};

/// The header's 348 bytes and the four bytes that say that no extension follows.
const DATA_OFFSET: usize = 352;

/// Writes values, indexed `[k, j, i]`, in their own type, in the shape, affine, qform and sform codes and units of `grid`.
///
/// `.nii.gz` or `.nii` by the path's extension; the file is complete or not there.
///
/// # Errors
/// [`IoError::ExtensionUnknown`], [`IoError::ShapeMismatch`] if the array is not of the grid's shape,
/// [`IoError::HeaderInvalid`] if an axis has more than 32767 voxels, [`IoError::Exists`] if the file is there and
/// `overwrite` refuses, [`IoError::Write`] with the system's reason.
pub fn write<T: Voxel>(
    path: &Path,
    values: ArrayView3<'_, T>,
    grid: &Grid,
    overwrite: Overwrite,
) -> Result<(), IoError> {
    let compressed = is_compressed(path).ok_or(IoError::ExtensionUnknown { path: path.to_owned() })?;
    check_shape(grid.shape_kji(), values.dim().into())?;
    let header = header(grid, T::TYPE).ok_or_else(|| IoError::HeaderInvalid {
        path: path.to_owned(),
        format: Format::Nifti,
        reason: format!("NIfTI-1 holds at most 32767 voxels per axis, found {:?}", grid.shape_ijk()),
    })?;
    atomic::write(path, overwrite, |file| {
        if compressed {
            // Masks and probability maps compress well at any level; the fastest keeps writing short.
            let mut encoder = GzEncoder::new(file, Compression::fast());
            write_content(&mut encoder, &header, values)?;
            encoder.finish().map(drop)
        } else {
            write_content(file, &header, values)
        }
    })
}

fn is_compressed(path: &Path) -> Option<bool> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    match name {
        name if name.ends_with(".nii.gz") => Some(true),
        name if name.ends_with(".nii") => Some(false),
        _ => None,
    }
}

/// The header of a file of `value_type` on `grid`; `None` if NIfTI-1 cannot hold the grid's size.
fn header(grid: &Grid, value_type: ValueType) -> Option<NiftiHeader> {
    let geometry = grid.header();
    let narrow = |row: [f64; 4]| row.map(|v| v as f32);
    let mut dim = [1; 8];
    dim[0] = 3;
    let mut pixdim = [0.0; 8];
    pixdim[0] = geometry.qfac as f32;
    for axis in 0..3 {
        dim[axis + 1] = i16::try_from(grid.shape_ijk()[axis]).ok()? as u16;
        pixdim[axis + 1] = geometry.pixdim[axis] as f32;
    }
    let [quatern_b, quatern_c, quatern_d] = geometry.quaternion.map(|v| v as f32);
    let [quatern_x, quatern_y, quatern_z] = geometry.offset.map(|v| v as f32);
    let [srow_x, srow_y, srow_z] = geometry.srow.map(narrow);
    Some(NiftiHeader {
        regular: b'r',
        dim,
        datatype: datatype_code(value_type),
        bitpix: (8 * value_type.bytes()) as i16,
        pixdim,
        vox_offset: DATA_OFFSET as f32,
        scl_slope: 1.0,
        scl_inter: 0.0,
        xyzt_units: geometry.xyzt_units,
        qform_code: geometry.qform_code,
        sform_code: geometry.sform_code,
        quatern_b,
        quatern_c,
        quatern_d,
        quatern_x,
        quatern_y,
        quatern_z,
        srow_x,
        srow_y,
        srow_z,
        magic: *b"n+1\0",
        endianness: Endianness::Little,
        ..NiftiHeader::default()
    })
}

/// Written here and not by the nifti crate, whose writer neither flushes (a full disk would pass unnoticed) nor writes to
/// a file that is already open.
fn write_content<T: Voxel>(
    writer: &mut impl Write,
    header: &NiftiHeader,
    values: ArrayView3<'_, T>,
) -> io::Result<()> {
    let mut bytes = header_bytes(header);
    bytes.resize(DATA_OFFSET, 0);
    writer.write_all(&bytes)?;
    write_values(writer, values)
}

/// The fields in the order and the little-endian form of the format.
fn header_bytes(header: &NiftiHeader) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(DATA_OFFSET);
    let mut put = |field: &[u8]| bytes.extend_from_slice(field);
    put(&header.sizeof_hdr.to_le_bytes());
    put(&header.data_type);
    put(&header.db_name);
    put(&header.extents.to_le_bytes());
    put(&header.session_error.to_le_bytes());
    put(&[header.regular, header.dim_info]);
    header.dim.iter().for_each(|size| put(&size.to_le_bytes()));
    [header.intent_p1, header.intent_p2, header.intent_p3].iter().for_each(|v| put(&v.to_le_bytes()));
    let codes = [header.intent_code, header.datatype, header.bitpix, header.slice_start];
    codes.iter().for_each(|code| put(&code.to_le_bytes()));
    header.pixdim.iter().for_each(|v| put(&v.to_le_bytes()));
    [header.vox_offset, header.scl_slope, header.scl_inter].iter().for_each(|v| put(&v.to_le_bytes()));
    put(&header.slice_end.to_le_bytes());
    put(&[header.slice_code, header.xyzt_units]);
    let display = [header.cal_max, header.cal_min, header.slice_duration, header.toffset];
    display.iter().for_each(|v| put(&v.to_le_bytes()));
    put(&header.glmax.to_le_bytes());
    put(&header.glmin.to_le_bytes());
    put(&header.descrip);
    put(&header.aux_file);
    put(&header.qform_code.to_le_bytes());
    put(&header.sform_code.to_le_bytes());
    let quaternion = [header.quatern_b, header.quatern_c, header.quatern_d];
    let offset = [header.quatern_x, header.quatern_y, header.quatern_z];
    quaternion.iter().chain(&offset).for_each(|v| put(&v.to_le_bytes()));
    let rows = [header.srow_x, header.srow_y, header.srow_z];
    rows.iter().flatten().for_each(|v| put(&v.to_le_bytes()));
    put(&header.intent_name);
    put(&header.magic);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_bytes_are_read_back_by_the_crate() {
        let affine =
            sam3d_geom::Affine::new([[0.0, -2.0, 0.0, 5.0], [1.5, 0.0, 0.0, -7.0], [0.0, 0.0, 3.0, 9.0]]);
        let grid = Grid::from_affine([4, 5, 6], affine.unwrap()).unwrap();
        let written = header(&grid, ValueType::Int16).unwrap();
        let bytes = header_bytes(&written);
        assert_eq!(bytes.len(), 348);
        let mut read = NiftiHeader::from_reader(&bytes[..]).unwrap();
        read.endianness = written.endianness;
        assert_eq!(read, written);
    }

    #[test]
    fn extension_decides_the_format() {
        assert_eq!(is_compressed(Path::new("a/b.c.nii.gz")), Some(true));
        assert_eq!(is_compressed(Path::new("B.NII")), Some(false));
        assert_eq!(is_compressed(Path::new("b.gz")), None);
    }
}
