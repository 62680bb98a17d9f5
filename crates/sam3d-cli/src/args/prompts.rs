use std::{
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::Context;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches};
use sam3d_geom::PointLabel;

use super::{
    PointArg,
    values::{coordinates, split_label},
};

/// The prompts of the command line, in its order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PromptArgs(pub Vec<PromptArg>);

/// A prompt of the command line. Coordinates are voxels or millimetres, as `--space` says.
#[derive(Debug, Clone, PartialEq)]
pub enum PromptArg {
    /// `--point`.
    Point(PointArg),
    /// `--box`.
    Box(BoxArg),
    /// `--scribble`.
    Scribble(PathArg),
    /// `--lasso`.
    Lasso(PathArg),
    /// `--initial`.
    Initial(PathBuf),
}

impl PromptArg {
    /// The option that the prompt was given with.
    pub fn option(&self) -> &'static str {
        match self {
            Self::Point(_) => "--point",
            Self::Box(_) => "--box",
            Self::Scribble(_) => "--scribble",
            Self::Lasso(_) => "--lasso",
            Self::Initial(_) => "--initial",
        }
    }
}

/// A box of the command line: `I,J,K:I,J,K`, and `,-` at the end if the target lies outside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxArg {
    /// Two opposite corners, both inside the box.
    pub corners: [[f64; 3]; 2],
    /// Whether the target is in the box.
    pub label: PointLabel,
}

impl FromStr for BoxArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected two corners, I,J,K:I,J,K".to_owned();
        let (text, label) = split_label(text);
        let (first, last) = text.split_once(':').ok_or_else(expected)?;
        let corners = [first, last].map(coordinates);
        let [Some(first), Some(last)] = corners else { return Err(expected()) };
        Ok(Self { corners: [first, last], label: label.unwrap_or_default() })
    }
}

/// A stroke or an outline of the command line: `I,J,K;I,J,K;...` or a file of such points, and `,-` at the end if it lies
/// outside the target.
#[derive(Debug, Clone, PartialEq)]
pub struct PathArg {
    source: PathSource,
    label: Option<PointLabel>,
}

#[derive(Debug, Clone, PartialEq)]
enum PathSource {
    Points(Vec<[f64; 3]>),
    File(PathBuf),
}

impl PathArg {
    /// The points, read from the file if one was named, and whether they are inside the target.
    ///
    /// # Errors
    /// If the file cannot be read or is not a list of points.
    pub fn read(&self) -> anyhow::Result<(Vec<[f64; 3]>, PointLabel)> {
        match &self.source {
            PathSource::Points(points) => Ok((points.clone(), self.label.unwrap_or_default())),
            PathSource::File(path) => {
                let (points, label) = read_points(path)?;
                Ok((points, self.label.or(label).unwrap_or_default()))
            }
        }
    }
}

impl FromStr for PathArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (points, label) = split_label(text);
        let is_coordinates = |c: char| c.is_ascii_digit() || c.is_ascii_whitespace() || "+-.,;eE".contains(c);
        let source = if !points.chars().all(is_coordinates) {
            PathSource::File(PathBuf::from(points))
        } else {
            let points = points_of(points.split(';'));
            PathSource::Points(points.ok_or_else(|| "expected a file or points, I,J,K;I,J,K;...".to_owned())?)
        };
        Ok(Self { source, label })
    }
}

/// The points of a file: `I,J,K` on each line, or several with `;` between them. Lines that begin with `#` are comments.
fn read_points(path: &Path) -> anyhow::Result<(Vec<[f64; 3]>, Option<PointLabel>)> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join(";");
    let (points, label) = split_label(joined.trim_end_matches(|c: char| c == ';' || c.is_whitespace()));
    let points = points_of(points.split(';').filter(|part| !part.trim().is_empty()));
    let points = points.with_context(|| format!("{}: expected I,J,K on each line", path.display()))?;
    Ok((points, label))
}

fn points_of<'a>(parts: impl Iterator<Item = &'a str>) -> Option<Vec<[f64; 3]>> {
    let points: Vec<[f64; 3]> = parts.map(coordinates).collect::<Option<_>>()?;
    (!points.is_empty()).then_some(points)
}

/// The options, each by itself: clap keeps what was given by option.
#[derive(Debug, Args)]
struct PromptOptions {
    /// Click inside the target, I,J,K, or outside, I,J,K,-; repeat for more
    #[arg(long = "point", value_name = "I,J,K[,+|-]", allow_hyphen_values = true)]
    points: Vec<PointArg>,

    /// Box around the target by two corners, or a rectangle in one slice; ,- at the end: the target is outside
    #[arg(long = "box", value_name = "I,J,K:I,J,K", allow_hyphen_values = true)]
    boxes: Vec<BoxArg>,

    /// Stroke in one slice inside the target, or outside with ,- at the end; a file has I,J,K on each line
    #[arg(long = "scribble", value_name = "FILE|I,J,K;...", allow_hyphen_values = true)]
    scribbles: Vec<PathArg>,

