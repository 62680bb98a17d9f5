//! `cargo xtask python`: the Python packages are checked, built, installed where nothing else is, and tested there.

mod environment;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::environment::{Environment, Interpreter};
use crate::{
    setup::{self, SetupArguments, TORCH_VERSION},
    step, workspace,
};

/// Arguments of `cargo xtask python`.
#[derive(Debug, Default, Args)]
pub(crate) struct PythonArguments {
    /// Only build the wheels.
    #[arg(long)]
    build_only: bool,
    /// Test the package sam3d beside an installed torch (several GB) instead of torch's libraries alone.
    #[arg(long)]
    torch: bool,
    /// Build and test this package alone.
    #[arg(long, value_name = "NAME")]
    package: Option<String>,
}

/// Builds the wheels.
const MATURIN: &str = "maturin==1.16.0";

/// What the tests of every package need.
const TEST_REQUIREMENTS: [&str; 3] = ["numpy>=1.22", "pytest>=8", "mypy>=1.15"];

/// A Python package of this repository.
struct Package {
    name: &'static str,
    /// The profile it is built with.
    profile: &'static str,
    needs_libtorch: bool,
}

const PACKAGES: [Package; 2] = [
    Package { name: "sam3d-metrics", profile: "release", needs_libtorch: false },
    Package { name: "sam3d", profile: "wheel", needs_libtorch: true },
];

/// Checks, builds and tests the Python packages.
pub(crate) fn run(arguments: &PythonArguments) -> Result<()> {
    let interpreter = Interpreter::find()?;
    let tools = Tools::prepare(&interpreter)?;
    setup::run(&SetupArguments::default())?;
    tools.check_and_test(arguments, &interpreter)
}

/// The same as part of all checks: without Python 3.10, or without a package index, it says so and does nothing. With
/// `torch`, the package sam3d is tested beside an installed torch if that can be installed.
pub(crate) fn run_if_possible(torch: bool) -> Result<()> {
    let prepared = Interpreter::find().and_then(|interpreter| {
        let tools = Tools::prepare(&interpreter)?;
        Ok((tools, interpreter))
    });
    let (tools, interpreter) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            skipped(&error, "the Python packages were not tested");
            return Ok(());
        }
    };
    let torch = torch
        && match Environment::with_torch(&interpreter) {
            Ok(_) => true,
            Err(error) => {
                skipped(&error, "torch was not installed: sam3d was not tested beside it");
                false
            }
        };
    tools.check_and_test(&PythonArguments { torch, ..PythonArguments::default() }, &interpreter)
}

fn skipped(error: &anyhow::Error, what: &str) {
    println!("SKIPPED: {what}: {error:#}");
}

/// What builds the wheels.
struct Tools {
    build: Environment,
}

impl Tools {
    fn prepare(interpreter: &Interpreter) -> Result<Self> {
        Ok(Self { build: Environment::new(interpreter, "build", &[MATURIN])? })
    }

    fn check_and_test(&self, arguments: &PythonArguments, interpreter: &Interpreter) -> Result<()> {
        let chosen =
            |package: &&Package| arguments.package.as_deref().is_none_or(|name| name == package.name);
        let packages: Vec<&Package> = PACKAGES.iter().filter(chosen).collect();
        if packages.is_empty() {
            let names = PACKAGES.map(|package| package.name).join(", ");
            bail!("there is no such package; the packages are {names}");
        }
        if !arguments.build_only {
            step::run("format of the Python packages", cargo().args(["fmt", "--all", "--check"]))?;
        }
        for package in packages {
            if !arguments.build_only {
                package.lint()?;
            }
            let wheel = self.build(package)?;
            println!("{}", wheel.display());
            if !arguments.build_only {
                package.test(&wheel, interpreter, arguments.torch)?;
            }
        }
        Ok(())
    }

