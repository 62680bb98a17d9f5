//! `cargo xtask setup`: the libtorch that tch wants, in the user's cache, linked into the workspace.
//!
//! tch checks libtorch's version only where a `build-version` file lies in it, and a wrong version shows as compiler
//! errors in C++ or as crashes; hence one pinned version, checked here.

mod install;
mod link;
mod lock;
mod own;
mod platform;
mod tools;
mod wheels;

use std::{env, time::Instant};

use anyhow::{Result, bail};
use clap::Args;

use self::platform::Platform;
use crate::workspace;

/// The version tch 0.26.0 is made for.
pub(crate) const TORCH_VERSION: &str = "2.13.0";

/// Arguments of `cargo xtask setup`.
#[derive(Debug, Default, Args)]
pub(crate) struct SetupArguments {
    /// Install the CUDA build with NVIDIA's libraries (several GB) instead of its CPU part.
    #[arg(long)]
    cuda: bool,
}

/// Which part of the PyTorch wheel is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// The libraries that run on the CPU.
    Cpu,
    /// All of it, with NVIDIA's libraries.
    Cuda,
}

impl Flavour {
    /// Name in directory names and in `build-version`.
    fn name(self) -> &'static str {
        match self {
            Flavour::Cpu => "cpu",
            Flavour::Cuda => "cu130",
        }
    }
}

/// Puts libtorch in place, unless it is.
pub(crate) fn run(arguments: &SetupArguments) -> Result<()> {
    let link = workspace::libtorch_link();
    if let Some(own) = own::libtorch_of_user(env::var_os("LIBTORCH"), &link) {
        let found = own::check(&own)?;
        println!("libtorch: {} (yours, from LIBTORCH): {found}", own.display());
        return Ok(());
    }

    let Some(platform) = Platform::current() else {
        bail!(
            "no ready-made libtorch exists for this platform: install libtorch {TORCH_VERSION} and set LIBTORCH to its directory"
        );
    };
    if arguments.cuda && platform.cuda_library.is_none() {
        bail!("no ready-made libtorch with CUDA exists for this platform: leave out --cuda");
    }
    // Either flavour serves the other tasks: only `--cuda` asks for a certain one.
    let accepted: &[Flavour] = if arguments.cuda { &[Flavour::Cuda] } else { &[Flavour::Cpu, Flavour::Cuda] };
    if let Some(flavour) = accepted.iter().find(|flavour| link::leads_to(&link, platform, **flavour)) {
        println!("libtorch: {} is in place, version {TORCH_VERSION}+{}", link.display(), flavour.name());
        return Ok(());
    }

    let flavour = if arguments.cuda { Flavour::Cuda } else { Flavour::Cpu };
    let cache = sam3d_commands::cache_directory()?;
    let target = cache.join(format!("libtorch-{TORCH_VERSION}-{}", flavour.name()));
    let tools = tools::find()?;
    let start = Instant::now();
    install::ensure(&target, platform, flavour, &tools)?;
    link::point(&link, &target.join("torch"))?;
    println!(
        "libtorch {TORCH_VERSION} ({}) is in {} and linked as {} ({:.1} s)",
        flavour.name(),
        target.display(),
        link.display(),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
