use std::{
    num::{NonZeroU8, NonZeroUsize},
    path::{Path, PathBuf},
};

use clap::Args;
use sam3d_infer::TestTimeAugmentation;
use sam3d_io::dicom::derived::SegmentKind;
use sam3d_model::Precision;

use super::{
    DicomWebArgs, ImageReadArgs, PromptArgs, Space, WeightsArg,
    values::{augmentation, precision, probability},
};

/// Three crops along each axis.
const DEFAULT_MAX_CROPS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(26);

const NOTES: &str = "\
The mask has the image's grid and type uint8, with the label inside and 0 outside. Files are
written completely or not at all. Points are voxel indices i,j,k of the file as stored, counted
from 0, i fastest, as viewers show them; or millimetres, with x to the right and y to anterior
(ras, as in NIfTI) or x to the left and y to posterior (lps, as in DICOM). Prompts are given to
the network in the order of the command line: neighbouring points together, every other prompt by
itself, so that it corrects the mask so far. Boxes, scribbles, lassos and --initial need weights
trained with dense prompts, points outside the target those trained with labelled points.

Examples:
  One click at voxel i = 112, j = 87, k = 40:
    sam3d segment --weights best.safetensors --image ct.nii.gz --point 112,87,40 --out mask.nii.gz
  Two clicks inside the tumour and one outside, in DICOM coordinates:
    sam3d segment --weights best.safetensors --image ct.nii.gz --space lps --out mask.nii.gz \\
      --point -31.5,12,204 --point -28,15,201 --point -31.5,30,204,-
  A box around the target, and a stroke outside of it that corrects the mask of the box:
    sam3d segment --weights best.safetensors --image ct.nii.gz --out mask.nii.gz \\
      --box 90,70,32:135,110,51 --scribble '95,75,40;101,78,40;104,84,40,-'
  A mask from elsewhere, corrected by two clicks:
    sam3d segment --weights best.safetensors --image ct.nii.gz --out mask.nii.gz \\
      --initial rough.nii.gz --point 112,87,40 --point 131,90,40,-
  With pictures of the result beside a manual segmentation:
    sam3d segment --weights best.safetensors --image ct.nii.gz --point 112,87,40 --out mask.nii.gz \\
      --truth drawn.nii.gz --overlay pictures
  A mask that 3D Slicer shows with its name:
    sam3d segment --weights best.safetensors --image ct.nrrd --point 112,87,40 \\
      --out tumour.seg.nrrd --name \"Left kidney tumour\"
  A DICOM segmentation (SEG) that a PACS stores beside the series, and a structure set (RTSTRUCT):
    sam3d segment --weights best.safetensors --image ct/ --point 112,87,40 --out mask.dcm
    sam3d segment --weights best.safetensors --image ct/ --point 112,87,40 --out gtv.rtstruct.dcm
  A series of a DICOMweb archive, whose segmentation is stored beside it:
    sam3d segment --dicomweb https://pacs.example/dicom-web --dicomweb-token-file token.txt \\
      --series 1.2.840.113619.2.30 --space lps --point -31.5,12,204 --out mask.dcm --store
  A tumour larger than the crop, followed over at most 20 crops:
    sam3d segment --weights best.safetensors --image ct.nii.gz --point 112,87,40 --out mask.nii.gz \\
      --grow --max-crops 20
  Record a session and replay it to the same mask, bit for bit:
    sam3d segment --weights best.safetensors --image ct.nii.gz --point 112,87,40 --out mask.nii.gz \\
      --log session.json
    sam3d segment --weights best.safetensors --image ct.nii.gz --session session.json --out again.nii.gz
  Weights of the prompt-free variant, which segment the whole volume without clicks:
    sam3d segment --weights auto.safetensors --image ct.nii.gz --out mask.nii.gz";

