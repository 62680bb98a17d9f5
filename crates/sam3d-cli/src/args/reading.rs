use std::path::Path;

use clap::Args;
use sam3d_io::{Format, IoError, ReadLimits, Volume, dicom};

/// How volumes are read.
#[derive(Debug, Clone, Args)]
pub struct ReadArgs {
    /// Refuse volumes with more voxels, before memory is allocated
    #[arg(long, value_name = "N", default_value_t = ReadLimits::default().max_voxels)]
    pub max_voxels: usize,
}

impl ReadArgs {
    /// The limits of `sam3d-io`.
    pub fn limits(&self) -> ReadLimits {
        ReadLimits { max_voxels: self.max_voxels }
    }
}

/// How an image is read, which may be a directory of DICOM slices.
#[derive(Debug, Clone, Args)]
pub struct ImageReadArgs {
    /// Limits.
    #[command(flatten)]
    pub reading: ReadArgs,

    /// Series Instance UID of the DICOM series to read, if a directory has several
    #[arg(long, value_name = "UID")]
    pub series: Option<String>,
}

impl ImageReadArgs {
    /// The limits of `sam3d-io`.
    pub fn limits(&self) -> ReadLimits {
        self.reading.limits()
    }

    /// Reads the image at `path`; `--series` applies to DICOM only.
    ///
    /// # Errors
    /// As [`sam3d_io::read()`].
    pub fn read(&self, path: &Path) -> Result<Volume, IoError> {
        match &self.series {
            Some(uid) if Format::recognise(path)? == Format::Dicom => {
                dicom::read(path, Some(uid), self.limits())
            }
            _ => sam3d_io::read(path, self.limits()),
        }
    }
}
