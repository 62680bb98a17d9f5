//! The comparison networks under the shared protocol: the published preprocessing, recipe, and sliding-window test.

mod method;
mod preprocessing;
mod windows;

pub use method::AutomaticMethod;
pub use preprocessing::preprocessing;
pub use windows::{WindowConfig, target_logit};