/// Segment the structure that clicks, boxes, scribbles, outlines or a rough mask show
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct SegmentArgs {
    /// Checkpoint: a file, the name of built-in weights, or hf://OWNER/REPO/FILE; of several the probabilities are averaged
    /// [default: built-in weights]
    #[arg(long, value_name = "FILE|NAME|hf://...")]
    pub weights: Vec<WeightsArg>,

    /// File with the tensors that the checkpoint leaves out (its base), if it was moved
    #[arg(long, value_name = "FILE")]
    pub base: Option<PathBuf>,

    /// CT volume (NIfTI, NRRD, MetaImage, or a directory of DICOM slices)
    #[arg(long, value_name = "FILE", required_unless_present = "dicomweb")]
    pub image: Option<PathBuf>,

    /// The prompts.
    #[command(flatten)]
    pub prompts: PromptArgs,

    /// Replay a session log (from --log or the server) instead of prompts
    #[arg(long, value_name = "FILE", conflicts_with_all = ["PromptOptions", "grow"])]
    pub session: Option<PathBuf>,

    /// Replay a session that was recorded on another image or with other weights
    #[arg(long, requires = "session")]
    pub force_session: bool,

    /// Write a session log, which --session replays to the same mask
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,

    /// Coordinates of points, boxes, scribbles and lassos: voxel, ras or lps
    #[arg(long, value_enum, default_value_t = Space::Voxel, hide_possible_values = true)]
    pub space: Space,

    /// Mask to write: .nii.gz, .nii, .nrrd, .seg.nrrd for 3D Slicer; of DICOM also .dcm (SEG), .rtstruct.dcm
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// Also write the probability of every voxel (float32)
    #[arg(long, value_name = "FILE")]
    pub prob_out: Option<PathBuf>,

    /// Probability above which a voxel belongs to the mask
    #[arg(long, value_name = "P", default_value_t = 0.5, value_parser = probability)]
    pub threshold: f64,

    /// Follow a mask that reaches the crop's border: add crops there and blend them
    #[arg(long)]
    pub grow: bool,

    /// Maximum number of crops with --grow, including the first
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_CROPS, requires = "grow")]
    pub max_crops: NonZeroUsize,

    /// Value of the mask's voxels
    #[arg(long, value_name = "N", default_value_t = NonZeroU8::MIN)]
    pub label: NonZeroU8,

    /// Name of the segment in a .seg.nrrd or DICOM file
    #[arg(long, value_name = "NAME", default_value = "target")]
    pub name: String,

    /// What the segment of a DICOM file is: tumour, lesion, or a code VALUE:SCHEME:MEANING
    #[arg(long = "type", value_name = "TYPE", default_value = "tumour")]
    pub kind: SegmentKind,

    /// Write a .dcm as a label map, a newer class that older viewers cannot read
    #[arg(long)]
    pub label_map: bool,

    /// Use the preprocessing of this dataset (name or TOML file) instead of the checkpoint's
    #[arg(long, value_name = "NAME|FILE")]
    pub dataset: Option<String>,

    /// Precision of the network: f32, or bf16 (less exact, faster on processors that support it)
    #[arg(long, value_name = "NAME", default_value_t = Precision::F32, value_parser = precision(), hide_possible_values = true)]
    pub precision: Precision,

    /// Test-time augmentation: none, or flips (the mean over the crop and its seven mirror images, at eight times the cost)
    #[arg(long, value_name = "NAME", default_value_t = TestTimeAugmentation::None, value_parser = augmentation(), hide_possible_values = true)]
    pub tta: TestTimeAugmentation,

    /// Write axial, coronal and sagittal pictures through the first click to this directory
    #[arg(long, value_name = "DIR")]
    pub overlay: Option<PathBuf>,

    /// Ground truth on the image's grid: prints Dice, and is outlined in the pictures
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,

    /// Threshold probability maps given as --initial or --truth: foreground where the value is above P
    #[arg(long, value_name = "P")]
    pub mask_threshold: Option<f32>,

    /// Replace existing files
    #[arg(long)]
    pub force: bool,

    /// How the volumes are read.
    #[command(flatten)]
    pub reading: ImageReadArgs,

    /// Study Instance UID, for archives that search series by study only
    #[arg(long, value_name = "UID", requires = "dicomweb")]
    pub study: Option<String>,

    /// Store the .dcm of --out in the archive as well
    #[arg(long, requires = "dicomweb")]
    pub store: bool,

    /// The archive of the series.
    #[command(flatten)]
    pub archive: DicomWebArgs,
}

impl SegmentArgs {
    /// The image, as messages name it.
    pub fn image_path(&self) -> &Path {
        self.image.as_deref().unwrap_or(Path::new("image"))
    }
}
