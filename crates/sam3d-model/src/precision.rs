//! The number format of matrix products and convolutions.
//!
//! It is a property of the thread, like gradient mode: the network sets it for the duration of a pass, and the few functions
//! that multiply read it. Parameters, gradients, norms, softmax, interpolation and loss stay float32.

use std::{cell::Cell, fmt, marker::PhantomData};

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// The number format of matrix products and convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// float32 throughout.
    #[default]
    F32,
    /// Operands of products and convolutions are rounded to bfloat16 (8 bits of mantissa); parameters, norms, softmax and
    /// loss stay float32. Faster where the processor has such instructions, and results differ in the third digit.
    Bf16,
}

impl Precision {
    /// Every precision.
    pub const ALL: [Self; 2] = [Self::F32, Self::Bf16];

    /// The name used on the command line and in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
        }
    }

    /// Sets the thread's precision until the guard is dropped.
    pub(crate) fn enter(self) -> PrecisionGuard {
        PrecisionGuard { before: CURRENT.replace(self), _this_thread: PhantomData }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

thread_local! {
    static CURRENT: Cell<Precision> = const { Cell::new(Precision::F32) };
}

/// Restores the thread's earlier precision when dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct PrecisionGuard {
    before: Precision,
    /// Dropped on another thread it would change that thread's precision.
    _this_thread: PhantomData<*const ()>,
}

impl Drop for PrecisionGuard {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// `xs` in the number format of this thread's products.
pub(crate) fn operand(xs: &Tensor) -> Tensor {
    xs.to_kind(CURRENT.get().kind())
}

/// `xs` in float32, for operations that must not be rounded.
pub(crate) fn full(xs: &Tensor) -> Tensor {
    xs.to_kind(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_ends_with_its_scope() {
        let xs = Tensor::from_slice(&[1.0f32]);
        {
            let _outer = Precision::Bf16.enter();
            assert_eq!(operand(&xs).kind(), Kind::BFloat16);
            {
                let _inner = Precision::F32.enter();
                assert_eq!(operand(&xs).kind(), Kind::Float);
            }
            assert_eq!(operand(&xs).kind(), Kind::BFloat16);
        }
        assert_eq!(operand(&xs).kind(), Kind::Float);
    }

    #[test]
    fn names_are_those_of_the_files() {
        for precision in Precision::ALL {
            let text = serde_json::to_string(&precision).unwrap();
            assert_eq!(text, format!("\"{precision}\""));
        }
    }
}
