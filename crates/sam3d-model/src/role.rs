//! Which parameters are trained, decided here for the whole project.

use crate::Tuning;

/// The role of a tensor in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Receives gradients and is updated.
    Trained,
    /// Frozen at SAM's value.
    Frozen,
    /// A constant in checkpoints, neither trained nor counted.
    Buffer,
}

/// The role of the tensor `name` (its key in a checkpoint) in a network tuned by `tuning`.
///
/// Of the image encoder SAM's own weights stay frozen: patch embedding, position embedding, attention and MLPs, and its
/// norms unless the way of tuning trains them; nothing stays frozen if it trains everything. Everything that SAM lacks is trained:
/// the modules added to the blocks, the embeddings and positions along depth, the necks, the prompt encoder and the mask
/// decoder.
pub fn role(name: &str, tuning: Tuning) -> Role {
    if name.ends_with("positional_encoding_gaussian_matrix") {
        return Role::Buffer;
    }
    let Some(encoder) = name.strip_prefix("image_encoder.") else { return Role::Trained };
    let part = encoder.strip_prefix("blocks.").and_then(|block| block.split_once('.')).map(|(_, part)| part);
    // The weight of relative positions is a constant of the method, whatever is trained.
    if part == Some("attn.lr") {
        return Role::Frozen;
    }
    let from_sam = match part {
        None => encoder == "pos_embed" || encoder.starts_with("patch_embed."),
        Some(part) if part.starts_with("norm1.") || part.starts_with("norm2.") => !tuning.trains_norms(),
        Some(part) => part.starts_with("mlp.") || (part.starts_with("attn.") && part != "attn.rel_pos_d"),
    };
    if from_sam && !tuning.trains_all() { Role::Frozen } else { Role::Trained }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_for_each_kind_of_tensor() {
        let table = [
            ("image_encoder.pos_embed", Role::Frozen),
            ("image_encoder.depth_embed", Role::Trained),
            ("image_encoder.patch_embed.proj.weight", Role::Frozen),
            ("image_encoder.patch_embed.proj.bias", Role::Frozen),
            ("image_encoder.slice_embed.weight", Role::Trained),
            ("image_encoder.blocks.3.norm1.weight", Role::Trained),
            ("image_encoder.blocks.3.norm2.bias", Role::Trained),
            ("image_encoder.blocks.3.attn.rel_pos_h", Role::Frozen),
            ("image_encoder.blocks.3.attn.rel_pos_w", Role::Frozen),
            ("image_encoder.blocks.3.attn.rel_pos_d", Role::Trained),
            ("image_encoder.blocks.3.attn.lr", Role::Frozen),
            ("image_encoder.blocks.3.attn.qkv.weight", Role::Frozen),
            ("image_encoder.blocks.3.attn.proj.bias", Role::Frozen),
            ("image_encoder.blocks.11.mlp.lin1.weight", Role::Frozen),
            ("image_encoder.blocks.11.mlp.lin2.bias", Role::Frozen),
            ("image_encoder.blocks.11.adapter.conv.weight", Role::Trained),
            ("image_encoder.neck_3d.0.0.weight", Role::Trained),
            ("prompt_encoder.positional_encoding_gaussian_matrix", Role::Buffer),
            ("prompt_encoder.transformer.layers.0.mlp.lin1.weight", Role::Trained),
            ("prompt_encoder.transformer.layers.1.cross_attn_token_to_image.q_proj.weight", Role::Trained),
            ("mask_decoder.mlahead.head2.0.weight", Role::Trained),
            ("mask_decoder.cls.3.weight", Role::Trained),
        ];
        for (name, expected) in table {
            assert_eq!(role(name, Tuning::SpatialAdapter), expected, "{name}");
        }
    }

    #[test]
    fn each_way_of_tuning_by_what_it_trains() {
        let trained = |name: &str| -> Vec<Tuning> {
            let name = format!("image_encoder.{name}");
            Tuning::ALL.into_iter().filter(|tuning| role(&name, *tuning) == Role::Trained).collect()
        };
        let norms = [Tuning::SpatialAdapter, Tuning::Full, Tuning::Adapter, Tuning::FromScratch];
        assert_eq!(trained("blocks.3.norm1.weight"), norms);
        assert_eq!(trained("blocks.3.norm2.bias"), norms);
        for name in
            ["pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "blocks.0.mlp.lin1.bias"]
        {
            assert_eq!(trained(name), [Tuning::Full, Tuning::FromScratch], "{name}");
        }
        assert_eq!(trained("blocks.0.attn.lr"), []);
        for name in [
            "depth_embed",
            "slice_embed.weight",
            "neck_3d.2.1.bias",
            "blocks.7.attn.rel_pos_d",
            "blocks.7.prompt.up.weight",
            "blocks.7.med_adapter.near.norm.weight",
        ] {
            assert_eq!(trained(name), Tuning::ALL, "{name}");
        }
    }
}
