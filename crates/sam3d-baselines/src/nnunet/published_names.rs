//! Names in checkpoints of nnU-Net's version 1.

/// Whether `name` is a tensor's name in checkpoints of version 1.
pub(crate) fn is_version_1(name: &str) -> bool {
    ["conv_blocks_context.", "conv_blocks_localization.", "tu.", "seg_outputs."]
        .iter()
        .any(|list| name.starts_with(list))
}

/// The name here of the tensor that a version-1 checkpoint of a network of `stages` stages calls `name`; `None` if it is
/// no name of that layout.
pub(crate) fn name_from_version_1(name: &str, stages: usize) -> Option<String> {
    let (list, rest) = name.split_once('.')?;
    let (stage, rest) = rest.split_once('.')?;
    let stage: usize = stage.parse().ok()?;
    let unit = |number: &str, rest: &str| {
        let number: usize = number.parse().ok()?;
        let (layer, leaf) = rest.split_once('.')?;
        let layer = match layer {
            "conv" => "conv",
            "instnorm" => "norm",
            _ => return None,
        };
        Some(format!("convs.{number}.{layer}.{leaf}"))
    };
    match list {
        "conv_blocks_context" if stage + 1 < stages => {
            let (number, rest) = rest.strip_prefix("blocks.")?.split_once('.')?;
            Some(format!("encoder.stages.{stage}.0.{}", unit(number, rest)?))
        }
        // The bottleneck and the decoder's stages are lists of units that are lists of one block.
        "conv_blocks_context" | "conv_blocks_localization" => {
            let (number, rest) = rest.split_once('.')?;
            let unit = unit(number, rest.strip_prefix("blocks.0.")?)?;
            let stages = if list == "conv_blocks_context" {
                format!("encoder.stages.{stage}.0")
            } else {
                format!("decoder.stages.{stage}")
            };
            Some(format!("{stages}.{unit}"))
        }
        "tu" => Some(format!("decoder.transpconvs.{stage}.{rest}")),
        "seg_outputs" => Some(format!("decoder.seg_layers.{stage}.{rest}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_for_each_kind_of_name() {
        let table = [
            ("conv_blocks_context.0.blocks.1.conv.weight", Some("encoder.stages.0.0.convs.1.conv.weight")),
            ("conv_blocks_context.4.blocks.0.instnorm.bias", Some("encoder.stages.4.0.convs.0.norm.bias")),
            ("conv_blocks_context.5.1.blocks.0.conv.bias", Some("encoder.stages.5.0.convs.1.conv.bias")),
            (
                "conv_blocks_localization.2.0.blocks.0.instnorm.weight",
                Some("decoder.stages.2.convs.0.norm.weight"),
            ),
            ("tu.3.weight", Some("decoder.transpconvs.3.weight")),
            ("seg_outputs.4.weight", Some("decoder.seg_layers.4.weight")),
            ("conv_blocks_context.0.blocks.1.dropout.weight", None),
            ("encoder.stages.0.0.convs.1.conv.weight", None),
        ];
        for (name, expected) in table {
            assert_eq!(name_from_version_1(name, 6).as_deref(), expected, "{name}");
        }
    }
}
