//! Values that are a function of a name and an index, so that two implementations build the same network and the same
//! input without exchanging a file.

/// The first `count` values of `u(name, i)`, each in [-1, 1): 24 bits of splitmix64 over the FNV-1a hash of the name.
pub fn by_name(name: &str, count: usize) -> Vec<f64> {
    let base = fnv1a64(name.as_bytes());
    (0..count as u64)
        .map(|i| 2.0 * ((splitmix64(base.wrapping_add(i)) >> 40) as f64) / f64::from(1u32 << 24) - 1.0)
        .collect()
}

/// The deterministic value of the parameter `name` of `shape`, in C order.
pub fn parameter(name: &str, shape: &[usize]) -> Vec<f32> {
    let leaf = name.rsplit('.').next().unwrap_or(name);
    let count: usize = shape.iter().product();
    let values = by_name(name, count);
    let rule: Box<dyn Fn(f64) -> f64> = match leaf {
        "lr" if shape.is_empty() => Box::new(|_| 1.0),
        "gamma" => Box::new(|u| 1.0 + 0.1 * u),
        "position_embeddings" => Box::new(|u| u),
        "positional_encoding_gaussian_matrix" => Box::new(|u| 3f64.sqrt() * u),
        "pos_embed" | "depth_embed" | "rel_pos_h" | "rel_pos_w" | "rel_pos_d" | "global_query" => {
            Box::new(|u| 0.1 * u)
        }
        "weight" if shape.len() <= 1 => Box::new(|u| 1.0 + 0.1 * u),
        _ if shape.len() <= 1 => Box::new(|u| 0.02 * u),
        _ => {
            let fan_in: usize = shape[1..].iter().product();
            let bound = (3.0 / fan_in as f64).sqrt();
            Box::new(move |u| bound * u)
        }
    };
    values.into_iter().map(|u| rule(u) as f32).collect()
}

fn fnv1a64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn splitmix64(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hashes() {
        // Test vectors of the FNV and splitmix64 reference implementations.
        assert_eq!(fnv1a64(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a64(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(splitmix64(0), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn values_stay_in_range() {
        assert!(by_name("input.image", 1000).iter().all(|u| (-1.0..1.0).contains(u)));
    }
}
