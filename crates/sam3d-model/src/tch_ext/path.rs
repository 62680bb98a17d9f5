//! Paths of parameters, and their initial values.

use std::ops::Div;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};
use sha2::{Digest, Sha256};
use tch::{
    Device, Tensor,
    nn::{self, VarStore},
};

/// The initial values of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// One value everywhere.
    Const(f64),
    /// Uniform from `-bound` to `bound`.
    Uniform {
        /// The largest value.
        bound: f64,
    },
    /// Normal around 0.
    Normal {
        /// The standard deviation.
        stdev: f64,
    },
}

impl Init {
    /// PyTorch's default for weights and biases of linear and convolution layers: uniform within `1 / sqrt(fan_in)`.
    pub fn default_of(fan_in: i64) -> Self {
        Self::Uniform { bound: 1.0 / (fan_in as f64).sqrt() }
    }
}

/// The path of a layer's parameters in a network, like [`nn::Path`], with the seed of their initial values.
///
/// Each parameter is drawn from a generator of its own, seeded with the seed and the parameter's name. So it does not depend on
/// the other parameters, and libtorch's generator, which the whole process shares, is not used.
#[derive(Debug, Clone)]
pub struct Path<'a> {
    path: nn::Path<'a>,
    seed: u64,
}

impl<'a> Path<'a> {
    /// The root of `store`, for parameters drawn from `seed`.
    pub fn root(store: &'a VarStore, seed: u64) -> Self {
        Self { path: store.root(), seed }
    }

    /// The device of the parameters.
    pub fn device(&self) -> Device {
        self.path.device()
    }

    /// A parameter called `name`.
    pub fn var(&self, name: &str, shape: &[i64], init: Init) -> Tensor {
        match init {
            Init::Const(value) => self.path.var(name, shape, nn::Init::Const(value)),
            Init::Uniform { bound } => {
                // The bounds are finite and in order: a fan-in is at least 1.
                let values = Uniform::new_inclusive(-bound as f32, bound as f32);
                self.drawn(name, shape, |rng| values.map_or(0.0, |values| values.sample(rng)))
            }
            Init::Normal { stdev } => self.drawn(name, shape, |rng| {
                let value: f32 = StandardNormal.sample(rng);
                value * stdev as f32
            }),
        }
    }

    fn drawn(&self, name: &str, shape: &[i64], draw: impl Fn(&mut ChaCha8Rng) -> f32) -> Tensor {
        let mut rng = generator(self.seed, &self.path.path(name));
        let values: Vec<f32> = (0..shape.iter().product()).map(|_: i64| draw(&mut rng)).collect();
        self.path.var_copy(name, &Tensor::from_slice(&values).view(shape))
    }

    /// A tensor of `value` called `name` that takes no gradient.
    pub fn buffer(&self, name: &str, shape: &[i64], value: f64) -> Tensor {
        let mut tensor = self.path.zeros_no_train(name, shape);
        tensor.fill_(value)
    }
}

/// The generator of one parameter.
fn generator(seed: u64, name: &str) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(name);
    ChaCha8Rng::from_seed(hash.finalize().into())
}

impl<'a, T: ToString> Div<T> for &Path<'a> {
    type Output = Path<'a>;

    fn div(self, name: T) -> Path<'a> {
        Path { path: &self.path / name, seed: self.seed }
    }
}

impl<'a, T: ToString> Div<T> for Path<'a> {
    type Output = Path<'a>;

    fn div(self, name: T) -> Path<'a> {
        &self / name
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    fn values(seed: u64, names: &[&str], init: Init) -> Vec<Vec<f32>> {
        let store = VarStore::new(Device::Cpu);
        let path = Path::root(&store, seed) / "layer";
        names.iter().map(|name| Vec::try_from(path.var(name, &[1000], init)).unwrap()).collect()
    }

    #[test]
    fn values_depend_on_seed_and_name_alone() {
        let init = Init::Normal { stdev: 2.0 };
        let both = values(7, &["a", "b"], init);
        assert_ne!(both[0], both[1]);
        assert_eq!(values(7, &["b", "c", "a"], init)[2], both[0]);
        assert_ne!(values(8, &["a"], init)[0], both[0]);
    }

    #[test]
    fn distributions_are_as_asked_for() {
        let moments = |init| {
            let tensor = Tensor::from_slice(&values(1, &["a"], init)[0]).to_kind(Kind::Double);
            [tensor.mean(Kind::Double), tensor.std(true), tensor.abs().max()].map(|t| t.double_value(&[]))
        };
        let [mean, std, _] = moments(Init::Normal { stdev: 0.02 });
        assert!(mean.abs() < 0.003 && (std - 0.02).abs() < 0.002, "{mean} {std}");
        let [mean, std, largest] = moments(Init::Uniform { bound: 0.5 });
        assert!(mean.abs() < 0.05 && (std - 0.5 / 3f64.sqrt()).abs() < 0.02, "{mean} {std}");
        assert!(largest <= 0.5 && largest > 0.49, "{largest}");
        assert_eq!(moments(Init::Const(0.25)), [0.25, 0.0, 0.25]);
    }
}
