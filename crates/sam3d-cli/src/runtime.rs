//! Device and number of threads.

use std::{num::NonZeroUsize, thread};

use anyhow::{Context, bail};
use tch::{Cuda, Device};

use crate::{args::DeviceArg, waiting};

/// Sets the number of threads of libtorch and of rayon; without a number both use the cores that the process may use, by its
/// affinity and its control group. They do not run at the same time: arrays are prepared before they become tensors.
///
/// # Errors
/// If rayon's pool has been started already, or `threads` is too large for libtorch.
pub fn set_threads(threads: Option<NonZeroUsize>) -> anyhow::Result<()> {
    waiting::sleep_while_waiting()?;
    let Some(threads) = threads else {
        // rayon counts so by itself. libtorch counts one for each core of two hardware threads, and knows no control groups.
        if let Ok(cores) = thread::available_parallelism()
            && let Ok(cores) = i32::try_from(cores.get())
            && cores < tch::get_num_threads()
        {
            tch::set_num_threads(cores);
        }
        return Ok(());
    };
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads.get())
        .build_global()
        .with_context(|| format!("--threads {threads}"))?;
    tch::set_num_threads(i32::try_from(threads.get()).with_context(|| format!("--threads {threads}"))?);
    Ok(())
}

/// The requested device; `auto` is the first CUDA device if there is one.
///
/// # Errors
/// If the requested CUDA device does not exist.
pub fn device(wanted: DeviceArg) -> anyhow::Result<Device> {
    match wanted {
        DeviceArg::Auto => Ok(Device::cuda_if_available()),
        DeviceArg::Cpu => Ok(Device::Cpu),
        DeviceArg::Cuda(index) => {
            let found = Cuda::device_count();
            if !Cuda::is_available() || found <= 0 {
                bail!("--device {wanted}: libtorch finds no CUDA device; use --device cpu");
            }
            if i64::try_from(index)? >= found {
                bail!("--device {wanted}: no such device; the last one is cuda:{}", found - 1);
            }
            Ok(Device::Cuda(index))
        }
    }
}

/// Makes results independent of the number of cores, by one libtorch thread.
///
/// # Errors
/// On CUDA, where the backward passes of trilinear resizing and of the visual sampler sum in no fixed order.
pub fn make_deterministic(device: Device) -> anyhow::Result<()> {
    if device.is_cuda() {
        bail!(
            "train.deterministic: CUDA sums the gradients of resized volumes in no fixed order; use --device cpu, or remove \
             the setting"
        );
    }
    tch::set_num_threads(1);
    Ok(())
}
