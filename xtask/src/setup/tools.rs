//! The programs that setup and the first build need.

use std::{
    env,
    ffi::OsString,
    process::{Command, Stdio},
};

use anyhow::{Result, bail};
use sam3d_commands::pip::Pip;

use super::TORCH_VERSION;

/// Programs found on this machine.
#[derive(Debug)]
pub(super) struct Tools {
    /// The C compiler, which makes the empty library.
    pub(super) c_compiler: OsString,
    /// pip, if there is one.
    pub(super) pip: Option<Pip>,
}

impl Tools {
    /// A command that runs pip.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn pip(&self) -> Result<Command> {
        let Some(pip) = self.pip else {
            bail!(
                "no pip to download libtorch with: install Python 3 with pip (Debian and Ubuntu: `apt install python3-pip`), or set LIBTORCH to a libtorch {TORCH_VERSION}"
            );
        };
        Ok(pip.command())
    }
}

/// Looks for the compilers and for pip.
///
/// # Errors
/// If a compiler is missing. A missing pip is not an error yet: libtorch may be in the cache.
pub(super) fn find() -> Result<Tools> {
    let compiler = |variable: &str, default: &str| {
        env::var_os(variable).filter(|value| !value.is_empty()).unwrap_or_else(|| default.into())
    };
    let c_compiler = compiler("CC", "cc");
    if !runs(&c_compiler, &["--version"]) {
        bail!("no C compiler {c_compiler:?}: install one (Debian and Ubuntu: `apt install gcc`) or set CC");
    }
    let cpp_compiler = compiler("CXX", "c++");
    if !runs(&cpp_compiler, &["--version"]) {
        bail!(
            "no C++ compiler {cpp_compiler:?}, which torch-sys is built with: install one (Debian and Ubuntu: `apt install g++`, Fedora: `dnf install gcc-c++`) or set CXX"
        );
    }
    Ok(Tools { c_compiler, pip: Pip::find() })
}

fn runs(program: &std::ffi::OsStr, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_does_not_run() {
        assert!(!runs("no-such-program".as_ref(), &["--version"]));
        assert!(!runs("false".as_ref(), &[]));
        assert!(runs("true".as_ref(), &[]));
    }

    #[test]
    fn without_pip_the_error_says_what_to_do() {
        let tools = Tools { c_compiler: "cc".into(), pip: None };
        let error = tools.pip().unwrap_err().to_string();
        assert!(error.contains("install Python 3 with pip") && error.contains("set LIBTORCH"), "{error}");
    }
}
