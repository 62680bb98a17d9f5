//! The installation, from wheels made here.

use std::io::Write;

use zip::{ZipWriter, write::SimpleFileOptions};

use super::{
    super::platform::{LINUX_X86_64, MACOS_ARM64, WINDOWS_X86_64},
    *,
};

const LINUX: &Platform = &LINUX_X86_64;

/// A wheel like torch's, with a few bytes in place of every library.
fn fake_wheel(directory: &Path, without: Option<&str>) -> PathBuf {
    fake_wheel_for(LINUX, directory, without)
}

fn fake_wheel_for(platform: &Platform, directory: &Path, without: Option<&str>) -> PathBuf {
    let path = directory.join("torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl");
    let mut archive = ZipWriter::new(File::create(&path).unwrap());
    let licence = "torch-2.13.0.dist-info/licenses/LICENSE";
    let more = ["torch/include/torch/csrc/api/include/torch/torch.h", "torch/version.py", licence];
    let unwanted = [
        "torch/lib/libtorch.so",
        "torch/lib/libtorch_cuda.so",
        "torch/lib/libshm.dylib",
        "torch/nn/__init__.py",
    ];
    let names = platform.cpu_libraries.iter().copied().chain(more).chain(unwanted);
    for name in names.filter(|name| Some(*name) != without) {
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(name.as_bytes()).unwrap();
    }
    archive.finish().unwrap();
    path
}

fn install_fake(target: &Path) -> Result<()> {
    let fetch = |directory: &Path| Ok(vec![fake_wheel(directory, None)]);
    install(target, LINUX, Flavour::Cpu, fetch, |library| write(library, "empty"))
}

fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn keeps_the_cpu_half() {
    let cache = tempfile::tempdir().unwrap();
    let target = cache.path().join("libtorch");
    assert!(!is_complete(&target, LINUX, Flavour::Cpu));
    install_fake(&target).unwrap();

    assert!(is_complete(&target, LINUX, Flavour::Cpu));
    assert!(!is_complete(&target, LINUX, Flavour::Cuda));
    assert_eq!(names_in(cache.path()), ["libtorch"]);
    assert_eq!(names_in(&target), ["installed.txt", "nvidia", "torch", "torch-2.13.0.dist-info"]);
    assert_eq!(names_in(&target.join("torch")), ["build-version", "include", "lib", "version.py"]);
    let libraries = names_in(&target.join("torch/lib"));
    assert_eq!(libraries, ["libc10.so", "libgomp.so.1", "libtorch.so", "libtorch_cpu.so"]);
    assert_eq!(fs::read_to_string(target.join("torch/lib/libtorch.so")).unwrap(), "empty");
    assert_eq!(fs::read_to_string(target.join("torch/build-version")).unwrap(), "2.13.0+cpu\n");
}

/// Nothing is compiled where the published libraries are those for the CPU.
#[test]
fn other_platforms_have_libraries_of_their_own() {
    for (platform, libraries) in [
        (&MACOS_ARM64, &["libc10.dylib", "libomp.dylib", "libtorch.dylib", "libtorch_cpu.dylib"][..]),
        (
            &WINDOWS_X86_64,
            &[
                "c10.dll",
                "c10.lib",
                "libiomp5md.dll",
                "torch.dll",
                "torch.lib",
                "torch_cpu.dll",
                "torch_cpu.lib",
                "uv.dll",
            ],
        ),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let target = cache.path().join("libtorch");
        let fetch = |directory: &Path| Ok(vec![fake_wheel_for(platform, directory, None)]);
        let no_compile = |_: &Path| -> Result<()> { panic!("nothing is compiled") };
        install(&target, platform, Flavour::Cpu, fetch, no_compile).unwrap();
        assert!(is_complete(&target, platform, Flavour::Cpu) && !is_complete(&target, LINUX, Flavour::Cpu));
        assert_eq!(names_in(&target.join("torch/lib")), libraries);
    }
}

#[test]
fn a_changed_stamp_or_a_lost_file_is_not_complete() {
    let cache = tempfile::tempdir().unwrap();
    let target = cache.path().join("libtorch");
    install_fake(&target).unwrap();
    fs::write(target.join(STAMP), stamp(LINUX, Flavour::Cpu).replace("2.13.0", "2.12.0")).unwrap();
    assert!(!is_complete(&target, LINUX, Flavour::Cpu));

    install_fake(&target).unwrap();
    assert!(is_complete(&target, LINUX, Flavour::Cpu), "an installation of another version is replaced");
    fs::remove_file(target.join("torch/lib/libc10.so")).unwrap();
    assert!(!is_complete(&target, LINUX, Flavour::Cpu));
}

#[test]
fn a_failure_leaves_nothing() {
    let cache = tempfile::tempdir().unwrap();
    let target = cache.path().join("libtorch");
    let fine = |directory: &Path| Ok(vec![fake_wheel(directory, None)]);
    let no_compile = |_: &Path| -> Result<()> { panic!("must not get this far") };

    let refused = install(&target, LINUX, Flavour::Cpu, |_| bail!("the wheel's hash is wrong"), no_compile);
    assert_eq!(refused.unwrap_err().to_string(), "the wheel's hash is wrong");
    let torn = |directory: &Path| {
        let path = fake_wheel(directory, None);
        let bytes = fs::read(&path)?;
        fs::write(&path, &bytes[..bytes.len() / 2])?;
        Ok(vec![path])
    };
    assert!(install(&target, LINUX, Flavour::Cpu, torn, no_compile).is_err());
    assert!(install(&target, LINUX, Flavour::Cpu, fine, |_| bail!("no compiler")).is_err());
    let incomplete = |directory: &Path| Ok(vec![fake_wheel(directory, Some(LINUX.cpu_libraries[0]))]);
    let error = install(&target, LINUX, Flavour::Cpu, incomplete, |library| write(library, "")).unwrap_err();
    assert!(error.to_string().contains("libtorch_cpu.so"), "{error}");
    assert_eq!(names_in(cache.path()), [""; 0]);
}

#[test]
fn what_a_killed_run_left_is_removed() {
    let cache = tempfile::tempdir().unwrap();
    let left = cache.path().join(format!("{STAGING}abc123/torch/lib"));
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("libtorch_cpu.so"), "half").unwrap();
    install_fake(&cache.path().join("libtorch")).unwrap();
    assert_eq!(names_in(cache.path()), ["libtorch"]);
}

#[test]
fn a_path_out_of_the_directory_is_refused() {
    let cache = tempfile::tempdir().unwrap();
    let wheel = cache.path().join("evil.whl");
    let mut archive = ZipWriter::new(File::create(&wheel).unwrap());
    archive.start_file("torch/include/../../../evil.h", SimpleFileOptions::default()).unwrap();
    archive.finish().unwrap();
    let into = cache.path().join("a");
    fs::create_dir(&into).unwrap();
    assert!(extract(&wheel, &into, LINUX, Flavour::Cpu).unwrap_err().to_string().contains("unsafe path"));
    assert_eq!(names_in(cache.path()), ["a", "evil.whl"]);
}

#[test]
fn two_at_once_install_once() {
    let cache = tempfile::tempdir().unwrap();
    let target = cache.path().join("libtorch");
    let installed = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let _lock = lock::acquire(cache.path()).unwrap();
                if !is_complete(&target, LINUX, Flavour::Cpu) {
                    install_fake(&target).unwrap();
                    installed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(installed.into_inner(), 1);
}