    /// Closed outline in one slice around the target, as --scribble
    #[arg(long = "lasso", value_name = "FILE|I,J,K;...", allow_hyphen_values = true)]
    lassos: Vec<PathArg>,

    /// Mask to begin from, on the image's grid: all nonzero voxels
    #[arg(long, value_name = "MASK")]
    initial: Option<PathBuf>,
}

impl FromArgMatches for PromptArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let at = |id: &str| matches.indices_of(id).into_iter().flatten().collect::<Vec<_>>();
        let PromptOptions { points, boxes, scribbles, lassos, initial } =
            PromptOptions::from_arg_matches(matches)?;
        let mut placed: Vec<(usize, PromptArg)> = Vec::new();
        placed.extend(at("points").into_iter().zip(points.into_iter().map(PromptArg::Point)));
        placed.extend(at("boxes").into_iter().zip(boxes.into_iter().map(PromptArg::Box)));
        placed.extend(at("scribbles").into_iter().zip(scribbles.into_iter().map(PromptArg::Scribble)));
        placed.extend(at("lassos").into_iter().zip(lassos.into_iter().map(PromptArg::Lasso)));
        placed.extend(at("initial").into_iter().zip(initial.into_iter().map(PromptArg::Initial)));
        placed.sort_by_key(|(index, _)| *index);
        Ok(Self(placed.into_iter().map(|(_, prompt)| prompt).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for PromptArgs {
    fn augment_args(command: Command) -> Command {
        PromptOptions::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        PromptOptions::augment_args_for_update(command)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        prompts: PromptArgs,
    }

    fn prompts(line: &[&str]) -> Result<Vec<PromptArg>, Error> {
        Ok(Line::try_parse_from([&["line"], line].concat())?.prompts.0)
    }

    #[test]
    fn prompts_come_in_the_order_of_the_command_line() {
        let line = [
            "--scribble",
            "1,2,3;4,5,3,-",
            "--point",
            "7,8,9",
            "--initial",
            "mask.nii.gz",
            "--box",
            "1,2,3:4,5,6",
            "--point=1,1,1,-",
            "--lasso",
            "outline.txt",
            "--scribble",
            "1,2,3",
        ];
        let options: Vec<&str> = prompts(&line).unwrap().iter().map(PromptArg::option).collect();
        let expected = ["--scribble", "--point", "--initial", "--box", "--point", "--lasso", "--scribble"];
        assert_eq!(options, expected);
        assert_eq!(prompts(&[]).unwrap(), []);
        assert!(prompts(&["--initial", "a.nii", "--initial", "b.nii"]).is_err());
    }

    #[test]
    fn boxes_have_two_corners() {
        let positive = BoxArg { corners: [[1.0, 2.0, 3.0], [4.0, 5.0, 3.0]], label: PointLabel::Positive };
        assert_eq!("1,2,3:4,5,3".parse(), Ok(positive));
        assert_eq!("1,2,3 : 4,5,3,+".parse(), Ok(positive));
        let negative = BoxArg { label: PointLabel::Negative, ..positive };
        assert_eq!("1,2,3:4,5,3,-".parse(), Ok(negative));
        assert_eq!(
            "-1.5,2,3:4,5,-3".parse::<BoxArg>().unwrap().corners,
            [[-1.5, 2.0, 3.0], [4.0, 5.0, -3.0]]
        );
        for bad in ["", "1,2,3", "1,2,3:4,5", "1,2,3:4,5,6:7,8,9", "1,2,3,-:4,5,6", "a:b", "1,2,3:4,5,nan"] {
            assert!(bad.parse::<BoxArg>().is_err(), "{bad}");
        }
    }

    #[test]
    fn strokes_are_typed_or_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("stroke.txt");
        fs::write(&file, "# a stroke\n1,2,3\n4, 5, 3 ; 6,7,3,-\n\n").unwrap();
        let read = |text: &str| text.parse::<PathArg>().unwrap().read();
        let (points, negative) =
            (vec![[1.0, 2.0, 3.0], [4.0, 5.0, 3.0], [6.0, 7.0, 3.0]], PointLabel::Negative);
        let named = file.display().to_string();
        assert_eq!(read(&named).unwrap(), (points.clone(), negative));
        assert_eq!(read(&format!("{named},+")).unwrap(), (points.clone(), PointLabel::Positive));
        assert_eq!(read("1,2,3;4,5,3;6,7,3,-").unwrap(), (points, negative));
        assert_eq!(read("-1.5,2e1,3").unwrap(), (vec![[-1.5, 20.0, 3.0]], PointLabel::Positive));
        for bad in ["", "1,2", "1,2,3;", "1,2,3;4,5,-,6", ";"] {
            assert!(bad.parse::<PathArg>().is_err(), "{bad}");
        }
        fs::write(&file, "1,2\n").unwrap();
        assert!(read(&named).unwrap_err().to_string().contains("stroke.txt: expected I,J,K"));
        fs::write(&file, "# nothing\n").unwrap();
        assert!(read(&named).is_err());
        assert!(read("nowhere.txt").unwrap_err().to_string().contains("cannot read nowhere.txt"));
    }
}
