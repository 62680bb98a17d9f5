//! bfloat16 products against the golden float32 numbers.
//!
//! A bfloat16 has 8 bits of mantissa, a relative rounding of 2^-9 = 0.2 % for each operand. Over 12 blocks and the decoder
//! that was found to grow to 1.8 % of the logits' spread; the tolerance is 3 %.

use sam3d_testkit::{GoldenTensors, golden_json};
use tch::{Kind, Tensor};

use super::{SPACE_OF_MAP, by_name_network, input, prompt, sampled};
use crate::{ModelConfig, Precision};

/// Root mean square of the difference, over the spread of what is expected.
fn relative_error(found: &Tensor, expected: &Tensor) -> f64 {
    let error = (found.to_kind(Kind::Double) - expected).square().mean(None::<Kind>).sqrt().double_value(&[]);
    error / expected.std(false).double_value(&[])
}

#[test]
fn tiny_forward_in_bf16() {
    let _no_grad = tch::no_grad_guard();
    let (golden, tensors) = (golden_json("tiny.json"), GoldenTensors::open("tiny_forward.safetensors"));
    let config = ModelConfig::tiny();
    let mut network = by_name_network(&config);
    network.set_precision(Precision::Bf16);
    let image = input(config.crop);
    let embedding = network.encode(&image).unwrap();
    for count in ["1pt", "10pt"] {
        let logits = network.decode(&embedding, &[prompt(&golden, count, config.crop)]).unwrap();
        assert_eq!(logits.kind(), Kind::Float);
        let expected = tensors.get(&format!("logits_{count}"));
        let shape: Vec<i64> = expected.shape.iter().map(|n| *n as i64).collect();
        let step = config.crop as i64 / shape[2];
        let expected = Tensor::from_slice(&expected.values).view(shape.as_slice()).to_kind(Kind::Double);
        let error = relative_error(&sampled(&logits, &SPACE_OF_MAP, step), &expected);
        println!("logits_{count}: relative error {error:.2e}");
        assert!(error < 3e-2, "logits_{count}: {error}");
        // Rounding happened at all.
        assert!(error > 1e-4, "logits_{count}: {error}");
    }
    network.set_precision(Precision::F32);
    let exact = network.forward(&image, &[prompt(&golden, "1pt", config.crop)]).unwrap();
    let difference = super::difference(&sampled(&exact, &SPACE_OF_MAP, 2), &tensors.get("logits_1pt"));
    assert!(difference <= 1e-4, "float32 after bfloat16: {difference}");
}
