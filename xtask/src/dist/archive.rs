//! Packing: the same tree gives the same archive, byte for byte.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{step, workspace};

/// Packs the directory `tree` into an archive beside it.
pub(super) fn pack(tree: &Path) -> Result<PathBuf> {
    pack_as_of(tree, time())
}

/// Packs with `seconds` since 1970 as the time of every file.
fn pack_as_of(tree: &Path, seconds: u64) -> Result<PathBuf> {
    let parent = tree.parent().context("the tree needs a parent directory")?;
    let name = tree.file_name().context("the tree needs a name")?;
    let archive = tree.with_added_extension("tar.xz");
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--file").arg(&archive).arg("--directory").arg(parent);
    tar.args([
        "--format=ustar",
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mode=u+rw,go+r-w,a+X",
    ]);
    tar.arg(format!("--mtime=@{seconds}"));
    // Two threads cut the data into blocks of a fixed size, however many cores there are.
    tar.arg("--use-compress-program=xz -6 --threads=2").arg(name).env("LC_ALL", "C").env_remove("XZ_OPT");
    step::run("archive", &mut tar)?;
    Ok(archive)
}

/// The time of the commit that is packed, or `SOURCE_DATE_EPOCH`; 0 where neither is known.
fn time() -> u64 {
    let named = env::var("SOURCE_DATE_EPOCH").ok();
    let of_commit = || {
        let mut git = Command::new("git");
        let output = git.args(["log", "-1", "--format=%ct"]).current_dir(workspace::root()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    named.or_else(of_commit).and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn equal_trees_give_equal_archives() {
        let archive = |names: [&str; 3], umask: u32| {
            let directory = tempfile::tempdir().unwrap();
            let tree = directory.path().join("tree-1.0");
            fs::create_dir(&tree).unwrap();
            for name in names {
                fs::write(tree.join(name), name).unwrap();
            }
            let permissions =
                <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666 & !umask);
            fs::set_permissions(tree.join("b"), permissions).unwrap();
            let packed = pack_as_of(&tree, 1_700_000_000).unwrap();
            assert_eq!(packed.file_name().unwrap(), "tree-1.0.tar.xz");
            fs::read(packed).unwrap()
        };
        assert_eq!(archive(["a", "b", "c"], 0o022), archive(["c", "a", "b"], 0o077));
        assert_ne!(archive(["a", "b", "c"], 0o022), archive(["a", "b", "d"], 0o022));
    }
}
