"""The machine, library versions and environment variables, without importing any library."""

import ctypes
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import platformdirs

LIBRARIES = (
    "edgekws", "torch", "torchaudio", "onnx", "onnxruntime", "onnxsim", "onnxscript",
    "neural-compressor", "torchao", "numpy", "scipy", "scikit-learn", "soundfile", "soxr",
    "espeakng-loader",
)  # fmt: skip


def cache_folder() -> Path:
    """Return the folder of cached steps and features; `EDGEKWS_CACHE` overrides it."""
    override = os.environ.get("EDGEKWS_CACHE")
    return Path(override) if override else platformdirs.user_cache_path("edgekws")


@cache
def library_versions() -> dict[str, str]:
    """Return the version of Python and of each library that can affect a result."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


@cache
def device_kind() -> str:
    """Return `cuda` if torch was built for it and the driver sees a device, else `cpu`."""
    if "+cpu" in library_versions()["torch"]:
        return "cpu"
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "cpu"
    count = ctypes.c_int(0)
    ready = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return "cuda" if ready and count.value else "cpu"


def core_count() -> int:
    """Return the number of cores available to this process."""
    return len(os.sched_getaffinity(0))


ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""Environment variables that limit numerical libraries to one thread."""


@contextmanager
def environ_set(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, and restore their previous state afterwards.

    >>> with environ_set({"EDGEKWS_EXAMPLE": "1"}):
    ...     os.environ["EDGEKWS_EXAMPLE"]
    '1'
    >>> "EDGEKWS_EXAMPLE" in os.environ
    False
    """
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
