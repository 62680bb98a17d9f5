//! Segmentations whose segments overlap: `.seg.nrrd` with several layers, as 3D Slicer writes them.

use std::{io::Write, path::Path};

use flate2::{Compression, write::GzEncoder};
use ndarray::{Array2, Array3, ArrayViewMut2};

use super::{Segment, axes, fields::Fields, header::Header, read::offsets, segment, write::header};
use crate::{
    Grid, IoError, ReadLimits, ValueType,
    atomic::{self, Overwrite},
    source::UnpackedFile,
};

/// A segment, and the label map that its voxels lie in.
#[derive(Debug, Clone, PartialEq)]
pub struct LayeredSegment {
    /// The label map, counted from 0.
    pub layer: usize,
    /// The segment.
    pub segment: Segment,
}

/// A segmentation: label maps of one grid, and the segments in them.
#[derive(Debug, Clone, PartialEq)]
pub struct LayeredLabels {
    /// The grid of every layer.
    pub grid: Grid,
    /// Label maps, `[k, j, i]`.
    pub layers: Vec<Array3<u8>>,
    /// The segments, in the file's order.
    pub segments: Vec<LayeredSegment>,
}

/// Writes `layers` label maps on `grid` with their `segments` as one `.seg.nrrd`. `paint` sets the labels of the plane `k` of a
/// layer, `[j, i]`, which are 0 before: whole label maps need not lie in memory.
///
/// A single layer becomes a volume of three axes. With several, their axis is the fastest one, of the kind `list`, and the keys
/// `SegmentN_Layer` and `SegmentN_LabelValue` say where a segment lies: 3D Slicer's convention.
///
/// # Errors
/// [`IoError::Exists`] if the file is there and `overwrite` refuses, [`IoError::Write`] with the system's reason.
pub fn write_layers(
    path: &Path,
    grid: &Grid,
    layers: usize,
    segments: &[LayeredSegment],
    mut paint: impl FnMut(usize, usize, ArrayViewMut2<'_, u8>),
    overwrite: Overwrite,
) -> Result<(), IoError> {
    let [depth, rows, columns] = grid.shape_kji();
    let layers = layers.max(1);
    let segments: Vec<_> = segments.iter().map(|segment| (segment.layer, &segment.segment)).collect();
    atomic::write(path, overwrite, |file| {
        file.write_all(header(ValueType::Uint8, grid, layers, Some(&segments)).as_bytes())?;
        let mut encoder = GzEncoder::new(file, Compression::fast());
        let mut plane = Array2::<u8>::zeros([rows, columns]);
        let mut interleaved = vec![0; rows * columns * layers];
        for k in 0..depth {
            for layer in 0..layers {
                plane.fill(0);
                paint(k, layer, plane.view_mut());
                let values = interleaved.iter_mut().skip(layer).step_by(layers);
                values.zip(&plane).for_each(|(to, value)| *to = *value);
            }
            encoder.write_all(&interleaved)?;
        }
        encoder.finish().map(drop)
    })
}

/// Reads a `.seg.nrrd` of one or several layers. `limits` bounds the voxels of all layers together.
///
/// # Errors
/// As [`read`](super::read), and [`IoError::TypeUnsupported`] unless the labels are of one unsigned byte.
pub fn read_layers(path: &Path, limits: ReadLimits) -> Result<LayeredLabels, IoError> {
    let fields = Fields::read(path)?;
    let (grid, count) = axes::layered_grid(&fields)?;
    let Header { grid, value_type, packing, data, .. } = Header::new(&fields, grid)?;
    if value_type != ValueType::Uint8 {
        let found = format!("labels of the type {value_type}, expected uint8");
        return Err(IoError::TypeUnsupported { path: path.to_owned(), found });
    }
    let [i, j, k] = grid.shape_ijk();
    let voxels = limits.check(path, [i.saturating_mul(count), j, k])?;
    let (file_offset, offset) = offsets(&data, voxels as u64)?;
    let mut source = UnpackedFile::open_at(&data.path, file_offset, packing)?;
    let end = offset.saturating_add(voxels as u64);
    source.check_holds(end)?;
    source.skip_to(offset)?;
    let mut layers: Vec<Array3<u8>> = (0..count).map(|_| Array3::zeros([k, j, i])).collect();
    let mut row = vec![0; i * count];
    for (z, y) in (0..k).flat_map(|z| (0..j).map(move |y| (z, y))) {
        if source.fill(&mut row)? < row.len() {
            return Err(source.truncated(end));
        }
        for (at, value) in row.iter().enumerate() {
            layers[at % count][[z, y, at / count]] = *value;
        }
    }
    source.check_end()?;
    let segments = segment::read(&fields.keys)
        .into_iter()
        .filter(|(layer, _)| *layer < count)
        .map(|(layer, segment)| LayeredSegment { layer, segment })
        .collect();
    Ok(LayeredLabels { grid, layers, segments })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sam3d_geom::Affine;

    fn grid() -> Grid {
        let affine = Affine::new([[0.5, 0.0, 0.0, 3.0], [0.0, 0.5, 0.0, -4.0], [0.0, 0.0, 2.0, 5.0]]);
        Grid::from_affine([5, 4, 3], affine.unwrap()).unwrap()
    }

    fn segment(layer: usize, name: &str, label: u8) -> LayeredSegment {
        let segment = Segment { name: name.to_owned(), label, colour: [0.25, 0.5, 1.0] };
        LayeredSegment { layer, segment }
    }

    /// Two overlapping segments of one layer each, and a third in the first layer.
    fn written(path: &Path, layers: usize) -> (Vec<Array3<u8>>, Vec<LayeredSegment>) {
        let label = |layer: usize, (k, j, i): (usize, usize, usize)| match layer {
            0 if i < 3 && k == 1 => 1,
            0 if i == 4 => 2,
            1 if j > 1 => 1,
            _ => 0,
        };
        let expected: Vec<Array3<u8>> =
            (0..layers).map(|layer| Array3::from_shape_fn([3, 4, 5], |at| label(layer, at))).collect();
        let segments: Vec<LayeredSegment> =
            [segment(0, "tumour", 1), segment(0, "node", 2), segment(1, "liver", 1)]
                .into_iter()
                .filter(|segment| segment.layer < layers)
                .collect();
        let paint = |k: usize, layer: usize, mut plane: ArrayViewMut2<'_, u8>| {
            plane.indexed_iter_mut().for_each(|((j, i), value)| *value = label(layer, (k, j, i)));
        };
        write_layers(path, &grid(), layers, &segments, paint, Overwrite::Refuse).unwrap();
        (expected, segments)
    }

    #[test]
    fn layers_are_read_back() {
        let directory = tempfile::tempdir().unwrap();
        for layers in [1, 2] {
            let path = directory.path().join(format!("{layers}.seg.nrrd"));
            let (expected, segments) = written(&path, layers);
            let read = read_layers(&path, ReadLimits::default()).unwrap();
            assert_eq!((read.layers, read.segments), (expected, segments));
            assert_eq!(read.grid.world_from_ijk(), grid().world_from_ijk());
        }
    }

    /// What 3D Slicer reads: the axis of the layers first, without a direction, and each segment's layer and label.
    #[test]
    fn the_header_follows_slicers_convention() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("two.seg.nrrd");
        written(&path, 2);
        let bytes = std::fs::read(&path).unwrap();
        let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap();
        let header = String::from_utf8(bytes[..end].to_vec()).unwrap();
        for line in [
            "dimension: 4",
            "sizes: 2 5 4 3",
            "kinds: list domain domain domain",
            "space directions: none (-0.5,0,0) (0,-0.5,0) (0,0,2)",
            "Segment1_Layer:=0",
            "Segment1_LabelValue:=2",
            "Segment2_Layer:=1",
            "Segment2_LabelValue:=1",
        ] {
            assert!(header.lines().any(|found| found == line), "{line}: {header}");
        }
        let error = super::super::read(&path, ReadLimits::default()).unwrap_err().to_string();
        assert!(error.contains("found 2 that may overlap"), "{error}");
    }

    #[test]
    fn a_damaged_or_too_large_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("two.seg.nrrd");
        written(&path, 2);
        let error = read_layers(&path, ReadLimits { max_voxels: 119 }).unwrap_err();
        assert!(matches!(error, IoError::TooLarge { voxels: 120, limit: 119, .. }), "{error:?}");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 12]).unwrap();
        assert!(read_layers(&path, ReadLimits::default()).is_err());
    }
}
