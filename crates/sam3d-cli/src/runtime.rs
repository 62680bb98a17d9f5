//! Where and on how many threads things run.

use std::num::NonZeroUsize;

use anyhow::{Context, bail};
use tch::{Cuda, Device};

use crate::args::DeviceArg;

/// Gives libtorch and rayon `threads` threads each; without a number both take every core. They take turns: arrays are
/// prepared before a tensor is made of them.
///
/// # Errors
/// If rayon's pool was started before, or `threads` is beyond what libtorch counts.
pub fn set_threads(threads: Option<NonZeroUsize>) -> anyhow::Result<()> {
    let Some(threads) = threads else { return Ok(()) };
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads.get())
        .build_global()
        .with_context(|| format!("--threads {threads}"))?;
    tch::set_num_threads(i32::try_from(threads.get()).with_context(|| format!("--threads {threads}"))?);
    Ok(())
}

/// The device asked for; `auto` is the first CUDA device if there is one.
///
/// # Errors
/// If a CUDA device is asked for that is not there.
pub fn device(wanted: DeviceArg) -> anyhow::Result<Device> {
    match wanted {
        DeviceArg::Auto => Ok(Device::cuda_if_available()),
        DeviceArg::Cpu => Ok(Device::Cpu),
        DeviceArg::Cuda(index) => {
            let found = Cuda::device_count();
            if !Cuda::is_available() || found <= 0 {
                bail!("--device {wanted}: this libtorch finds no CUDA device; use --device cpu");
            }
            if i64::try_from(index)? >= found {
                bail!("--device {wanted}: devices cuda:0 to cuda:{} exist", found - 1);
            }
            Ok(Device::Cuda(index))
        }
    }
}

/// Makes libtorch give the same numbers whatever the number of cores: one thread.
///
/// # Errors
/// On CUDA, where the backward passes of trilinear resizing and of the visual sampler add in any order.
pub fn make_deterministic(device: Device) -> anyhow::Result<()> {
    if device.is_cuda() {
        bail!(
            "train.deterministic: CUDA adds the gradients of resized volumes in no fixed order; use --device cpu, or leave \
             the setting out"
        );
    }
    tch::set_num_threads(1);
    Ok(())
}
