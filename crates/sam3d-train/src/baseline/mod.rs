//! The comparison networks under the shared protocol: the published preprocessing, recipe, and sliding-window test.

mod config;
mod method;
mod preprocessing;
mod windows;

pub use config::BaselineConfig;
pub use method::AutomaticMethod;
pub use preprocessing::preprocessing;
pub use windows::{WindowConfig, target_logit};
