"""The package as it is installed: examples run, and the type stubs agree with the module."""

import pathlib
import re
import subprocess
import sys

import pytest

import sam3d

PACKAGE = pathlib.Path(__file__).parents[1]


def test_the_example_of_the_readme_runs(case, tmp_path, monkeypatch):
    readme = PACKAGE / "README.md"
    examples = re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    assert examples
    monkeypatch.chdir(tmp_path)
    sam3d.write("ct.nii.gz", case.hu, like=case.volume)
    sam3d.write("lesion.nii.gz", case.mask, like=case.volume)
    for example in examples:
        exec(compile(example, str(readme), "exec"), {})
    assert sam3d.read("mask.nii.gz").array.any()


def test_the_notebook_for_users_of_monai_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, PACKAGE / "examples" / "from_monai.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    assert "Dice after 1 click" in done.stdout and "samples in" in done.stdout


def test_stubs_agree_with_the_module(tmp_path):
    pytest.importorskip("mypy", reason="mypy is not installed")
    # torch may be there as libraries alone, of which mypy knows no types.
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\n[mypy-torch.*]\nignore_missing_imports = True\n")
    check = [sys.executable, "-m", "mypy.stubtest", "sam3d", "--ignore-disjoint-bases", "--mypy-config-file", config]
    done = subprocess.run(check, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_is_documented():
    for name in sam3d.__all__:
        thing = getattr(sam3d, name)
        assert thing.__doc__, name
        members = [m for m in vars(thing) if not m.startswith("_")] if isinstance(thing, type) else []
        assert all(getattr(thing, member).__doc__ for member in members), name
