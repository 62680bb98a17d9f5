//! AdamW (Loshchilov and Hutter, 2019) over tensors we own, so that its state can be saved: tch's optimisers cannot.

use std::collections::{BTreeMap, BTreeSet};

use sam3d_model::ModelError;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::trainable::Trainable;

/// The optimiser's constants.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWConfig {
    /// Learning rate before the schedule.
    pub learning_rate: f64,
    /// Decay of the two moments.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest gradient norm of each module (image encoder, prompt encoder, mask decoder); larger ones are scaled down. If
    /// not given, as published: 1, and 12 for the prompt-free variant.
    pub max_grad_norm: Option<f64>,
}

impl Default for AdamWConfig {
    /// The published values.
    fn default() -> Self {
        Self { learning_rate: 4e-4, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0, max_grad_norm: None }
    }
}

/// Gradients by parameter; parameters that have none are left out.
pub type Gradients = BTreeMap<String, Tensor>;

/// AdamW over the trained parameters of one network.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    max_grad_norm: f64,
    slots: BTreeMap<String, Slot>,
    groups: &'static [&'static str],
    steps: u64,
}

/// A parameter with its moments. A parameter that never had a gradient has none, as in the published optimiser.
#[derive(Debug)]
struct Slot {
    parameter: Tensor,
    moments: Option<Moments>,
}

#[derive(Debug)]
struct Moments {
    first: Tensor,
    second: Tensor,
}

impl AdamW {
    /// A new optimiser for the trained parameters of `network`.
    pub fn new(network: &impl Trainable, config: AdamWConfig) -> Self {
        let slots = network
            .trained_parameters()
            .into_iter()
            .map(|(name, parameter)| (name, Slot { parameter, moments: None }))
            .collect();
        let max_grad_norm = config.max_grad_norm.unwrap_or_else(|| network.published_grad_norm());
        Self { config, max_grad_norm, slots, groups: network.groups(), steps: 0 }
    }

    /// Clears all gradients.
    pub fn zero_grad(&mut self) {
        for slot in self.slots.values_mut() {
            slot.parameter.zero_grad();
        }
    }

    /// The parameters' gradients. The tensors are the parameters' own, not copies.
    pub fn gradients(&self) -> Gradients {
        self.slots
            .iter()
            .map(|(name, slot)| (name.clone(), slot.parameter.grad()))
            .filter(|(_, gradient)| gradient.defined())
            .collect()
    }

    /// Scales the gradients of each of the network's groups so that their norm is at most the configured one, and gives the
    /// norms before: of image encoder, prompt encoder and mask decoder, or of all gradients and twice zero.
    pub fn clip(&self, gradients: &Gradients) -> [f64; 3] {
        let _no_grad = tch::no_grad_guard();
        let mut norms = [0.0; 3];
        for (group, norm) in self.groups.iter().zip(&mut norms) {
            let gradients: Vec<Tensor> = gradients
                .iter()
                .filter(|(name, _)| name.starts_with(group))
                .map(|(_, gradient)| gradient.shallow_clone())
                .collect();
            if gradients.is_empty() {
                continue;
            }
            let each: Vec<Tensor> = gradients.iter().map(Tensor::norm).collect();
            *norm = Tensor::stack(&each, 0).norm().double_value(&[]);
            let factor = self.max_grad_norm / (*norm + 1e-6);
            if factor < 1.0 {
                for mut gradient in gradients {
                    let _ = gradient.g_mul_scalar_(factor);
                }
            }
        }
        norms
    }

    /// One step along `gradients` at `factor` times the configured learning rate. Parameters without a gradient stay as
    /// they are.
    pub fn step(&mut self, gradients: &Gradients, factor: f64) {
        let _no_grad = tch::no_grad_guard();
        let AdamWConfig { betas: [beta1, beta2], eps, weight_decay, .. } = self.config;
        let rate = self.config.learning_rate * factor;
        self.steps += 1;
        let correction = |beta: f64| 1.0 - beta.powf(self.steps as f64);
        let (correction1, correction2) = (correction(beta1), correction(beta2));
        for (name, slot) in &mut self.slots {
            let Some(gradient) = gradients.get(name) else { continue };
            let moments = slot.moments.get_or_insert_with(|| Moments {
                first: gradient.zeros_like(),
                second: gradient.zeros_like(),
            });
            if weight_decay != 0.0 {
                let _ = slot.parameter.g_mul_scalar_(1.0 - rate * weight_decay);
            }
            let _ = moments.first.lerp_(gradient, 1.0 - beta1);
            let _ = moments.second.g_mul_scalar_(beta2);
            moments.second += gradient.square() * (1.0 - beta2);
            let denominator = moments.second.sqrt() / correction2.sqrt() + eps;
            slot.parameter -= &moments.first / denominator * (rate / correction1);
        }
    }

    /// The trained parameters by name. The tensors are the network's own, not copies.
    pub fn parameters(&self) -> BTreeMap<String, Tensor> {
        self.slots.iter().map(|(name, slot)| (name.clone(), slot.parameter.shallow_clone())).collect()
    }

    /// The configured learning rate, before the schedule.
    pub fn learning_rate(&self) -> f64 {
        self.config.learning_rate
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Both moments of every parameter that has them, named `<parameter>.first` and `<parameter>.second`. The tensors
    /// are the optimiser's own, not copies.
    pub fn moments(&self) -> BTreeMap<String, Tensor> {
        let mut tensors = BTreeMap::new();
        for (name, slot) in &self.slots {
            if let Some(moments) = &slot.moments {
                tensors.insert(format!("{name}.first"), moments.first.shallow_clone());
                tensors.insert(format!("{name}.second"), moments.second.shallow_clone());
            }
        }
        tensors
    }

    /// Restores the moments and the number of steps of an earlier optimiser.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if a moment belongs to no trained parameter or has another shape.
    pub fn restore(&mut self, moments: &BTreeMap<String, Tensor>, steps: u64) -> Result<(), ModelError> {
        let known: BTreeSet<String> =
            self.slots.keys().flat_map(|name| [format!("{name}.first"), format!("{name}.second")]).collect();
        if let Some(name) = moments.keys().find(|name| !known.contains(*name)) {
            return Err(ModelError::Weights {
                detail: format!("{name} is not a moment of a trained parameter"),
            });
        }
        for (name, slot) in &mut self.slots {
            let find = |which: &str| moments.get(&format!("{name}.{which}"));
            let (Some(first), Some(second)) = (find("first"), find("second")) else { continue };
            if first.size() != slot.parameter.size() || second.size() != slot.parameter.size() {
                let detail = format!(
                    "the moments of {name} have shape {:?}, expected {:?}",
                    first.size(),
                    slot.parameter.size()
                );
                return Err(ModelError::Weights { detail });
            }
            let own = |tensor: &Tensor| tensor.to_device(slot.parameter.device()).copy();
            slot.moments = Some(Moments { first: own(first), second: own(second) });
        }
        self.steps = steps;
        Ok(())
    }
}
