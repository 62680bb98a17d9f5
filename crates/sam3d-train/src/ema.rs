//! An exponential moving average of the trained weights.

use std::{collections::BTreeMap, mem};

use sam3d_model::ModelError;
use tch::Tensor;

use crate::trainable::Trainable;

/// The average of the weights after each step. The decay rises as (1 + n) / (10 + n) to its value, so that
/// the random start is soon forgotten.
#[derive(Debug)]
pub struct Ema {
    decay: f64,
    average: BTreeMap<String, Tensor>,
}

impl Ema {
    /// An average that starts at the weights of `network`.
    pub fn new(network: &impl Trainable, decay: f64) -> Self {
        let average = network
            .trained_parameters()
            .into_iter()
            .map(|(name, tensor)| (name, tensor.detach().copy()))
            .collect();
        Self { decay, average }
    }

    /// Adds the weights of `network` after `steps` steps to the average.
    pub fn update(&mut self, network: &impl Trainable, steps: u64) {
        let _no_grad = tch::no_grad_guard();
        let steps = steps as f64;
        let decay = self.decay.min((1.0 + steps) / (10.0 + steps));
        for (name, tensor) in network.trained_parameters() {
            if let Some(average) = self.average.get_mut(&name) {
                let _ = average.lerp_(&tensor, 1.0 - decay);
            }
        }
    }

    /// Swaps the average and the weights of `network`; a second call restores both.
    pub fn swap(&mut self, network: &impl Trainable) {
        let _no_grad = tch::no_grad_guard();
        for (name, mut tensor) in network.trained_parameters() {
            if let Some(average) = self.average.get_mut(&name) {
                let weights = mem::replace(average, tensor.copy());
                tensor.copy_(&weights);
                // `average` holds a copy of the old weights, `tensor` the old average.
            }
        }
    }

    /// The average by parameter. The tensors are its own, not copies.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.average.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
    }

    /// Restores an earlier average.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if names or shapes differ.
    pub fn restore(&mut self, tensors: &BTreeMap<String, Tensor>) -> Result<(), ModelError> {
        for (name, average) in &mut self.average {
            let saved = tensors.get(name).filter(|saved| saved.size() == average.size());
            let Some(saved) = saved else {
                return Err(ModelError::Weights { detail: format!("no average of {name} was saved") });
            };
            average.f_copy_(saved)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sam3d_model::{ModelConfig, Sam3d};
    use tch::Device;

    use super::*;

    const NAME: &str = "image_encoder.depth_embed";

    fn value(network: &impl Trainable) -> f64 {
        network.trained_parameters()[NAME].double_value(&[0, 0, 0])
    }

    #[test]
    fn follows_the_weights_and_changes_places_with_them() {
        let network = Sam3d::new(&ModelConfig::tiny(), Device::Cpu, 0).unwrap();
        let mut ema = Ema::new(&network, 0.5);
        assert_eq!(value(&network), 1.0);
        {
            let _no_grad = tch::no_grad_guard();
            let _ = network.trained_parameters()[NAME].shallow_clone().fill_(3.0);
        }
        // After many steps the decay is 0.5: halfway from 1 to 3.
        ema.update(&network, 1000);
        ema.swap(&network);
        assert_eq!(value(&network), 2.0);
        ema.swap(&network);
        assert_eq!(value(&network), 3.0);
        assert_eq!(ema.tensors()[NAME].double_value(&[0, 0, 0]), 2.0);
        // At the first step the decay is (1 + 1) / (10 + 1), so the average is all but the new weights.
        ema.update(&network, 1);
        let expected = 3.0 - 2.0 / 11.0;
        assert!((ema.tensors()[NAME].double_value(&[0, 0, 0]) - expected).abs() < 1e-6);

        let mut again = Ema::new(&network, 0.5);
        again.restore(&ema.tensors()).unwrap();
        assert!(again.tensors()[NAME].equal(&ema.tensors()[NAME]));
        assert!(again.restore(&BTreeMap::new()).is_err());
    }
}
