use std::path::PathBuf;

use clap::Args;

/// A DICOMweb archive, and where its series are kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "DICOMweb")]
pub struct DicomWebArgs {
    /// DICOMweb archive, as https://host/dicom-web
    #[arg(long, value_name = "URL")]
    pub dicomweb: Option<String>,

    /// File with the archive's token, or with `Basic` and the base64 of user:password
    #[arg(long, value_name = "FILE", requires = "dicomweb")]
    pub dicomweb_token_file: Option<PathBuf>,

    /// Directory for fetched series [default: dicomweb in the cache directory]
    #[arg(long, value_name = "DIR", requires = "dicomweb")]
    pub dicomweb_cache: Option<PathBuf>,

    /// Size of that directory, in MiB; the series used longest ago are removed first
    #[arg(long, value_name = "MIB", default_value_t = 16384)]
    pub dicomweb_cache_size: u64,
}
