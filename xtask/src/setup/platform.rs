//! What libtorch consists of on each platform for which there is a ready-made one.

use super::{Flavour, TORCH_VERSION};

/// One pinned package.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wheel {
    /// Name in the index.
    pub(super) project: &'static str,
    /// Exact version.
    pub(super) version: &'static str,
    /// SHA-256 of the wheel for Python 3.11 on the platform, in hexadecimal.
    pub(super) sha256: &'static str,
}

/// A platform.
#[derive(Debug)]
pub(super) struct Platform {
    /// torch, and the packages whose libraries its CPU half is linked to.
    pub(super) wheels: &'static [Wheel],
    /// The platform's names in wheels, as pip takes them.
    pub(super) tags: &'static [&'static str],
    /// torch's own libraries for the CPU, and what they are linked to.
    pub(super) cpu_libraries: &'static [&'static str],
    /// The library that is made here for the CPU, because the original only pulls in those for CUDA.
    pub(super) umbrella: Option<&'static str>,
    /// The library that a CUDA build has beside those for the CPU; `None` where there is no such build.
    pub(super) cuda_library: Option<&'static str>,
}

/// x86_64 Linux. The published package is a CUDA build, of which a part is installed; the packages name three manylinux levels.
pub(super) static LINUX_X86_64: Platform = Platform {
    wheels: &[
        Wheel {
            project: "torch",
            version: TORCH_VERSION,
            sha256: "60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7",
        },
        Wheel {
            project: "nvidia-cuda-cupti",
            version: "13.0.85",
            sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
        },
        Wheel {
            project: "nvidia-cuda-runtime",
            version: "13.0.96",
            sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
        },
    ],
    tags: &["manylinux_2_28_x86_64", "manylinux_2_25_x86_64", "manylinux2014_x86_64"],
    cpu_libraries: &[
        "torch/lib/libtorch_cpu.so",
        "torch/lib/libc10.so",
        "torch/lib/libgomp.so.1",
        "nvidia/cu13/lib/libcupti.so.13",
        "nvidia/cu13/lib/libcudart.so.13",
    ],
    umbrella: Some("torch/lib/libtorch.so"),
    cuda_library: Some("torch/lib/libtorch_cuda.so"),
};

/// macOS on Apple's processors. Not tried: there was no such machine.
pub(super) static MACOS_ARM64: Platform = Platform {
    wheels: &[Wheel {
        project: "torch",
        version: TORCH_VERSION,
        sha256: "e76f9bcecc52b8ff711239a2f7547d5353df95878ab232f0773c1d95928b92f8",
    }],
    tags: &["macosx_14_0_arm64"],
    cpu_libraries: &[
        "torch/lib/libtorch_cpu.dylib",
        "torch/lib/libtorch.dylib",
        "torch/lib/libc10.dylib",
        "torch/lib/libomp.dylib",
    ],
    umbrella: None,
    cuda_library: None,
};

/// x86_64 Windows. Not tried: there was no such machine.
pub(super) static WINDOWS_X86_64: Platform = Platform {
    wheels: &[Wheel {
        project: "torch",
        version: TORCH_VERSION,
        sha256: "a0d8b11f16a48d60e2015d8213aa0390744cbebb98e58b62b3514dddc656e330",
    }],
    tags: &["win_amd64"],
    cpu_libraries: &[
        "torch/lib/torch_cpu.dll",
        "torch/lib/torch_cpu.lib",
        "torch/lib/torch.dll",
        "torch/lib/torch.lib",
        "torch/lib/c10.dll",
        "torch/lib/c10.lib",
        "torch/lib/libiomp5md.dll",
        "torch/lib/uv.dll",
    ],
    umbrella: None,
    cuda_library: None,
};

impl Platform {
    /// The platform that this program runs on, if libtorch is ready-made for it.
    pub(super) fn current() -> Option<&'static Self> {
        if cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
            Some(&LINUX_X86_64)
        } else if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
            Some(&MACOS_ARM64)
        } else if cfg!(all(target_os = "windows", target_arch = "x86_64", target_env = "msvc")) {
            Some(&WINDOWS_X86_64)
        } else {
            None
        }
    }

    /// The files without which an installation is not complete.
    pub(super) fn required(&self, flavour: Flavour) -> impl Iterator<Item = &'static str> {
        let cuda = self.cuda_library.filter(|_| flavour == Flavour::Cuda);
        let header = "torch/include/torch/csrc/api/include/torch/torch.h";
        self.cpu_libraries.iter().copied().chain(self.umbrella).chain([header]).chain(cuda)
    }
}