    /// Builds one wheel and returns where it is.
    fn build(&self, package: &Package) -> Result<PathBuf> {
        let wheels = environment::directory().join("wheels").join(package.name);
        if wheels.exists() {
            fs::remove_dir_all(&wheels).with_context(|| format!("cannot remove {}", wheels.display()))?;
        }
        let mut maturin = self.build.program("maturin");
        maturin.args(["build", "--profile", package.profile, "--out"]).arg(&wheels).arg("--manifest-path");
        maturin.arg(package.directory().join("Cargo.toml")).current_dir(workspace::root());
        maturin.env("CARGO_TARGET_DIR", target_directory());
        maturin.arg("--interpreter").arg(self.build.python());
        step::run(&format!("wheel of {}", package.name), &mut maturin)?;
        let entries = fs::read_dir(&wheels).with_context(|| format!("cannot read {}", wheels.display()))?;
        let wheel = entries.filter_map(Result::ok).map(|entry| entry.path()).next();
        wheel.with_context(|| format!("maturin left no wheel in {}", wheels.display()))
    }
}

impl Package {
    fn directory(&self) -> PathBuf {
        workspace::root().join("python").join(self.name)
    }

    fn lint(&self) -> Result<()> {
        let mut clippy = cargo();
        clippy.args(["clippy", "--profile", self.profile, "--package", &format!("{}-python", self.name)]);
        step::run(&format!("lints of {}", self.name), clippy.args(["--", "-D", "warnings"]))
    }

    /// Installs the wheel in an environment of its own and runs the tests there.
    fn test(&self, wheel: &Path, interpreter: &Interpreter, torch: bool) -> Result<()> {
        let environment = match (self.needs_libtorch, torch) {
            (false, _) => Environment::for_metrics(interpreter)?,
            (true, false) => Environment::with_libtorch(interpreter)?,
            (true, true) => Environment::with_torch(interpreter)?,
        };
        environment.install(self.name, wheel)?;
        let mut tests = environment.program("python");
        // Not in the package's directory, whose sources would be imported in place of what is installed.
        tests.args(["-m", "pytest", "-q", "-rs", "--durations=5"]).arg(self.directory().join("tests"));
        tests.current_dir(environment::directory());
        if self.needs_libtorch {
            // The program, whose masks the package's are compared with; the tests of the workspace leave it built.
            step::run("program", workspace::cargo().args(["build", "--workspace", "--bin", "sam3d"]))?;
            tests.env("SAM3D_PROGRAM", workspace::target_directory().join("debug/sam3d"));
        }
        step::run(&format!("tests of {}", self.name), &mut tests)
    }
}

impl Environment {
    /// An environment for the metrics, beside the package that they are compared with.
    fn for_metrics(interpreter: &Interpreter) -> Result<Self> {
        let compared = ["scipy>=1.8", "surface-distance-based-measures==0.1"];
        Self::new(interpreter, "test", &[&TEST_REQUIREMENTS[..], &compared].concat())
    }

    /// An environment in which the workspace's libtorch stands for the package torch, whose libraries they are.
    fn with_libtorch(interpreter: &Interpreter) -> Result<Self> {
        let environment = Self::new(interpreter, "test-libtorch", &TEST_REQUIREMENTS)?;
        environment.link_libtorch()?;
        Ok(environment)
    }

    /// An environment with the package torch.
    fn with_torch(interpreter: &Interpreter) -> Result<Self> {
        let torch = format!("torch=={TORCH_VERSION}");
        Self::new(interpreter, "test-torch", &[&TEST_REQUIREMENTS[..], &[&torch]].concat())
    }
}

/// Where the packages are compiled; not the workspace's own place, so that neither build waits for the other.
fn target_directory() -> PathBuf {
    environment::directory().join("target")
}

fn cargo() -> Command {
    let mut cargo = workspace::cargo();
    cargo.current_dir(workspace::root().join("python")).env("CARGO_TARGET_DIR", target_directory());
    cargo
}
