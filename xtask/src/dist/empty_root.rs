//! The proof: in a file system that has the tree and the system's libraries and nothing else, the program segments with its
//! built-in weights as it does in the workspace, and serves.
//!
//! The file system is made by bubblewrap (`apt install bubblewrap`), which needs no rights of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use ndarray::Array3;
use sam3d_geom::Affine;
use sam3d_io::{Grid, atomic::Overwrite, nifti};

use super::check::OF_THE_SYSTEM;

/// Where distributions keep the C library.
const DIRECTORIES: [&str; 5] =
    ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/usr/lib"];

/// The loader's place is written into every program.
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// The voxel `[i, j, k]` that is clicked.
const CLICK: &str = "24,20,12";

/// Whether bubblewrap is there and may make a file system; says so where not.
pub(super) fn is_possible() -> bool {
    let outcome = Command::new("bwrap").args(["--ro-bind", "/", "/", "--unshare-all", "true"]).output();
    let reason = match outcome {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(_) => "bubblewrap is not installed (Debian and Ubuntu: `apt install bubblewrap`)".to_owned(),
    };
    println!("SKIPPED: the program was not tried in an empty root: {reason}");
    false
}

/// Runs the program of `tree` in an empty root and `program`, the same one, here with the whole of `libtorch`, and compares.
///
/// # Errors
/// If the program does not run there, or gives another mask.
pub(super) fn prove(tree: &Path, program: &Path, libtorch: &Path) -> Result<()> {
    if !is_possible() {
        return Ok(());
    }
    let work = tempfile::tempdir().context("cannot make a temporary directory")?;
    write_volume(&work.path().join("ct.nii"))?;

    let mut here = Command::new(program);
    here.current_dir(work.path()).env("LD_LIBRARY_PATH", libtorch.join("lib"));
    let expected = segment(&mut here, work.path(), "expected.nii")?;
    let start = Instant::now();
    let mut there = in_empty_root(tree, work.path())?;
    let found = segment(&mut there, work.path(), "found.nii")?;
    let seconds = start.elapsed().as_secs_f64();
    if found != expected {
        bail!("in an empty root the program gives another mask than in the workspace");
    }
    let foreground = found.iter().skip(HEADER_BYTES).filter(|value| **value != 0).count();
    if foreground == 0 {
        bail!("the mask of the click is empty: the comparison shows nothing");
    }
    println!("in an empty root: the workspace's mask of {foreground} voxels after {seconds:.1} s");
    serves(in_empty_root(tree, work.path())?)
}

/// Bytes of a NIfTI file before its voxels.
const HEADER_BYTES: usize = 352;

/// A ball, 60 HU brighter than what is around it.
fn write_volume(path: &Path) -> Result<()> {
    let squared = |kji: [usize; 3]| {
        let [k, j, i] = [(kji[0], 12.0, 3.0), (kji[1], 20.0, 1.5), (kji[2], 24.0, 1.5)]
            .map(|(index, centre, mm)| (index as f64 - centre) * mm);
        k * k + j * j + i * i
    };
    let values = Array3::from_shape_fn([24, 40, 48], |(k, j, i)| {
        if squared([k, j, i]) < 14.0 * 14.0 { 90_i16 } else { 30 - ((i * 7 + j * 5 + k * 3) % 11) as i16 }
    });
    let rows = [[-1.5, 0.0, 0.0, 36.0], [0.0, -1.5, 0.0, 30.0], [0.0, 0.0, 3.0, -36.0]];
    let grid = Grid::from_affine([48, 40, 24], Affine::new(rows)?)?;
    Ok(nifti::write(path, values.view(), &grid, Overwrite::Refuse)?)
}

/// The mask file that `sam3d`, to be run in `work`, writes after one click.
fn segment(sam3d: &mut Command, work: &Path, mask: &str) -> Result<Vec<u8>> {
    sam3d.args(["segment", "--image", "ct.nii", "--point", CLICK, "--out", mask]);
    let output = sam3d.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot start {:?}", sam3d.get_program()))?;
    if !output.status.success() {
        bail!("{:?} failed: {}", sam3d.get_program(), String::from_utf8_lossy(&output.stderr).trim());
    }
    let path = work.join(mask);
    fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The program of `tree` in a root of its own, with `work` to read and write.
fn in_empty_root(tree: &Path, work: &Path) -> Result<Command> {
    let mut bwrap = Command::new("bwrap");
    bwrap.args(["--unshare-all", "--share-net", "--die-with-parent", "--clearenv"]);
    bwrap.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
    bwrap.arg("--ro-bind").arg(tree).arg("/opt/sam3d").arg("--bind").arg(work).arg("/work");
    for name in OF_THE_SYSTEM {
        let place = if LOADER.ends_with(name) { Some(PathBuf::from(LOADER)) } else { place_of(name) };
        let place = place.with_context(|| format!("cannot find this system's {name}"))?;
        let file = fs::canonicalize(&place).with_context(|| format!("cannot find {}", place.display()))?;
        bwrap.arg("--ro-bind").arg(file).arg(place);
    }
    // With every symbol looked up at the start, one that a stub lacks is found whether or not it is called.
    bwrap.args(["--setenv", "LD_BIND_NOW", "1", "--chdir", "/work", "/opt/sam3d/bin/sam3d"]);
    Ok(bwrap)
}

fn place_of(library: &str) -> Option<PathBuf> {
    DIRECTORIES.iter().map(|directory| Path::new(directory).join(library)).find(|path| path.is_file())
}

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the server and asks it for what viewers ask first.
fn serves(mut sam3d: Command) -> Result<()> {
    sam3d.args(["serve", "--port", "0", "--studies", "/work"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let child = sam3d.stderr(Stdio::null()).spawn().context("cannot start bwrap")?;
    let mut running = Running(child);
    let stdout = running.0.stdout.take().context("the server has no output")?;
    let address = BufReader::new(stdout)
        .lines()
        .map_while(Result::ok)
        .find_map(|line| address_in(&line))
        .context("the server ended in an empty root before it named its address")?;
    let mut stream = TcpStream::connect(&address).with_context(|| format!("cannot reach {address}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(stream, "GET /info/ HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("the server does not answer")?;
    if !answer.starts_with("HTTP/1.1 200 ") {
        bail!("the server answered {:?}", answer.lines().next().unwrap_or_default());
    }
    println!("in an empty root: the server answers");
    Ok(())
}

/// `host:port` of the first address in `line`.
fn address_in(line: &str) -> Option<String> {
    let after = line.split_once("http://")?.1;
    let end = after.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(after.len());
    Some(after[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_in_what_the_server_says() {
        assert_eq!(address_in("page: http://127.0.0.1:4711/ (Ctrl-C)").as_deref(), Some("127.0.0.1:4711"));
        assert_eq!(address_in("http://[::1]:80").as_deref(), Some("[::1]:80"));
        assert_eq!(address_in("loading weights"), None);
    }

    #[test]
    fn a_program_that_needs_more_than_the_system_has_fails_in_an_empty_root() {
        if !is_possible() {
            return;
        }
        let tree = crate::dist::linked_program("$ORIGIN/../lib");
        let work = tempfile::tempdir().unwrap();
        let at = |name: &str| tree.path().join(name);
        let run = || in_empty_root(tree.path(), work.path()).unwrap().output().unwrap();
        let output = run();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::rename(at("lib/libpart.so"), at("libpart.so")).unwrap();
        let output = run();
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("libpart.so"));
    }
}
