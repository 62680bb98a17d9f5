//! The configuration of each training: the base, changed as its row says.

use std::path::PathBuf;

use anyhow::Context;
use sam3d_baselines::{Method, Size};
use sam3d_eval::study::{Budget, Training};
use sam3d_train::config::TrainConfig;
use toml::{Table, Value};

use crate::{
    args::{Setting, StudyArgs},
    commands::train::settings::{complete, dataset_name, read_table},
};

/// Settings of the machine, not of the method: they apply to comparison networks, too.
const OF_MACHINE: [&str; 7] = [
    "cache_gib",
    "cache_dir",
    "memory_gib",
    "workers",
    "save_every_steps",
    "save_every_minutes",
    "max_skipped_steps",
];
/// Rounds of the simulated user where the base configuration has none.
const ROUNDS: i64 = 5;
/// Epochs from one validation to the next: more than any run has, so that only the last one is validated.
const NEVER: i64 = 1_000_000_000;

/// The configuration that all rows start from.
pub(super) struct Base {
    table: Table,
    /// Directory of the prepared dataset.
    pub(super) data: PathBuf,
}

/// One training: what, where, and for how long.
pub(super) struct TrainingJob {
    pub(super) training: Training,
    pub(super) size: Size,
    pub(super) fold: usize,
    pub(super) seed: u64,
    pub(super) budget: Budget,
    /// Training cases of the fold.
    pub(super) cases: usize,
}

impl Base {
    /// The base configuration of `args`; in order of increasing precedence: file, options, `--set`.
    pub(super) fn of(args: &StudyArgs) -> anyhow::Result<Self> {
        let mut table = args.config.as_deref().map_or_else(|| Ok(Table::new()), read_table)?;
        if let Some(name) = &args.dataset {
            table.insert("dataset".into(), Value::String(dataset_name(name)?));
        }
        if let Some(data) = &args.data {
            let text = data.to_str().with_context(|| format!("{}: not UTF-8", data.display()))?;
            table.insert("data".into(), Value::String(text.into()));
        }
        for setting in &args.settings {
            setting.apply(&mut table)?;
        }
        let config: TrainConfig = table.clone().try_into().with_context(|| match &args.config {
            Some(path) => format!("{} with the options", path.display()),
            None => "the options".to_owned(),
        })?;
        Ok(Self { table, data: config.data_directory() })
    }

    /// The base as TOML.
    pub(super) fn text(&self) -> anyhow::Result<String> {
        Ok(toml::to_string_pretty(&self.table)?)
    }

    /// The configuration of a training as TOML.
    ///
    /// # Errors
    /// If the base and the change do not make a configuration.
    pub(super) fn of_training(&self, wanted: &TrainingJob) -> anyhow::Result<String> {
        let mut table = match wanted.training {
            Training::Own { is_interactive, settings, .. } => self.own(is_interactive, settings)?,
            Training::Comparison(name) => self.comparison(name, wanted.size)?,
        };
        table.remove("out");
        table.insert("fold".into(), Value::Integer(i64::try_from(wanted.fold)?));
        table.insert("seed".into(), Value::Integer(i64::try_from(wanted.seed)?));
        let config: TrainConfig =
            table.clone().try_into().with_context(|| format!("the row {}", wanted.training.name()))?;
        let train = sub_table(&mut table, "train")?;
        for ends in ["max_minutes", "stop_after", "patience", "minutes"] {
            train.remove(ends);
        }
        train.insert("validate_every".into(), Value::Integer(NEVER));
        match wanted.budget {
            Budget::Minutes(minutes) => {
                train.insert("minutes".into(), Value::Float(minutes));
            }
            Budget::Steps(steps) => {
                let epochs = epochs_of(steps, &config, wanted.cases);
                train.insert("epochs".into(), Value::Integer(i64::try_from(epochs)?));
            }
        }
        Ok(toml::to_string_pretty(&table)?)
    }

    /// This project's network.
    fn own(&self, is_interactive: bool, settings: &[&str]) -> anyhow::Result<Table> {
        let mut table = self.table.clone();
        table.remove("baseline");
        let train = sub_table(&mut table, "train")?;
        if is_interactive {
            let default = || Value::Table(Table::from_iter([("rounds".to_owned(), Value::Integer(ROUNDS))]));
            train.entry("interaction").or_insert_with(default);
        } else {
            train.remove("interaction");
        }
        sub_table(&mut table, "variant")?.insert("dense_prompts".into(), Value::Boolean(is_interactive));
        for setting in settings {
            setting.parse::<Setting>().map_err(anyhow::Error::msg)?.apply(&mut table)?;
        }
        Ok(table)
    }

