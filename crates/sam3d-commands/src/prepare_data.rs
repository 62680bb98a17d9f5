use std::{
    collections::BTreeSet,
    fmt,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use clap::Args;
use sam3d_data::{
    dataset::{Case, CaseId, Dataset, PreparedDataset, find_cases},
    nnunet,
    preparation::{
        self, CheckedCase, Outcome, PreparationOptions, SplitSource, check, generate, merge_shards,
        write_shard,
    },
    shard::Shard,
};
use serde::Serialize;

use crate::{Program, progress::Bars, source};

/// Generated cases: enough to split, few enough to be generated within a minute.
const DEMO_CASES: u64 = 24;

/// Check the cases of a dataset, and write its list of cases and its splits
#[derive(Debug, Clone, Args)]
pub struct PrepareDataArgs {
    /// Dataset: demo, kits21, lits17, msd-colon, msd-pancreas, sts-ct, a TOML file like those in datasets/, or a directory
    /// in nnU-Net's format (dataset.json, imagesTr, labelsTr), whose splits_final.json is imported if it is there
    #[arg(long, default_value = "demo", value_name = "NAME|FILE|DIR")]
    dataset: String,

    /// Label of a directory in nnU-Net's format that is the target; required if there are several
    #[arg(long, value_name = "NAME|VALUE")]
    label: Option<String>,

    /// The published dataset: a directory, an archive (.tar, .tar.gz, .zip) or the address of one. Without it, demo is
    /// generated, msd-colon and msd-pancreas are downloaded, and for the others the error says where they are
    #[arg(long, value_name = "DIR|ARCHIVE|URL")]
    source: Option<String>,

    /// Directory to write to [default: data/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Folds of a cross-validation instead of one split
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(2..=100), conflicts_with = "import_splits")]
    folds: Option<u16>,

    /// A published list of splits instead: JSON, a pickle, or text with a part and a case on each line
    #[arg(long, value_name = "FILE")]
    import_splits: Option<PathBuf>,

    /// Take clip range, mean and deviation from the training cases (of the first fold) instead of the description
    #[arg(long)]
    fit_intensity: bool,

    /// Check only the I-th of N shards of the cases, for a job array; --merge puts the shards together
    #[arg(long, value_name = "I/N", conflicts_with_all = ["merge", "folds", "import_splits", "fit_intensity"])]
    shard: Option<Shard>,

    /// Put together the results of N jobs with --shard, and split the cases
    #[arg(long, value_name = "N", conflicts_with = "source")]
    merge: Option<NonZeroUsize>,

    /// Take each label for its image's voxels, whatever the label's affine says, if there are as many
    #[arg(long)]
    labels_on_image_voxels: bool,

    /// The most that an archive may hold once unpacked, in GB
    #[arg(long, default_value_t = 500, value_name = "GB")]
    max_unpacked: u64,
}

/// What was prepared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrepareDataReport {
    /// The dataset's name.
    pub dataset: String,
    /// The directory that was written, or the file of a shard.
    pub path: PathBuf,
    /// Cases found, in all shards.
    pub found: usize,
    /// The shard that was checked, if not the whole.
    #[serde(serialize_with = "as_text")]
    pub shard: Option<Shard>,
    /// Cases checked.
    pub checked: usize,
    /// Those of them that cannot be used.
    pub dropped: Vec<DroppedCase>,
    /// Usable cases whose label's affine was ignored, as the dataset or the command asks.
    pub label_affines_ignored: usize,
    /// Usable cases that no split uses.
    pub unused: usize,
    /// Lower and upper end of the clip range in HU, mean, standard deviation; none of a shard.
    pub intensity: Option<[f64; 4]>,
    /// Sizes of the folds; none of a shard.
    pub folds: Vec<FoldSizes>,
}

/// A case that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DroppedCase {
    /// Its name.
    pub case: String,
    /// Why it cannot be used.
    pub why: String,
}

