"""Finds the libtorch of the package torch and loads it before the extension module, which is linked to it, asks for it.

Not by importing torch: that takes seconds, and what is needed here are two libraries of it.
"""

import ctypes
import importlib.util
import pathlib
import re

VERSION = "2.13.0"

# In the order in which they depend on each other.
_LIBRARIES = ("libc10.so", "libtorch_cpu.so")

_INSTALL = f"pip install torch=={VERSION}"


def _directory() -> pathlib.Path:
    """The directory of the package torch, whether it was imported or not."""
    try:
        found = importlib.util.find_spec("torch")
    except ValueError:
        found = None
    for directory in (found.submodule_search_locations or ()) if found else ():
        path = pathlib.Path(directory)
        if (path / "version.py").is_file():
            return path
    raise ImportError(f"sam3d needs the package torch {VERSION}, which is not installed: {_INSTALL}")


def _version(directory: pathlib.Path) -> str:
    text = (directory / "version.py").read_text(encoding="utf-8")
    found = re.search(r"^__version__\b.*?=\s*['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    return found.group(1) if found else "of an unknown version"


def load() -> None:
    """Loads libtorch, or raises ImportError with a sentence that says what is wrong and what to do."""
    directory = _directory()
    version = _version(directory)
    # A version may end in what it was built for: 2.13.0+cpu, 2.13.0+cu130.
    if version.split("+")[0] != VERSION:
        raise ImportError(
            f"sam3d needs torch {VERSION}, and {directory} is torch {version}: their libraries do not fit together; {_INSTALL}"
        )
    missing = [name for name in _LIBRARIES if not (directory / "lib" / name).is_file()]
    if missing:
        raise ImportError(f"torch {version} in {directory} has no lib/{missing[0]}: {_INSTALL} again")
    try:
        _load(directory)
    except OSError:
        # torch knows more places of NVIDIA's libraries than those that its own libraries name.
        try:
            import torch  # noqa: F401

            _load(directory)
        except (ImportError, OSError) as error:
            raise ImportError(
                f"libtorch of torch {version} in {directory} cannot be loaded: {error}; {_INSTALL} again"
            ) from error


def _load(directory: pathlib.Path) -> None:
    for name in _LIBRARIES:
        ctypes.CDLL(str(directory / "lib" / name))


def load_cuda() -> None:
    """Loads libtorch's library for CUDA, if there is one: libtorch finds devices only once it is loaded."""
    library = _directory() / "lib" / "libtorch_cuda.so"
    if library.is_file():
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            raise RuntimeError(f"{library} cannot be loaded: {error}") from error