    /// A comparison network by its own recipe: of the base only the data and the machine. Two crops of each case in an
    /// epoch fill its batches of two from a single case.
    fn comparison(&self, name: &str, size: Size) -> anyhow::Result<Table> {
        let method = Method::named(name).with_context(|| format!("{name}: not a comparison network"))?;
        let own = Table::from_iter(
            ["dataset", "data"]
                .iter()
                .filter_map(|key| Some(((*key).to_owned(), self.table.get(*key)?.clone()))),
        );
        let mut table = own;
        let train = sub_table(&mut table, "train")?;
        train.insert("crops_per_case".into(), Value::Integer(2));
        if let Some(base) = self.table.get("train").and_then(Value::as_table) {
            let of_machine =
                OF_MACHINE.iter().filter_map(|key| Some(((*key).to_owned(), base.get(*key)?.clone())));
            train.extend(of_machine);
        }
        let baseline = sub_table(&mut table, "baseline")?;
        baseline.insert("method".into(), Value::String(method.name().into()));
        baseline.insert("size".into(), Value::String(size.name().into()));
        complete(&mut table, Table::try_from(TrainConfig::comparison(method))?);
        Ok(table)
    }
}

/// The whole epochs that come closest to `steps`, at least one.
fn epochs_of(steps: u64, config: &TrainConfig, cases: usize) -> u64 {
    let crops = cases as u64 * config.train.crops_per_case;
    let size = (config.train.batch_size as u64).saturating_mul(config.train.accumulate as u64).max(1);
    let of_epoch = if config.baseline.is_some() { crops / size } else { crops.div_ceil(size) };
    let of_epoch = of_epoch.max(1);
    ((steps + of_epoch / 2) / of_epoch).max(1)
}

fn sub_table<'a>(table: &'a mut Table, name: &str) -> anyhow::Result<&'a mut Table> {
    let entry = table.entry(name).or_insert_with(|| Value::Table(Table::new()));
    entry.as_table_mut().with_context(|| format!("{name}: expected a table"))
}

#[cfg(test)]
mod tests {
    use sam3d_eval::study::rows::ROWS;

    use super::*;

    fn base(text: &str) -> Base {
        Base { table: text.parse().unwrap(), data: PathBuf::new() }
    }

    fn config(base: &Base, training: Training, budget: Budget) -> TrainConfig {
        let wanted = TrainingJob { training, size: Size::Small, fold: 2, seed: 7, budget, cases: 5 };
        let config: TrainConfig = toml::from_str(&base.of_training(&wanted).unwrap()).unwrap();
        config.validate().unwrap();
        config
    }

    const BASE: &str = "dataset = 'demo'\nout = 'elsewhere'\n[variant]\ndense_prompts = true\n[optimiser]\n\
        learning_rate = 2e-3\n[train]\nmax_minutes = 3.0\nworkers = 1\n[train.interaction]\nrounds = 3\n";

    #[test]
    fn every_row_makes_a_valid_configuration_of_any_base() {
        for text in ["", BASE] {
            for row in ROWS {
                let config = config(&base(text), row.training, Budget::Minutes(20.0));
                assert_eq!((config.fold, config.seed, config.out.as_ref()), (2, 7, None), "{}", row.name);
                assert_eq!((config.train.minutes, config.train.max_minutes), (Some(20.0), None));
            }
        }
    }

    #[test]
    fn a_row_changes_what_it_says_and_keeps_the_base() {
        let base = base(BASE);
        let of = |name: &str| {
            let row = ROWS.iter().find(|row| row.name == name).unwrap();
            config(&base, row.training, Budget::Steps(12))
        };
        let ours = of("ours");
        assert_eq!(ours.train.interaction.as_ref().map(|interaction| interaction.rounds), Some(3));
        assert!(ours.variant.dense_prompts && ours.optimiser.learning_rate == 2e-3);
        let published = of("ours-published");
        assert!(published.train.interaction.is_none() && !published.variant.dense_prompts);
        assert!(of("tuning-full").variant.auto);
        let network = of("nnunet");
        assert_eq!((network.optimiser.learning_rate, network.train.workers), (4e-4, Some(1)));
        assert_eq!(network.train.batch_size, 2);
        // Five steps in an epoch, with one crop of five cases or batches of two of two crops of each.
        assert_eq!((published.train.epochs, network.train.epochs), (2, 2));
    }
}
