//! What would keep the program from running on another machine, or tell where it was built.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::elf;

/// Libraries that every Linux with glibc has: the loader, and the C and C++ runtimes.
pub(super) const OF_THE_SYSTEM: [&str; 8] = [
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "libstdc++.so.6",
];

/// Newest versions of symbols that may be wanted: those of RHEL 9 and of Ubuntu 22.04, whichever is older.
const NEWEST: [(&str, &[u32]); 2] = [("GLIBC", &[2, 34]), ("GLIBCXX", &[3, 4, 29])];

/// Checks the program and the libraries in `tree`: what they are linked to is there or on every Linux.
///
/// # Errors
/// For the first file that would not run.
pub(super) fn runs_elsewhere(tree: &Path) -> Result<()> {
    let libraries = files_in(&tree.join("lib"))?;
    let here: BTreeSet<String> = libraries.iter().filter_map(|path| name_of(path)).collect();
    let program = tree.join("bin/sam3d");
    if elf::search_path(&program)?.first().map(String::as_str) != Some("$ORIGIN/../lib") {
        bail!("{} does not look for its libraries in $ORIGIN/../lib first", program.display());
    }
    for file in std::iter::once(&program).chain(&libraries) {
        for library in elf::needed(file)? {
            if !here.contains(&library) && !OF_THE_SYSTEM.contains(&library.as_str()) {
                bail!(
                    "{} needs {library}, which is neither in the archive nor on every Linux",
                    file.display()
                );
            }
        }
    }
    Ok(())
}

/// Checks that neither the program nor a library in `tree` wants a version of glibc or libstdc++ that is too new for the
/// systems the archive is for.
///
/// # Errors
/// For the first file that does.
pub(super) fn runs_on_older_systems(tree: &Path) -> Result<()> {
    for file in std::iter::once(tree.join("bin/sam3d")).chain(files_in(&tree.join("lib"))?) {
        for (family, allowed) in NEWEST {
            if let Some(wanted) = elf::newest(&file, family)?.filter(|wanted| wanted.as_slice() > allowed) {
                let [wanted, allowed] = [&wanted[..], allowed].map(dotted);
                bail!(
                    "{} wants {family}_{wanted}, newer than {allowed}: build on an older system",
                    file.display()
                );
            }
        }
    }
    Ok(())
}

/// Checks that no path of `directories` occurs in `file`.
///
/// # Errors
/// For the first that does, with the text around it.
pub(super) fn names_no_directory_of_this_machine(file: &Path, directories: &[PathBuf]) -> Result<()> {
    let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    for directory in directories {
        let wanted = format!("{}/", directory.display());
        if let Some(at) = content.windows(wanted.len()).position(|window| window == wanted.as_bytes()) {
            let end = content[at..].iter().position(|byte| !byte.is_ascii_graphic()).unwrap_or(0);
            let found = String::from_utf8_lossy(&content[at..at + end.clamp(wanted.len(), 200)]);
            bail!("{} names a directory of this machine: {found}", file.display());
        }
    }
    Ok(())
}

fn dotted(version: &[u32]) -> String {
    version.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

fn files_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::linked_program;

    /// As [`linked_program`], without the library unless `with_library`.
    fn tree(run_path: &str, with_library: bool) -> tempfile::TempDir {
        let tree = linked_program(run_path);
        if !with_library {
            fs::remove_file(tree.path().join("lib/libpart.so")).unwrap();
        }
        tree
    }

    #[test]
    fn libraries_must_be_found_where_the_archive_is_unpacked() {
        runs_elsewhere(tree("$ORIGIN/../lib", true).path()).unwrap();
        let error = runs_elsewhere(tree("/opt/lib", true).path()).unwrap_err().to_string();
        assert!(error.contains("$ORIGIN/../lib"), "{error}");
        let error = runs_elsewhere(tree("$ORIGIN/../lib", false).path()).unwrap_err().to_string();
        assert!(error.contains("needs libpart.so"), "{error}");
    }

    #[test]
    fn a_path_in_the_program_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("program");
        fs::write(&file, b"\0\x01/builder/me/src/lib.rs\0more").unwrap();
        names_no_directory_of_this_machine(&file, &["/builder/you".into(), "/builder/m".into()]).unwrap();
        let error =
            names_no_directory_of_this_machine(&file, &["/builder/me".into()]).unwrap_err().to_string();
        assert!(error.ends_with("/builder/me/src/lib.rs"), "{error}");
    }
}
