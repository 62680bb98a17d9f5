use sam3d_data::{
    dataset::DatasetError,
    download::DownloadError,
    hub::HubError,
    preparation::{PreparationError, UnpackError},
};

/// What to type against an error of [`sam3d_data`] in `error` or its causes, for the program `program` (`sam3d` or `cargo
/// xtask`).
pub fn hint(error: &anyhow::Error, program: &str) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<DatasetError>() {
            return hint_of_dataset(error, program);
        }
        let download =
            cause.downcast_ref::<DownloadError>().or_else(|| match cause.downcast_ref::<HubError>() {
                Some(HubError::Download { source, .. }) => Some(source),
                _ => None,
            });
        if let Some(DownloadError::Interrupted { .. }) = download {
            return Some("run the same command again to continue".to_owned());
        }
        if let Some(UnpackError::TooLarge { .. }) = cause.downcast_ref::<UnpackError>() {
            return Some("raise --max-unpacked if that is true".to_owned());
        }
        match cause.downcast_ref::<PreparationError>()? {
            PreparationError::Dataset(error) => hint_of_dataset(error, program),
            PreparationError::CasesUnknown { .. } => {
                Some("point --source at the whole dataset, or remove them from the list".to_owned())
            }
            PreparationError::ShardsMissing { shards, .. } => {
                shards.first().map(|shard| format!("run with --shard {shard} first, then with --merge again"))
            }
            _ => None,
        }
    })
}

/// What to type against `error`.
pub fn hint_of_dataset(error: &DatasetError, program: &str) -> Option<String> {
    match error {
        DatasetError::NotPrepared { .. }
        | DatasetError::PreparedDamaged { .. }
        | DatasetError::CaseUnknown { .. } => Some(format!("run `{program} prepare-data`")),
        DatasetError::SourceAmbiguous { .. } | DatasetError::NoCases { .. } => {
            Some("name it with --source".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_those_of_the_program() {
        let missing = || DatasetError::NotPrepared { path: "data/x/dataset.toml".into() };
        let typed = |error: anyhow::Error, program: &str| hint(&error, program).unwrap_or_default();
        assert!(typed(missing().into(), "sam3d").ends_with("`sam3d prepare-data`"));
        let wrapped = anyhow::Error::new(PreparationError::Dataset(missing())).context("a fold");
        assert!(typed(wrapped, "cargo xtask").ends_with("`cargo xtask prepare-data`"));
        assert_eq!(typed(anyhow::anyhow!("another error"), "sam3d"), "");
        let changed = || Box::new(DownloadError::Changed);
        let interrupted =
            DownloadError::Interrupted { url: "http://a".to_owned(), arrived: 1, source: changed() };
        let of_hub = HubError::Download { address: "hf://a/b/c".to_owned(), source: Box::new(interrupted) };
        assert!(typed(of_hub.into(), "sam3d").contains("again to continue"));
        let refused = HubError::Download { address: "hf://a/b/c".to_owned(), source: changed() };
        assert_eq!(typed(refused.into(), "sam3d"), "");
    }
}
