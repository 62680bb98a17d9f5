use std::str::FromStr;

use anyhow::{Context, bail};
use toml::{Table, Value};

/// A setting of one configuration field, `key.path=value`.
///
/// The value is parsed as TOML (`3`, `1e-4`, `true`, `[1, 2]`, `"text"`); anything else is text.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Names from the outermost table to the field; at least one, none empty.
    path: Vec<String>,
    value: Value,
}

impl Setting {
    /// Sets the field in `config`, and creates missing tables on its path.
    ///
    /// # Errors
    /// If a name on the path is not a table. Unknown fields are found later, when the configuration is read from the table.
    pub fn apply(&self, config: &mut Table) -> anyhow::Result<()> {
        let (field, tables) = self.path.split_last().context("--set needs a key")?;
        let mut table = config;
        for name in tables {
            let entry = table.entry(name).or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(inner) = entry else {
                bail!("--set {}: {name} is a value and has no fields", self.path.join("."));
            };
            table = inner;
        }
        table.insert(field.clone(), self.value.clone());
        Ok(())
    }
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected key.path=value, such as optimiser.learning_rate=1e-4".to_owned();
        let (path, value) = text.split_once('=').ok_or_else(expected)?;
        let path: Vec<String> = path.split('.').map(|name| name.trim().to_owned()).collect();
        if path.iter().any(String::is_empty) {
            return Err(expected());
        }
        let value = value.trim();
        let value = value.parse().unwrap_or_else(|_| Value::String(value.to_owned()));
        Ok(Self { path, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(settings: &[&str]) -> anyhow::Result<String> {
        let mut config: Table = "epochs = 3\n[optimiser]\nweight_decay = 0.1\n".parse().unwrap();
        for setting in settings {
            setting.parse::<Setting>().unwrap().apply(&mut config)?;
        }
        Ok(serde_json::to_string(&config).unwrap())
    }

    #[test]
    fn values_keep_their_type() {
        assert_eq!(
            applied(&[
                "epochs=5",
                "optimiser.rate=1e-4",
                "data.name=kits21",
                "data.shape=[1, 2]",
                "fast=true"
            ])
            .unwrap(),
            r#"{"data":{"name":"kits21","shape":[1,2]},"epochs":5,"fast":true,"optimiser":{"rate":0.0001,"weight_decay":0.1}}"#
        );
    }

    #[test]
    fn a_value_has_no_fields() {
        assert!(applied(&["epochs.x=5"]).unwrap_err().to_string().contains("epochs is a value"));
    }

    #[test]
    fn what_is_not_a_setting() {
        for bad in ["", "epochs", "=3", "a..b=1", ".a=1"] {
            assert!(bad.parse::<Setting>().is_err(), "{bad}");
        }
    }
}
