//! What a program or library needs, as binutils' `readelf` tells it.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail};

/// Names of the libraries that `file` is linked to.
pub(super) fn needed(file: &Path) -> Result<Vec<String>> {
    Ok(readelf(file, "--dynamic")?.lines().filter_map(|line| entry(line, "(NEEDED)")).collect())
}

/// Where `file` looks for libraries, in order.
pub(super) fn search_path(file: &Path) -> Result<Vec<String>> {
    let text = readelf(file, "--dynamic")?;
    let entries = text.lines().filter_map(|line| entry(line, "(RUNPATH)").or_else(|| entry(line, "(RPATH)")));
    Ok(entries.flat_map(|path| path.split(':').map(str::to_owned).collect::<Vec<_>>()).collect())
}

/// The symbols that `file` wants from elsewhere, with their versions: `name@version`.
pub(super) fn wanted_symbols(file: &Path) -> Result<Vec<String>> {
    let text = readelf(file, "--dyn-syms")?;
    let wanted = text.lines().filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        (columns.get(6) == Some(&"UND")).then(|| columns.get(7).copied()).flatten()
    });
    Ok(wanted.map(str::to_owned).collect())
}

/// The newest of the versions `family` (such as `GLIBC`) that `file` wants; `None` if it wants none.
pub(super) fn newest(file: &Path, family: &str) -> Result<Option<Vec<u32>>> {
    let text = readelf(file, "--version-info")?;
    Ok(versions(&text, family).max())
}

fn versions<'a>(text: &'a str, family: &'a str) -> impl Iterator<Item = Vec<u32>> + 'a {
    let names = text.split_whitespace().filter_map(move |word| word.strip_prefix(family)?.strip_prefix('_'));
    names.filter_map(|version| version.split('.').map(|part| part.parse().ok()).collect())
}

/// The value in brackets of a line of the dynamic section of this `kind`.
fn entry(line: &str, kind: &str) -> Option<String> {
    line.contains(kind).then_some(())?;
    Some(line.split_once('[')?.1.split_once(']')?.0.to_owned())
}

fn readelf(file: &Path, what: &str) -> Result<String> {
    let output = Command::new("readelf").arg("--wide").arg(what).arg(file).env("LC_ALL", "C").output();
    let output = output.context("cannot start readelf (Debian and Ubuntu: `apt install binutils`)")?;
    if !output.status.success() {
        bail!("readelf cannot read {}: {}", file.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_needs_the_c_library() {
        let program = std::env::current_exe().unwrap();
        assert!(needed(&program).unwrap().contains(&"libc.so.6".to_owned()));
        assert!(wanted_symbols(&program).unwrap().iter().any(|symbol| symbol.contains("@GLIBC_2.")));
        assert!(newest(&program, "GLIBC").unwrap().is_some_and(|version| version > vec![2, 2, 5]));
        assert_eq!(newest(&program, "LIBNOTHING").unwrap(), None);
        assert!(needed(Path::new("/no-such-file")).is_err());
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let text = " 0x1: Name: GLIBC_2.4  Flags: none\n 0x2: Name: GLIBC_2.34  Version: 3 GLIBC_PRIVATE GLIBCXX_3.4.30";
        assert_eq!(versions(text, "GLIBC").max(), Some(vec![2, 34]));
        assert_eq!(versions(text, "GLIBCXX").max(), Some(vec![3, 4, 30]));
    }

    #[test]
    fn entries_of_the_dynamic_section() {
        let line = " 0x000000000000001d (RUNPATH)            Library runpath: [$ORIGIN/../lib:/opt/lib]";
        assert_eq!(entry(line, "(RUNPATH)").as_deref(), Some("$ORIGIN/../lib:/opt/lib"));
        assert_eq!(entry(line, "(NEEDED)"), None);
    }
}
