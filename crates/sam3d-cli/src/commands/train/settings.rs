//! The settings of a run, from defaults, file and options.

use std::{fs, path::Path};

use anyhow::Context;
use sam3d_baselines::Method;
use sam3d_data::dataset::Dataset;
use sam3d_train::{config::TrainConfig, run::RunDirectory};
use toml::{Table, Value};

use crate::args::{GlobalArgs, Setting, TrainArgs};

/// The settings of a run; in order of increasing precedence: defaults, file, options, `--set`.
pub(super) fn resolve(args: &TrainArgs, global: &GlobalArgs) -> anyhow::Result<TrainConfig> {
    let mut table = match (&args.config, args.resume) {
        (Some(path), _) => read_table(path)?,
        // A resumed run keeps the settings it was started with.
        (None, true) => {
            let mut started = TrainConfig::default();
            started.out.clone_from(&args.out);
            if let Some(name) = &args.dataset {
                started.dataset = dataset_name(name)?;
            }
            started.fold = args.fold.unwrap_or_default() as usize;
            Table::try_from(RunDirectory::read_config(&started.run_directory())?)?
        }
        (None, false) => Table::new(),
    };
    if let Some(name) = &args.dataset {
        table.insert("dataset".into(), Value::String(dataset_name(name)?));
    }
    if let Some(model) = args.model {
        table.insert("model".into(), Value::String(model.name().into()));
    }
    if let Some(method) = args.method {
        let baseline = table.entry("baseline").or_insert_with(|| Value::Table(Table::new()));
        let baseline = baseline.as_table_mut().context("baseline: expected a table")?;
        baseline.insert("method".into(), Value::String(method.name().into()));
        if let Some(size) = args.size {
            baseline.insert("size".into(), Value::String(size.name().into()));
        }
    }
    if let Some(fold) = args.fold {
        table.insert("fold".into(), Value::Integer(fold.into()));
    }
    if let Some(seed) = global.seed {
        let seed = i64::try_from(seed).context("--seed must be below 2^63 here")?;
        table.insert("seed".into(), Value::Integer(seed));
    }
    for (key, path) in [("data", &args.data), ("pretrained", &args.pretrained), ("out", &args.out)] {
        if let Some(path) = path {
            let text = path.to_str().with_context(|| format!("{}: not UTF-8", path.display()))?;
            table.insert(key.into(), Value::String(text.into()));
        }
    }
    if args.full {
        "train.full_checkpoints=true".parse::<Setting>().map_err(anyhow::Error::msg)?.apply(&mut table)?;
    }
    for setting in &args.settings {
        setting.apply(&mut table)?;
    }
    let method = table.get("baseline").and_then(|baseline| baseline.get("method")?.as_str());
    if let Some(method) = method.and_then(Method::named) {
        complete(&mut table, Table::try_from(TrainConfig::comparison(method))?);
    }
    table.try_into().with_context(|| match &args.config {
        Some(path) => format!("{} with the options", path.display()),
        None => "the options".to_owned(),
    })
}

/// Adds the fields of `defaults` that `table` lacks, at every depth.
pub(in crate::commands) fn complete(table: &mut Table, defaults: Table) {
    for (key, default) in defaults {
        match (table.get_mut(&key), default) {
            (Some(Value::Table(inner)), Value::Table(defaults)) => complete(inner, defaults),
            (Some(_), _) => {}
            (None, default) => {
                table.insert(key, default);
            }
        }
    }
}

pub(in crate::commands) fn read_table(path: &Path) -> anyhow::Result<Table> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| format!("{}", path.display()))
}

pub(in crate::commands) fn dataset_name(name_or_path: &str) -> anyhow::Result<String> {
    Ok(Dataset::name_of(name_or_path)?)
}
