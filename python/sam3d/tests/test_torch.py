"""libtorch is that of the package torch: imported before, after or not at all; of another version, or missing."""

import importlib.util
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import sam3d

SEGMENT = """
import numpy as np, hashlib
hu = np.full((30, 40, 40), -60, np.int16)
hu[8:22, 12:28, 12:28] = 70
session = sam3d.Segmenter(threads=1).session(sam3d.Volume(hu, np.diag([2.0, 2.0, 2.0, 1.0])))
session.click((20, 20, 15))
mask = session.mask()
assert mask.any()
print(hashlib.sha256(session.probability().tobytes()).hexdigest())
# One libtorch in the process, and it is not ours.
maps = {line.split()[-1] for line in open("/proc/self/maps") if "libtorch_cpu" in line}
assert len(maps) == 1 and "sam3d" not in maps.pop().rsplit("/site-packages/", 1)[-1].split("/")[0]
"""


def run(program, **environment):
    import os

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **environment}
    )
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def has_torch():
    """Whether the package torch itself is there, not only its libraries."""
    found = importlib.util.find_spec("torch")
    return found is not None and found.origin is not None


needs_torch = pytest.mark.skipif(not has_torch(), reason="the package torch is not installed, only its libraries")


def test_not_imported():
    code, found, error = run("import sam3d, sys; assert 'torch' not in sys.modules" + SEGMENT)
    assert code == 0 and len(found) == 64, error


@needs_torch
def test_imported_before_after_or_in_the_middle():
    _, expected, _ = run("import sam3d" + SEGMENT)
    compute = "\nassert torch.ones(300, 300).matmul(torch.ones(300, 300)).sum() == 300**3\n"
    conv = "torch.nn.functional.conv3d(torch.ones(1, 1, 20, 20, 20), torch.ones(1, 1, 3, 3, 3)).sum().item()\n"
    programs = [
        "import torch, sam3d" + compute + SEGMENT + conv,
        "import sam3d, torch" + compute + SEGMENT + conv,
        "import sam3d" + SEGMENT + "\nimport torch" + compute + conv,
    ]
    for program in programs:
        code, found, error = run(program)
        assert (code, found) == (0, expected), error


@needs_torch
def test_arrays_become_tensors_without_a_copy(case, segmenter, cases, preprocessing):
    import torch

    session = segmenter.session(case.volume)
    session.click(case.centre_ijk)
    for array in [session.mask(), session.probability(), case.volume.to_dhw(), preprocessing.image(case.volume)]:
        for tensor in [torch.from_numpy(array), torch.from_dlpack(array)]:
            assert tensor.data_ptr() == array.ctypes.data and tensor.is_contiguous()
            np.testing.assert_array_equal(tensor.numpy(), array)
    # And back.
    tensor = torch.from_numpy(case.hu)
    np.testing.assert_array_equal(sam3d.Volume(tensor, torch.from_numpy(case.affine)).array, case.hu)
    other = session.another()
    other.initial_mask(torch.from_numpy(case.mask))
    assert other.mask().any()


def test_no_torch():
    code, _, error = run("import sys; sys.modules['torch'] = None; import sam3d")
    last = error.splitlines()[-1]
    assert code == 1
    assert last == "ImportError: sam3d needs the package torch 2.13.0, which is not installed: pip install torch==2.13.0"


@pytest.mark.parametrize("version", ["2.12.1", "2.13.1+cu130", "2.13.0a0"])
def test_another_version_of_torch(tmp_path, version):
    package = tmp_path / "torch"
    (package / "lib").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('not to be imported')")
    (package / "version.py").write_text(f"from typing import Optional\n__all__ = ['__version__']\n__version__ = '{version}'\n")
    code, _, error = run("import sam3d", PYTHONPATH=str(tmp_path))
    last = error.splitlines()[-1]
    assert code == 1 and "undefined symbol" not in error
    assert last.startswith("ImportError: sam3d needs torch 2.13.0, and ") and f"is torch {version}:" in last
    assert last.endswith("pip install torch==2.13.0")


def test_torch_without_its_libraries(tmp_path):
    package = tmp_path / "torch"
    (package / "lib").mkdir(parents=True)
    (package / "version.py").write_text("__version__ = '2.13.0+cpu'\n")
    (package / "__init__.py").write_text("")
    code, _, error = run("import sam3d", PYTHONPATH=str(tmp_path))
    assert code == 1 and "has no lib/libc10.so: pip install torch==2.13.0 again" in error.splitlines()[-1]
    for name in ["libc10.so", "libtorch_cpu.so"]:
        (package / "lib" / name).write_bytes(b"not a library")
    code, _, error = run("import sam3d", PYTHONPATH=str(tmp_path))
    assert code == 1 and "cannot be loaded" in error.splitlines()[-1]


def test_the_wheel_has_no_libtorch():
    package = pathlib.Path(sam3d.__file__).parent
    libraries = [path.name for path in package.parent.glob("sam3d*/**/*.so*")]
    assert [name for name in libraries if name.startswith("_native")] and not [n for n in libraries if "torch" in n or "c10" in n]
    assert sum(path.stat().st_size for path in package.rglob("*.so")) < 60e6
