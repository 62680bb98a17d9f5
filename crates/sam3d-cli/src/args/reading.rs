use clap::Args;
use sam3d_io::ReadLimits;

/// How volumes are read.
#[derive(Debug, Clone, Args)]
pub struct ReadArgs {
    /// Refuse a volume that claims more voxels, before memory is taken for it
    #[arg(long, value_name = "N", default_value_t = ReadLimits::default().max_voxels)]
    pub max_voxels: usize,
}

impl ReadArgs {
    /// The limits of `sam3d-io`.
    pub fn limits(&self) -> ReadLimits {
        ReadLimits { max_voxels: self.max_voxels }
    }
}
