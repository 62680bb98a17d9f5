//! The tree that is packed: the program, the libraries of libtorch it needs, and stubs of two CUDA libraries.
//!
//! libtorch for the CPU comes from a CUDA build and is linked to CUDA's runtime and profiler, of which it calls 27 functions to
//! find out that there is no GPU. The stubs say so in 14 KB each, and stand under no licence of NVIDIA's.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::{check::OF_THE_SYSTEM, elf};

/// How libtorch's libraries come into the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Libraries {
    /// Copies without symbols that nothing is linked to.
    Stripped,
    /// Links to them: enough for a trial.
    Linked,
}

/// A library that is replaced by a stub, with the functions that libtorch calls. Its symbols' version is its name.
struct Stub {
    name: &'static str,
    /// What a function without a body of its own returns: CUDA's error for "no device", CUPTI's for "not initialized".
    error: u32,
    functions: &'static [&'static str],
    /// Functions that hand something back.
    bodies: &'static [(&'static str, &'static str)],
}

const STUBS: [Stub; 2] = [
    Stub {
        name: "libcudart.so.13",
        error: 100,
        functions: &["cudaDeviceSynchronize", "cudaGetDeviceProperties"],
        bodies: &[
            (
                "cudaGetErrorString",
                "const char *cudaGetErrorString(int e) { return \"this build has no CUDA\"; }",
            ),
            ("cudaGetDeviceCount", "int cudaGetDeviceCount(int *count) { *count = 0; return 100; }"),
            ("cudaDriverGetVersion", "int cudaDriverGetVersion(int *version) { *version = 0; return 0; }"),
            ("cudaRuntimeGetVersion", "int cudaRuntimeGetVersion(int *version) { *version = 0; return 0; }"),
        ],
    },
    Stub {
        name: "libcupti.so.13",
        error: 15,
        functions: &[
            "cuptiActivityDisable",
            "cuptiActivityEnable",
            "cuptiActivityEnableCudaEventDeviceTimestamps",
            "cuptiActivityEnableDriverApi",
            "cuptiActivityEnableRuntimeApi",
            "cuptiActivityFlushAll",
            "cuptiActivityGetNextRecord",
            "cuptiActivityGetNumDroppedRecords",
            "cuptiActivityPopExternalCorrelationId",
            "cuptiActivityPushExternalCorrelationId",
            "cuptiActivityRegisterCallbacks",
            "cuptiActivityRegisterTimestampCallback",
            "cuptiActivitySetAttribute",
            "cuptiEnableCallback",
            "cuptiEnableDomain",
            "cuptiFinalize",
            "cuptiGetCallbackName",
            "cuptiSubscribe",
            "cuptiUnsubscribe",
        ],
        bodies: &[
            ("cuptiGetVersion", "int cuptiGetVersion(unsigned *version) { *version = 0; return 0; }"),
            (
                "cuptiGetResultString",
                "int cuptiGetResultString(int e, const char **text) { *text = \"this build has no CUPTI\"; return 0; }",
            ),
        ],
    },
];

impl Stub {
    fn symbols(&self) -> impl Iterator<Item = &'static str> {
        self.functions.iter().copied().chain(self.bodies.iter().map(|(name, _)| *name))
    }

    fn source(&self) -> String {
        let of_name = |name: &&str| format!("int {name}(void) {{ return {}; }}\n", self.error);
        let mut source: String = self.functions.iter().map(of_name).collect();
        for (_, body) in self.bodies {
            source.push_str(body);
            source.push('\n');
        }
        source
    }

    /// Compiles the stub into the directory `lib`.
    fn compile(&self, lib: &Path) -> Result<()> {
        let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
        let write = |name: &str, text: &str| {
            let path = scratch.path().join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            Ok::<PathBuf, anyhow::Error>(path)
        };
        let source = write("stub.c", &self.source())?;
        let versions = write("stub.map", &format!("{} {{ global: *; }};\n", self.name))?;
        let compiler = env::var_os("CC").filter(|value| !value.is_empty()).unwrap_or_else(|| "cc".into());
        let mut command = Command::new(&compiler);
        command.args(["-shared", "-fPIC", "-O1", "-s", "-nostdlib", "-Wl,--build-id=none"]);
        command.arg(format!("-Wl,-soname,{}", self.name));
        command.arg(format!("-Wl,--version-script={}", versions.display()));
        command.arg("-o").arg(lib.join(self.name)).arg(source).stdin(Stdio::null());
        succeed(&mut command)
    }
}