/// How many cases each part of a fold has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FoldSizes {
    /// Cases for training.
    pub train: usize,
    /// Cases for validation.
    pub validation: usize,
    /// Cases for test.
    pub test: usize,
}

impl PrepareDataArgs {
    /// The arguments that generate the dataset `demo` in the directory `out`.
    pub fn demo(out: PathBuf) -> Self {
        Self {
            dataset: "demo".to_owned(),
            label: None,
            source: None,
            out: Some(out),
            folds: None,
            import_splits: None,
            fit_intensity: false,
            shard: None,
            merge: None,
            labels_on_image_voxels: false,
            max_unpacked: 500,
        }
    }

    /// Finds or generates the cases, checks and splits them, and writes the directory that training reads. `seed` is that
    /// of the splits and of generated cases.
    ///
    /// # Errors
    /// If no usable case is found, or a file cannot be read or written. No list is written before all cases are checked.
    pub fn run(&self, seed: u64, program: &Program) -> Result<PrepareDataReport> {
        let bars = Bars::new(program);
        let directory = Some(Path::new(&self.dataset))
            .filter(|path| Dataset::named(&self.dataset).is_err() && nnunet::is_nnunet(path));
        let mut dataset = match directory {
            Some(directory) => nnunet::describe(directory, self.label.as_deref())?,
            None if self.label.is_some() => {
                bail!("--label: only a directory in nnU-Net's format has labels to choose")
            }
            None => Dataset::named_or_open(&self.dataset)?,
        };
        let source = self.source.as_deref().or(directory.map(|_| self.dataset.as_str()));
        dataset.labels_on_image_voxels |= self.labels_on_image_voxels;
        let out = self.out.clone().unwrap_or_else(|| program.root.join("data").join(&dataset.name));
        let checked = match (self.merge, self.shard) {
            (Some(count), _) => merge_shards(&out, count.get(), &dataset)?,
            (None, Some(shard)) => return self.check_shard(shard, &dataset, source, &out, &bars),
            (None, None) => {
                let cases = self.cases(&dataset, source, &out, seed, &bars)?;
                check(&dataset, cases, &|event| bars.show(event))?
            }
        };
        let mut report = PrepareDataReport::of_checked(&dataset, &out, &checked);
        let listed = directory.and_then(nnunet::splits_file);
        let splits = match (&self.import_splits, self.folds, &listed) {
            (Some(path), ..) | (None, None, Some(path)) => SplitSource::Published(path),
            (None, Some(folds), _) => SplitSource::Folds(folds.into()),
            (None, None, None) => SplitSource::Random,
        };
        // nnU-Net's format says nothing of intensities.
        let fit_intensity = self.fit_intensity || directory.is_some();
        let options = PreparationOptions { seed, splits, fit_intensity };
        let prepared = preparation::prepare(dataset, &checked, &out, &options, &|event| bars.show(event))
            .inspect_err(|_| bars.say(report.table().trim_end()))?;
        report.add(&prepared);
        Ok(report)
    }

    fn check_shard(
        &self,
        shard: Shard,
        dataset: &Dataset,
        source: Option<&str>,
        out: &Path,
        bars: &Bars,
    ) -> Result<PrepareDataReport> {
        if source.is_none() && dataset.name == "demo" {
            bail!("--shard: the demo's cases are generated by one job");
        }
        let cases = self.cases(dataset, source, out, 0, bars)?;
        let checked =
            check(dataset, shard.of(&cases).into_iter().cloned().collect(), &|event| bars.show(event))?;
        let mut report = PrepareDataReport::of_checked(dataset, out, &checked);
        report.path = write_shard(shard, out, dataset, &cases, checked)?;
        (report.shard, report.found) = (Some(shard), cases.len());
        Ok(report)
    }

    /// The cases of `dataset`, generated or found where the arguments say.
    fn cases(
        &self,
        dataset: &Dataset,
        source: Option<&str>,
        out: &Path,
        seed: u64,
        bars: &Bars,
    ) -> Result<Vec<Case>> {
        if source.is_none() && dataset.name == "demo" {
            return Ok(generate(dataset, out, seed, DEMO_CASES, &|event| bars.show(event))?);
        }
        let limit_bytes = self.max_unpacked.saturating_mul(1_000_000_000);
        let directory = source::directory(dataset, source, out, limit_bytes, bars)?;
        Ok(find_cases(dataset, &directory)?)
    }
}

