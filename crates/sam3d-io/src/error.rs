use std::{
    io,
    path::{Path, PathBuf},
};

use sam3d_geom::{Extent, GeomError};

use crate::{Format, GridDifference};

/// Why a volume could not be read, prepared or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IoError {
    /// The operating system refused to open or read the file or directory.
    #[error("{path}: cannot be read", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused to create, write, rename or remove the file or directory.
    #[error("{path}: cannot be written", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is in the way and may not be replaced.
    #[error("{path}: exists already; remove it or allow it to be replaced", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The name of a file to write does not say which format it shall have.
    #[error("{path}: expected a file name that ends in .nii, .nii.gz, .nrrd or .seg.nrrd", path = path.display())]
    ExtensionUnknown {
        /// The file.
        path: PathBuf,
    },
    /// Something else lies where the file should be.
    #[error("{path}: found {found}", path = path.display())]
    NotTheFile {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: crate::Placeholder,
    },
    /// The content is of none of the formats that are read.
    #[error("{path}: unrecognised file format: expected NIfTI, NRRD, MetaImage or DICOM", path = path.display())]
    FormatUnknown {
        /// The file.
        path: PathBuf,
    },
    /// The content is not of the format it was taken for.
    #[error("{path}: not a {format} file: {reason}", path = path.display())]
    NotOfFormat {
        /// The file.
        path: PathBuf,
        /// The format, by the file's name or as it was asked for.
        format: Format,
        /// What was expected and what was found.
        reason: String,
    },
    /// A header field has a value with which the volume cannot be read.
    #[error("{path}: {format} header: {reason}", path = path.display())]
    HeaderInvalid {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: Format,
        /// The field, what was expected and what was found.
        reason: String,
    },
    /// The header's geometry is invalid.
    #[error("{path}: the header's {origin} gives no usable geometry", path = path.display())]
    GeometryInvalid {
        /// The file.
        path: PathBuf,
        /// The header fields the geometry was taken from.
        origin: crate::AffineSource,
        /// What is wrong with it.
        source: Box<GeomError>,
    },
    /// DICOM files that give no volume or no mask.
    #[error("{path}: {problem}", path = path.display())]
    Dicom {
        /// The file, or their directory.
        path: PathBuf,
        /// What is wrong.
        problem: Box<crate::dicom::DicomError>,
    },
    /// The voxels are not single numbers.
    #[error("{path}: expected voxels of an integer or float type, found {found}; convert the file", path = path.display())]
    TypeUnsupported {
        /// The file.
        path: PathBuf,
        /// The type's name.
        found: String,
    },
    /// The file holds more than one volume.
    #[error(
        "{path}: expected one three-dimensional volume, found {frames} frames (dimensions {dimensions:?}); extract one of them",
        path = path.display()
    )]
    FramesUnsupported {
        /// The file.
        path: PathBuf,
        /// How many volumes it holds.
        frames: u64,
        /// Sizes as the header has them.
        dimensions: Vec<i64>,
    },
    /// The volume has more voxels than the caller accepts.
    #[error("{path}: the header claims {voxels} voxels, more than the limit of {limit}; raise it if that is true", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Claimed number of voxels.
        voxels: u128,
        /// The limit it was read with.
        limit: usize,
    },
    /// The file ends before the voxels the header claims, or cannot possibly hold them.
    #[error(
        "{path}: the file is truncated or its header is wrong: expected {expected} bytes, found {found}; copy or download it again",
        path = path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes the header asks for (after decompression).
        expected: u64,
        /// Bytes there are, or at most can be.
        found: u64,
    },
    /// The compressed data is damaged.
    #[error("{path}: the compressed data is damaged; copy or download the file again", path = path.display())]
    CompressionDamaged {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        source: io::Error,
    },
    /// A header names a data file outside its own directory, which might be any file of this computer.
    #[error(
        "{path}: the header names the data file {data_file:?}; only a file beside the header or below it is read",
        path = path.display()
    )]
    DataFileElsewhere {
        /// The header.
        path: PathBuf,
        /// What it names.
        data_file: String,
    },
    /// Half of a `.hdr` and `.img` pair.
    #[error("{path}: its other half {partner} is missing; a .hdr and its .img belong side by side",
        path = path.display(), partner = partner.display())]
    PairIncomplete {
        /// The half that was found or asked for.
        path: PathBuf,
        /// The half that was looked for.
        partner: PathBuf,
    },
    /// A prepared volume on the disk is not what was written.
    #[error("{path}: damaged, {reason}; remove it; it will be recreated", path = path.display())]
    CacheDamaged {
        /// The entry's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is not enough memory for the volume.
    #[error("not enough memory for {voxels} voxels")]
    OutOfMemory {
        /// Number of voxels asked for.
        voxels: usize,
    },
    /// A mask, label map or ground truth has values between whole numbers.
    #[error(
        "{path}: expected a mask or label map of whole numbers, found the value {value}: this looks like a probability map \
         or an image; choose a threshold above which a voxel is inside",
        path = path.display()
    )]
    NotWholeNumbers {
        /// The file.
        path: PathBuf,
        /// The first such value.
        value: f32,
    },
    /// A segmentation was to be written of values that are not labels.
    #[error(
        "{path}: a .seg.nrrd holds labels, whole numbers from 0 to 255, found the value {value}; write .nrrd or .nii.gz",
        path = path.display()
    )]
    NotSegments {
        /// The file.
        path: PathBuf,
        /// The first such value.
        value: f64,
    },
    /// What was done with a volume failed.
    #[error("{path}: {problem}", path = path.display())]
    OfFile {
        /// The volume's file.
        path: PathBuf,
        /// What failed; it names no file itself.
        problem: Box<IoError>,
    },
    /// An array is not of the shape of the grid it belongs to.
    #[error("expected an array of shape {expected:?}, found {found:?}")]
    ShapeMismatch {
        /// Shape of the grid.
        expected: [usize; 3],
        /// Shape of the array.
        found: [usize; 3],
    },
    /// Two files that must lie on one grid do not.
    #[error(
        "{first} and {second} do not lie on one grid: {difference}; resample one of them onto the other's grid",
        first = first.display(), second = second.display()
    )]
    GridsDiffer {
        /// One file.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
        /// In what their grids differ.
        difference: GridDifference,
    },
    /// An image and its label are not on one grid.
    #[error(
        "the image has {image:?} voxels after resampling and its label {label:?}; they must share one grid"
    )]
    LabelGrid {
        /// Size of the image, `[D, H, W]`.
        image: [usize; 3],
        /// Size of the label, `[D, H, W]`.
        label: [usize; 3],
    },
    /// Resampling would make a volume too large to hold.
    #[error(
        "resampling {from} voxels by the factors {factors:?} gives more than {limit} voxels; \
         choose a larger target spacing or check the file's spacing"
    )]
    ResampledTooLarge {
        /// Size before, `[D, H, W]`.
        from: Extent,
        /// Factors, `[D, H, W]`.
        factors: [f64; 3],
        /// The limit.
        limit: usize,
    },
    /// Windows that cannot slide over a volume.
    #[error("sliding window: {reason}")]
    WindowInvalid {
        /// The setting, what was expected and what was found.
        reason: String,
    },
    /// A voxel index lies outside the volume.
    #[error("voxel {index:?} lies outside the volume: i runs from 0 to {}, j from 0 to {}, k from 0 to {}",
        last[0], last[1], last[2])]
    VoxelOutside {
        /// The index, `[i, j, k]`.
        index: [i64; 3],
        /// The last valid index, `[i, j, k]`.
        last: [usize; 3],
    },
    /// A point in world space lies outside the volume.
    #[error(
        "point {point_mm:?} mm ({space}) lies outside the volume, which spans {low_mm:.1?} to {high_mm:.1?} mm"
    )]
    WorldPointOutside {
        /// The point in mm.
        point_mm: [f64; 3],
        /// `RAS` or `LPS`.
        space: &'static str,
        /// Smallest coordinates of the volume in that space, mm.
        low_mm: [f64; 3],
        /// Largest coordinates of the volume in that space, mm.
        high_mm: [f64; 3],
    },
    /// A value is not a valid geometry.
    #[error(transparent)]
    Geometry(#[from] GeomError),
}

impl IoError {
    /// Names `path` in the operating system's refusal to read it.
    pub fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Read { path, source }
    }

    /// Names `path` in the operating system's refusal to create, write, rename or remove it.
    pub fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Write { path, source }
    }

    /// This error with the file it is about, if it does not name one itself.
    pub fn of_file(self, path: &Path) -> Self {
        match self {
            Self::OutOfMemory { .. }
            | Self::ShapeMismatch { .. }
            | Self::LabelGrid { .. }
            | Self::ResampledTooLarge { .. }
            | Self::VoxelOutside { .. }
            | Self::WorldPointOutside { .. }
            | Self::Geometry(_) => Self::OfFile { path: path.to_owned(), problem: Box::new(self) },
            named => named,
        }
    }

    /// What failed, without the file that [`of_file`](Self::of_file) added.
    pub fn problem(&self) -> &Self {
        match self {
            Self::OfFile { problem, .. } => problem,
            other => other,
        }
    }
}
