//! The methods that can be evaluated, by name.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::Context;
use sam3d_model::{Checkpoint, Provenance};
use sam3d_train::evaluate::{ClickMethod, Method, records::hexadecimal};
use sha2::{Digest, Sha256};
use tch::Device;

use super::source::Source;
use crate::{
    args::{EvalArgs, MethodName},
    commands::network,
};

/// A method with its weights.
pub(super) struct Opened {
    pub(super) method: Box<dyn Method>,
    pub(super) weights_sha256: String,
    pub(super) provenance: Provenance,
}

/// The method that was asked for.
///
/// # Errors
/// If the weights cannot be read or are not those of the method.
pub(super) fn open(args: &EvalArgs, source: &Source, device: Device) -> anyhow::Result<Opened> {
    let weights = &source.weights;
    let (method, provenance): (Box<dyn Method>, Provenance) = match args.method {
        MethodName::Sam3d => {
            let provenance = Checkpoint::read(weights)?.metadata.provenance;
            let (mut network, preprocessing) = network::load(weights, args.dataset.as_deref(), device)?;
            network.set_precision(args.precision);
            (Box::new(ClickMethod::new(network, preprocessing)), provenance)
        }
    };
    Ok(Opened { method, weights_sha256: sha256_of(weights)?, provenance })
}

fn sha256_of(path: &Path) -> anyhow::Result<String> {
    let cannot_read = || format!("cannot read {}", path.display());
    let mut file = BufReader::with_capacity(1 << 20, File::open(path).with_context(cannot_read)?);
    let mut hash = Sha256::new();
    loop {
        let bytes = file.fill_buf().with_context(cannot_read)?;
        if bytes.is_empty() {
            return Ok(hexadecimal(&hash.finalize()));
        }
        hash.update(bytes);
        let read = bytes.len();
        file.consume(read);
    }
}