/// Lays out `tree`, replacing an earlier one, from the `program` and the libraries of `libtorch`.
///
/// # Errors
/// If a library is needed that neither libtorch nor the system has, or libtorch wants more of CUDA than the stubs have.
pub(super) fn lay_out(tree: &Path, program: &Path, libtorch: &Path, libraries: Libraries) -> Result<()> {
    if tree.exists() {
        fs::remove_dir_all(tree).with_context(|| format!("cannot remove {}", tree.display()))?;
    }
    if libtorch.join("lib/libtorch_cuda.so").exists() {
        bail!(
            "{} is a CUDA build: an archive is made of the CPU's (delete .libtorch and run setup)",
            libtorch.display()
        );
    }
    let [bin, lib] = ["bin", "lib"].map(|name| tree.join(name));
    for directory in [&bin, &lib] {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    }
    fs::copy(program, bin.join("sam3d")).with_context(|| format!("cannot copy {}", program.display()))?;

    let mut missing: BTreeSet<String> = elf::needed(program)?.into_iter().collect();
    let mut placed = BTreeSet::new();
    while let Some(name) = missing.pop_first() {
        if OF_THE_SYSTEM.contains(&name.as_str()) || !placed.insert(name.clone()) {
            continue;
        }
        if let Some(stub) = STUBS.iter().find(|stub| stub.name == name) {
            stub.compile(&lib)?;
            continue;
        }
        let library = libtorch.join("lib").join(&name);
        if !library.is_file() {
            bail!("{name} is needed, and {} does not have it", libtorch.join("lib").display());
        }
        check_wanted_of_stubs(&library)?;
        missing.extend(elf::needed(&library)?);
        place(&library, &lib.join(&name), libraries)?;
    }
    Ok(())
}

/// Fails if `library` wants a symbol of a replaced library that its stub does not have.
fn check_wanted_of_stubs(library: &Path) -> Result<()> {
    for symbol in elf::wanted_symbols(library)? {
        let Some((name, version)) = symbol.split_once('@') else { continue };
        let Some(stub) = STUBS.iter().find(|stub| stub.name == version) else { continue };
        if !stub.symbols().any(|known| known == name) {
            bail!("{} calls {name} of {version}, which the stub does not have", library.display());
        }
    }
    Ok(())
}

fn place(library: &Path, target: &Path, libraries: Libraries) -> Result<()> {
    match libraries {
        Libraries::Linked => {
            // The loader looks beside a link for what the library needs, and would find CUDA there: hence a hard link, or a
            // copy on another file system.
            if fs::hard_link(library, target).is_err() {
                fs::copy(library, target).with_context(|| format!("cannot copy {}", library.display()))?;
            }
            Ok(())
        }
        Libraries::Stripped => {
            let mut strip = Command::new("strip");
            strip.args(["--strip-unneeded", "--preserve-dates", "-o"]).arg(target).arg(library);
            succeed(&mut strip)
        }
    }
}

/// Runs a tool that says nothing unless it fails.
fn succeed(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_owned();
    let output = command.output().with_context(|| format!("cannot start {program:?}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("{program:?} failed: {}", text.lines().next().unwrap_or("no message"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_export_their_functions_under_the_library_s_version() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(STUBS.iter().flat_map(Stub::symbols).count(), 27);
        for stub in STUBS {
            stub.compile(directory.path()).unwrap();
            let file = directory.path().join(stub.name);
            assert!(fs::metadata(&file).unwrap().len() < 20_000);
            assert_eq!(elf::needed(&file).unwrap(), [""; 0]);
            // A library that calls one function of the stub binds to it, and to its version.
            let caller = directory.path().join("caller.c");
            let called = stub.functions[0];
            fs::write(&caller, format!("int {called}(void); int call(void) {{ return {called}(); }}\n"))
                .unwrap();
            let library = directory.path().join("libcaller.so");
            let mut compile = Command::new("cc");
            compile.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&caller).arg(&file);
            succeed(&mut compile).unwrap();
            let wanted = format!("{called}@{}", stub.name);
            assert!(elf::wanted_symbols(&library).unwrap().contains(&wanted), "{wanted}");
            check_wanted_of_stubs(&library).unwrap();
        }
    }

    #[test]
    fn a_function_that_a_stub_lacks_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let real = Stub { functions: &["cudaGraphLaunch"], bodies: &[], ..STUBS[0] };
        real.compile(directory.path()).unwrap();
        let caller = directory.path().join("caller.c");
        fs::write(&caller, "int cudaGraphLaunch(void); int call(void) { return cudaGraphLaunch(); }\n")
            .unwrap();
        let library = directory.path().join("libcaller.so");
        let mut compile = Command::new("cc");
        compile
            .args(["-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(&caller)
            .arg(directory.path().join(real.name));
        succeed(&mut compile).unwrap();
        let error = check_wanted_of_stubs(&library).unwrap_err().to_string();
        assert!(error.contains("cudaGraphLaunch of libcudart.so.13"), "{error}");
    }
}
