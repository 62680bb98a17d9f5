"""The package as it is installed: the README's example runs, and the type stubs agree with the module."""

import pathlib
import re
import subprocess
import sys

import pytest


def test_the_example_of_the_readme_runs():
    readme = pathlib.Path(__file__).parents[1] / "README.md"
    examples = re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    assert examples
    for example in examples:
        exec(compile(example, str(readme), "exec"), {})


def test_stubs_agree_with_the_module(tmp_path):
    pytest.importorskip("mypy", reason="mypy is not installed")
    check = [sys.executable, "-m", "mypy.stubtest", "sam3d_metrics", "--ignore-disjoint-bases"]
    done = subprocess.run(check, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
