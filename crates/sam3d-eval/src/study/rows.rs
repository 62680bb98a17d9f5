//! The rows of a study: what each trains, what it changes in the base configuration, and how it is evaluated.

use std::fmt;

use crate::{EvalError, Position, published::published};

/// One row of a study.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StudyRow {
    /// Its name in commands and files.
    pub name: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// The part of the study it belongs to.
    pub group: RowGroup,
    /// What it trains. Rows that train the same share the training.
    pub training: Training,
    /// Its evaluations.
    pub evaluations: &'static [Evaluation],
    /// The method of the published table whose scores stand beside this row's.
    published_method: Option<&'static str>,
    /// Published Dice and NSD on kidney tumours in percent, for ablations that the paper has on these only.
    published_kidney: Option<[f64; 2]>,
}

/// A part of a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowGroup {
    /// This project's method.
    Method,
    /// The comparison networks.
    Networks,
    /// Other ways of tuning the image encoder, without prompts as in the paper.
    Tuning,
    /// The paper's ablations: one change each to the published recipe.
    Ablations,
}

/// What a row trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Training {
    /// This project's network.
    Own {
        /// Name of the training; rows with the same one share it.
        name: &'static str,
        /// Whether a simulated user corrects the network in training. It then accepts dense prompts.
        is_interactive: bool,
        /// Fields of the configuration that differ from the base, as `key.path=value`.
        settings: &'static [&'static str],
    },
    /// A comparison network of this name, by its own recipe.
    Comparison(&'static str),
}

impl Training {
    /// Name of the training, in paths.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Own { name, .. } | Self::Comparison(name) => name,
        }
    }
}

/// One evaluation of a row, whose result is one or more lines of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Evaluation {
    /// The published protocol with these numbers of clicks.
    Clicks(&'static [usize], Position),
    /// One click and then this many that correct the mask.
    Corrections(usize),
    /// No clicks, by the method of this name.
    Automatic(&'static str),
}

impl Evaluation {
    /// Name of its directory.
    pub fn name(&self) -> String {
        match self {
            Self::Clicks(_, Position::Uniform) => "clicks".to_owned(),
            Self::Clicks(_, position) => format!("clicks-{}", position.name()),
            Self::Corrections(clicks) => format!("corrections-{clicks}"),
            Self::Automatic(_) => "automatic".to_owned(),
        }
    }

    /// The lines of the table it gives, as numbers of clicks in the scores.
    pub fn points(&self) -> Vec<usize> {
        match self {
            Self::Clicks(points, _) => points.to_vec(),
            Self::Corrections(clicks) => vec![*clicks],
            Self::Automatic(_) => vec![0],
        }
    }

    /// What the line for `points` clicks is called.
    pub fn prompt(&self, points: usize) -> String {
        let clicks = if points == 1 { "1 click".to_owned() } else { format!("{points} clicks") };
        match self {
            Self::Clicks(_, Position::Uniform) => clicks,
            Self::Clicks(_, position) => format!("{clicks} ({})", position.name()),
            Self::Corrections(clicks) => format!("1 click, {clicks} corrections"),
            Self::Automatic(_) => "none".to_owned(),
        }
    }
}

const CLICKS: Evaluation = Evaluation::Clicks(&[1, 3, 10], Position::Uniform);
const ONE_CLICK: &[Evaluation] = &[Evaluation::Clicks(&[1], Position::Uniform)];
const AUTO: &[Evaluation] = &[Evaluation::Automatic("auto")];

const fn own(name: &'static str, settings: &'static [&'static str]) -> Training {
    Training::Own { name, is_interactive: false, settings }
}

const fn method(
    name: &'static str,
    title: &'static str,
    training: Training,
    evaluations: &'static [Evaluation],
    published_method: &'static str,
) -> StudyRow {
    let published_method = Some(published_method);
    StudyRow {
        name,
        title,
        group: RowGroup::Method,
        training,
        evaluations,
        published_method,
        published_kidney: None,
    }
}

macro_rules! network {
    ($name:literal, $title:literal) => {
        StudyRow {
            name: $name,
            title: $title,
            group: RowGroup::Networks,
            training: Training::Comparison($name),
            evaluations: &[Evaluation::Automatic($name)],
            published_method: Some($name),
            published_kidney: None,
        }
    };
}

const fn tuning(
    name: &'static str,
    title: &'static str,
    settings: &'static [&'static str],
    published_method: &'static str,
) -> StudyRow {
    let row = method(name, title, own(name, settings), AUTO, published_method);
    StudyRow { group: RowGroup::Tuning, ..row }
}

const fn ablation(
    name: &'static str,
    title: &'static str,
    settings: &'static [&'static str],
    published_kidney: Option<[f64; 2]>,
) -> StudyRow {
    StudyRow {
        name,
        title,
        group: RowGroup::Ablations,
        training: own(name, settings),
        evaluations: ONE_CLICK,
        published_method: None,
        published_kidney,
    }
}

const PUBLISHED_TRAINING: Training = own("ours-published", &[]);

const fn position(name: &'static str, title: &'static str, evaluations: &'static [Evaluation]) -> StudyRow {
    StudyRow { training: PUBLISHED_TRAINING, evaluations, ..ablation(name, title, &[], None) }
}

