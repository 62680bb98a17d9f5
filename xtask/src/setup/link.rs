//! The workspace's link to the installed libtorch.

use std::{fs, io, path::Path, time::SystemTime};

use anyhow::{Context, Result, bail};

use super::{Flavour, install, platform::Platform};

/// Whether `link` leads to a complete installation of the pinned version. Costs a handful of file look-ups.
pub(super) fn leads_to(link: &Path, platform: &Platform, flavour: Flavour) -> bool {
    let Ok(torch) = fs::canonicalize(link) else { return false };
    torch.parent().is_some_and(|installation| install::is_complete(installation, platform, flavour))
}

/// Points `link` at the directory `torch`, replacing an earlier link in one step.
///
/// # Errors
/// If something other than a link is in its place, or the link cannot be made.
pub(super) fn point(link: &Path, torch: &Path) -> Result<()> {
    if fs::symlink_metadata(link).is_ok_and(|metadata| !metadata.is_symlink()) {
        bail!("{} is not the link that setup makes: move it away, or set LIBTORCH to use it", link.display());
    }
    let earlier = fs::read_link(link).ok();
    let workspace = link.parent().context("the link has no parent directory")?;
    tempfile::Builder::new()
        .prefix(".libtorch-")
        .make_in(workspace, |path| symlink(torch, path))
        .and_then(|made| Ok(made.into_temp_path().persist(link)?))
        .with_context(|| format!("cannot link {} to {}", link.display(), torch.display()))?;
    if earlier.is_none_or(|earlier| earlier == torch) {
        return Ok(());
    }
    // The build scripts look at this file's time to notice that libtorch is another one than before.
    fs::File::options()
        .append(true)
        .open(torch.join(install::BUILD_VERSION))
        .and_then(|file| file.set_modified(SystemTime::now()))
        .with_context(|| format!("cannot touch {}", torch.join(install::BUILD_VERSION).display()))
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// Windows lets a user make links in developer mode.
#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_dir(target, link)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_target: &Path, _link: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::{super::platform::LINUX_X86_64, *};

    fn directory_with_version(name: &str, root: &Path) -> std::path::PathBuf {
        let torch = root.join(name);
        fs::create_dir(&torch).unwrap();
        fs::write(torch.join(install::BUILD_VERSION), "2.13.0+cpu\n").unwrap();
        torch
    }

    #[test]
    fn replaces_a_link_but_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| directory_with_version(name, root.path()));
        let link = root.path().join(".libtorch");
        let version_time =
            |torch: &Path| fs::metadata(torch.join(install::BUILD_VERSION)).unwrap().modified().unwrap();
        for torch in [&first, &second] {
            let file = fs::File::options().append(true).open(torch.join(install::BUILD_VERSION)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
        point(&link, &first).unwrap();
        assert_eq!(version_time(&first), SystemTime::UNIX_EPOCH);
        point(&link, &second).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), second);
        assert!(version_time(&second) > SystemTime::UNIX_EPOCH, "the build scripts would not notice");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 3, "a temporary link was left");

        let directory = root.path().join("directory");
        fs::create_dir(&directory).unwrap();
        assert!(point(&directory, &first).unwrap_err().to_string().contains("move it away"));
        assert!(directory.is_dir());
    }

    #[test]
    fn a_dangling_link_leads_nowhere() {
        let root = tempfile::tempdir().unwrap();
        let link = root.path().join(".libtorch");
        assert!(!leads_to(&link, &LINUX_X86_64, Flavour::Cpu));
        symlink(&root.path().join("gone"), &link).unwrap();
        assert!(!leads_to(&link, &LINUX_X86_64, Flavour::Cpu));
    }
}
