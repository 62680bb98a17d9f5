//! Command-line arguments: one file per command, and the values that several commands share.

mod compare;
mod convert;
mod convert_volume;
mod dataset_stats;
mod dicomweb;
mod eval;
mod export_nnunet;
mod fetch_sample;
mod fetch_weights;
mod global;
mod info;
mod mask;
mod measure;
mod metrics;
mod models;
mod prepare_data;
mod prompts;
mod reading;
mod segment;
mod serve;
mod setting;
mod study;
mod train;
mod values;
mod weights;

use clap::{Parser, Subcommand};

pub use compare::{CompareArgs, RunArg};
pub use convert::ConvertArgs;
pub use convert_volume::ConvertVolumeArgs;
pub use dataset_stats::DatasetStatsArgs;
pub use dicomweb::DicomWebArgs;
pub use eval::{
    EvalArgs, FirstArg, KeepMasks, MethodName, PositionArg, ProtocolArg, RunCheckpoint, Split, WindowWeights,
};
pub use export_nnunet::ExportNnunetArgs;
pub use fetch_sample::FetchSampleArgs;
pub use fetch_weights::FetchWeightsArgs;
pub use global::{DeviceArg, GlobalArgs};
pub use info::InfoArgs;
pub use mask::MaskArgs;
pub use measure::MeasureArgs;
pub use metrics::MetricsArgs;
pub use models::ModelsArgs;
pub use prepare_data::PrepareDataArgs;
pub use prompts::{BoxArg, PathArg, PromptArg, PromptArgs};
pub use reading::{ImageReadArgs, ReadArgs};
pub use segment::SegmentArgs;
pub use serve::ServeArgs;
pub use setting::Setting;
pub use study::{Numbers, StudyArgs};
pub use train::TrainArgs;
pub use values::{PointArg, Space};
pub use weights::WeightsArg;

const CONVENTIONS: &str = "\
Results go to standard output, everything else to standard error. The exit code is 0 on success,
1 on failure and 2 for wrong usage. `sam3d COMMAND --help` shows examples.";

/// Segment tumours in CT volumes from clicks
#[derive(Debug, Parser)]
#[command(name = "sam3d", version, arg_required_else_help = true, after_help = CONVENTIONS)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Whether log lines are to be JSON.
    pub fn logs_json(&self) -> bool {
        matches!(&self.command, Command::Serve(args) if args.log_json)
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Segment the structure that clicks, boxes, scribbles, outlines or a rough mask show
    Segment(SegmentArgs),
    /// Serve a page to click in, and viewers that use nnInteractive's or MONAI Label's protocol
    Serve(ServeArgs),
    /// Check the cases of a dataset, and write its list of cases and its splits
    PrepareData(PrepareDataArgs),
    /// Write a prepared dataset in nnU-Net's format
    ExportNnunet(ExportNnunetArgs),
    /// Print the intensity statistics of a dataset's target, for its description
    DatasetStats(DatasetStatsArgs),
    /// List the built-in and the downloaded weights
    Models(ModelsArgs),
    /// Download two lung CTs with outlined lesions, to try the program on
    FetchSample(FetchSampleArgs),
    /// Download SAM's weights, from which training starts
    FetchWeights(FetchWeightsArgs),
    /// Train on a prepared dataset
    Train(TrainArgs),
    /// Evaluate a network on a dataset by the published protocol
    Eval(EvalArgs),
    /// Train and evaluate a table of methods on one dataset
    Study(StudyArgs),
    /// Compare evaluations with each other and with the published scores
    Compare(CompareArgs),
    /// Compare masks: Dice, surface Dice, Hausdorff distance and more
    Metrics(MetricsArgs),
    /// Measure a mask: volume, RECIST and WHO diameters, bounding box, intensities
    Measure(MeasureArgs),
    /// Convert a structure of an RT structure set, or a segment of a DICOM segmentation, to a mask
    Mask(MaskArgs),
    /// Convert PyTorch weights to a checkpoint
    Convert(ConvertArgs),
    /// Convert a volume of any format to NIfTI or NRRD
    ConvertVolume(ConvertVolumeArgs),
    /// Describe a volume, a DICOM directory or a checkpoint
    Info(InfoArgs),
}

#[cfg(test)]
mod tests {
    use clap::{Args, CommandFactory, error::ErrorKind};

    use super::*;

    fn parse<A: Args>(line: &str) -> Result<A, ErrorKind> {
        let command = A::augment_args(clap::Command::new("sam3d").no_binary_name(true));
        let matches = command.try_get_matches_from(line.split(' '));
        matches.and_then(|matches| A::from_arg_matches(&matches)).map_err(|error| error.kind())
    }

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
        let commands = [
            SegmentArgs::augment_args,
            TrainArgs::augment_args,
            EvalArgs::augment_args,
            ConvertArgs::augment_args,
            ServeArgs::augment_args,
            PrepareDataArgs::augment_args,
            DatasetStatsArgs::augment_args,
            FetchWeightsArgs::augment_args,
            StudyArgs::augment_args,
            FetchSampleArgs::augment_args,
            ModelsArgs::augment_args,
        ];
        for args in commands {
            GlobalArgs::augment_args(args(clap::Command::new("sam3d"))).debug_assert();
        }
    }

    #[test]
    fn clicks_may_start_with_a_minus() {
        let line = "--weights w --image i --out o --space lps --point -1.5,2,3 --point 4,5,6,-";
        let args: SegmentArgs = parse(line).unwrap();
        let first = |prompt: &PromptArg| match prompt {
            PromptArg::Point(point) => point.coordinates[0],
            other => panic!("{}", other.option()),
        };
        assert_eq!(args.prompts.0.iter().map(first).collect::<Vec<_>>(), [-1.5, 4.0]);
        assert_eq!((args.space, args.threshold, args.label.get()), (Space::Lps, 0.5, 1));
        assert_eq!(
            parse::<SegmentArgs>("--weights w --image i --out o --max-crops 3").unwrap_err(),
            ErrorKind::MissingRequiredArgument
        );
        assert_eq!(
            parse::<SegmentArgs>("--weights w --image i --out o --point 1,2,3 --threshold 50").unwrap_err(),
            ErrorKind::ValueValidation
        );
    }

    #[test]
    fn evaluation_is_of_one_network() {
        let args: EvalArgs = parse("--run runs/a").unwrap();
        assert_eq!(args.points.iter().map(|n| n.get()).collect::<Vec<_>>(), [1, 3, 10]);
        assert_eq!(args.tolerance.iter().map(|t| t.mm()).collect::<Vec<_>>(), [5.0]);
        // Without either the built-in weights are evaluated.
        assert_eq!(parse::<EvalArgs>("--ball").unwrap().weights, []);
        assert_eq!(parse::<EvalArgs>("--run a --weights b").unwrap_err(), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn a_resumed_run_has_its_own_weights() {
        let args: TrainArgs = parse("--model vit_b --set a.b=1 --set c=2").unwrap();
        assert_eq!((args.model, args.settings.len()), (Some(sam3d_model::Preset::VitB), 2));
        assert_eq!(parse::<TrainArgs>("--resume --pretrained w").unwrap_err(), ErrorKind::ArgumentConflict);
        assert_eq!(
            parse::<ConvertArgs>("--in a --out b --model vit_x").unwrap_err(),
            ErrorKind::InvalidValue
        );
    }
}