impl PrepareDataReport {
    fn of_checked(dataset: &Dataset, path: &Path, checked: &[CheckedCase]) -> Self {
        let dropped = checked.iter().filter_map(|checked| match &checked.outcome {
            Outcome::Usable(_) => None,
            Outcome::Dropped(why) => {
                Some(DroppedCase { case: checked.case.id.to_string(), why: why.clone() })
            }
        });
        let ignores_affine = |checked: &&CheckedCase| matches!(&checked.outcome, Outcome::Usable(facts) if facts.label_affine_ignored);
        Self {
            dataset: dataset.name.clone(),
            path: path.to_owned(),
            found: checked.len(),
            shard: None,
            checked: checked.len(),
            dropped: dropped.collect(),
            label_affines_ignored: checked.iter().filter(ignores_affine).count(),
            unused: 0,
            intensity: None,
            folds: Vec::new(),
        }
    }

    fn add(&mut self, prepared: &PreparedDataset) {
        let folds = &prepared.splits.folds;
        let used: BTreeSet<&CaseId> = folds
            .iter()
            .flat_map(|fold| fold.train.iter().chain(&fold.validation).chain(&fold.test))
            .collect();
        self.unused = prepared.cases.len() - used.len();
        let intensity = prepared.dataset.preprocessing.intensity;
        let [low, high] = intensity.clip_hu();
        self.intensity = Some([low, high, intensity.mean(), intensity.std()]);
        self.folds = folds
            .iter()
            .map(|fold| FoldSizes {
                train: fold.train.len(),
                validation: fold.validation.len(),
                test: fold.test.len(),
            })
            .collect();
    }

    /// How many cases can be used, and which cannot and why.
    fn table(&self) -> String {
        let (checked, dropped) = (self.checked, self.dropped.len());
        let mut text = format!("{checked} cases found, {} usable, {dropped} dropped\n", checked - dropped);
        if self.label_affines_ignored > 0 {
            text.push_str(&format!(
                "{} labels have an affine of their own that was set aside: their voxels are taken for the image's\n",
                self.label_affines_ignored
            ));
        }
        if dropped > 0 {
            let width =
                self.dropped.iter().map(|dropped| dropped.case.len()).max().unwrap_or(0).max("dropped".len());
            text.push_str(&format!("  {:<width$}  why\n", "dropped"));
            for DroppedCase { case, why } in &self.dropped {
                text.push_str(&format!("  {case:<width$}  {why}\n"));
            }
        }
        text
    }
}

impl fmt::Display for PrepareDataReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table())?;
        let path = self.path.display();
        if let Some(shard) = self.shard {
            let (checked, found, count) = (self.checked, self.found, shard.count());
            return writeln!(
                f,
                "{path}: {checked} of {found} cases; put all shards together with --merge {count}"
            );
        }
        if self.unused > 0 {
            writeln!(f, "{} usable cases are in no list and will not be used", self.unused)?;
        }
        if let Some([low, high, mean, std]) = self.intensity {
            writeln!(f, "intensities: {low} to {high} HU, mean {mean:.2}, standard deviation {std:.2}")?;
        }
        for (number, FoldSizes { train, validation, test }) in self.folds.iter().enumerate() {
            writeln!(
                f,
                "fold {number}: {train} cases for training, {validation} for validation, {test} for test"
            )?;
        }
        writeln!(f, "{path}: {} cases, ready for `sam3d train --data`", self.checked - self.dropped.len())
    }
}

/// A shard as it is typed.
fn as_text<S: serde::Serializer>(shard: &Option<Shard>, serializer: S) -> Result<S::Ok, S::Error> {
    shard.map(|shard| shard.to_string()).serialize(serializer)
}
