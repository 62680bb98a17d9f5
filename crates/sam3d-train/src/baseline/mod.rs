//! The comparison networks under the shared protocol: the published preprocessing, recipe, and sliding-window test.

mod preprocessing;
mod windows;

pub use preprocessing::preprocessing;
pub use windows::{WindowConfig, target_logit};
