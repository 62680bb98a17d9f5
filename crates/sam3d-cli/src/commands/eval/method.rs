//! The methods that can be evaluated, by name.

use sam3d_train::evaluate::{ClickMethod, Method};
use tch::Device;

use super::source::Source;
use crate::{
    args::{EvalArgs, MethodName},
    commands::network,
};

/// The method that was asked for, with its weights.
///
/// # Errors
/// If the weights cannot be read or are not those of the method.
pub(super) fn open(args: &EvalArgs, source: &Source, device: Device) -> anyhow::Result<Box<dyn Method>> {
    match args.method {
        MethodName::Sam3d => {
            let (mut network, preprocessing) =
                network::load(&source.weights, args.dataset.as_deref(), device)?;
            network.set_precision(args.precision);
            Ok(Box::new(ClickMethod::new(network, preprocessing)))
        }
    }
}