/// Every row, in the order of the table.
pub const ROWS: &[StudyRow] = &[
    method(
        "ours",
        "this method, trained with a simulated user who corrects it",
        Training::Own { name: "ours", is_interactive: true, settings: &[] },
        &[CLICKS, Evaluation::Corrections(5)],
        "sam3d",
    ),
    method(
        "ours-published",
        "this method, published recipe without corrections",
        PUBLISHED_TRAINING,
        &[CLICKS],
        "sam3d",
    ),
    method(
        "ours-auto",
        "this method without prompts",
        own("ours-auto", &["variant.auto=true"]),
        AUTO,
        "auto",
    ),
    network!("nnunet", "nnU-Net's network"),
    network!("transbts", "TransBTS"),
    network!("nnformer", "nnFormer"),
    network!("swin_unetr", "Swin-UNETR"),
    network!("unetr_pp", "UNETR++"),
    network!("ux_net", "3D UX-Net"),
    tuning(
        "tuning-full",
        "without prompts, full fine-tuning of the encoder",
        &["variant.auto=true", "variant.tuning=full"],
        "auto-full",
    ),
    tuning(
        "tuning-adapter",
        "without prompts, Adapter",
        &["variant.auto=true", "variant.tuning=adapter"],
        "auto-adapter",
    ),
    tuning(
        "tuning-pro_tuning",
        "without prompts, Pro-tuning",
        &["variant.auto=true", "variant.tuning=pro_tuning"],
        "auto-pro-tuning",
    ),
    tuning(
        "tuning-st_adapter",
        "without prompts, ST-Adapter",
        &["variant.auto=true", "variant.tuning=st_adapter"],
        "auto-st-adapter",
    ),
    tuning(
        "tuning-med_tuning",
        "without prompts, Med-tuning",
        &["variant.auto=true", "variant.tuning=med_tuning"],
        "auto-med-tuning",
    ),
    ablation(
        "prompts-levels-3-4",
        "prompts inserted at the two deepest levels",
        &["variant.prompt_levels=[3, 4]"],
        None,
    ),
    ablation(
        "prompts-levels-1-4",
        "prompts inserted at all four levels",
        &["variant.prompt_levels=[1, 2, 3, 4]"],
        Some([64.61, 71.33]),
    ),
    ablation(
        "aggregation-last",
        "the decoder sees the last feature map only",
        &["variant.aggregated_levels=[4]"],
        None,
    ),
    ablation(
        "positional",
        "positional encoding of clicks instead of the visual sampler",
        &["variant.point_features=positional"],
        None,
    ),
    position(
        "position-centre",
        "clicks in the centre of the tumour",
        &[Evaluation::Clicks(&[1], Position::Centre)],
    ),
    position(
        "position-surrounding",
        "clicks between centre and margin",
        &[Evaluation::Clicks(&[1], Position::Surrounding)],
    ),
    position(
        "position-margin",
        "clicks at the margin of the tumour",
        &[Evaluation::Clicks(&[1], Position::Margin)],
    ),
];

impl RowGroup {
    /// Its name in commands.
    pub fn name(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Networks => "networks",
            Self::Tuning => "tuning",
            Self::Ablations => "ablations",
        }
    }
}

impl StudyRow {
    /// The rows that `names` list, each once: names of rows and of groups, and `all`.
    ///
    /// # Errors
    /// [`EvalError::Setting`] for an unknown name.
    pub fn named(names: &[String]) -> Result<Vec<&'static Self>, EvalError> {
        let mut rows: Vec<&Self> = Vec::new();
        for name in names {
            let is_meant = |row: &&Self| name == "all" || row.name == name || row.group.name() == name;
            let found: Vec<&Self> = ROWS.iter().filter(is_meant).collect();
            if found.is_empty() {
                let expected = "names of rows, or method, networks, tuning, ablations or all";
                return Err(EvalError::Setting { field: "rows", found: name.clone(), expected });
            }
            for row in found {
                if rows.iter().all(|other| other.name != row.name) {
                    rows.push(row);
                }
            }
        }
        Ok(rows)
    }

    /// Published Dice and NSD as shares of 1 for `points` clicks after `evaluation`, on `dataset`.
    ///
    /// # Errors
    /// As [`published`].
    pub fn published(
        &self,
        evaluation: &Evaluation,
        points: usize,
        dataset: &str,
    ) -> Result<Option<[f64; 2]>, EvalError> {
        if matches!(evaluation, Evaluation::Corrections(_)) {
            return Ok(None);
        }
        let kidney = self.published_kidney.filter(|_| dataset == KIDNEY);
        let rows = published()?;
        let row = rows
            .iter()
            .find(|row| Some(row.method.as_str()) == self.published_method && row.points == points);
        Ok(row
            .and_then(|row| row.score(dataset))
            .or_else(|| kidney.map(|scores| scores.map(|percent| percent / 100.0))))
    }
}

/// The published dataset of kidney tumours.
pub const KIDNEY: &str = "kits21";

impl fmt::Display for Training {
    /// What the row changes in the base configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Comparison(name) => write!(f, "baseline.method={name}, its own recipe"),
            Self::Own { is_interactive, settings, .. } => {
                let interaction = match is_interactive {
                    true => "train.interaction, variant.dense_prompts=true",
                    false => "no train.interaction, variant.dense_prompts=false",
                };
                write!(f, "{interaction}")?;
                settings.iter().try_for_each(|setting| write!(f, ", {setting}"))
            }
        }
    }
}

#[cfg(test)]
#[path = "row_tests.rs"]
mod tests;
