//! Which parameters are trained: the one place that decides.

/// What training does with a tensor of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Receives gradients and is updated.
    Trained,
    /// Kept as SAM has it.
    Frozen,
    /// A constant that checkpoints hold; neither trained nor counted.
    Buffer,
}

/// The role of the tensor `name` (its key in a checkpoint).
///
/// Of the image encoder SAM's own weights stay frozen: patch embedding, position embedding, attention and MLPs. Trained
/// are its norms, the adapters, what is new along depth, and the necks; and the prompt encoder and the mask decoder as
/// a whole.
pub fn role(name: &str) -> Role {
    if name.ends_with("positional_encoding_gaussian_matrix") {
        return Role::Buffer;
    }
    let Some(encoder) = name.strip_prefix("image_encoder.") else { return Role::Trained };
    let Some(block) = encoder.strip_prefix("blocks.") else {
        let from_sam = encoder == "pos_embed" || encoder.starts_with("patch_embed.");
        return if from_sam { Role::Frozen } else { Role::Trained };
    };
    let part = block.split_once('.').map_or(block, |(_, part)| part);
    let from_sam = part.starts_with("mlp.") || (part.starts_with("attn.") && part != "attn.rel_pos_d");
    if from_sam { Role::Frozen } else { Role::Trained }
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
            assert_eq!(role(name), expected, "{name}");
        }
    }
}
