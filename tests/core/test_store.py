"""A folder of the cache is complete, or it is not there."""

import errno
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from edgekws.core import store
from edgekws.core.store import allocate, build_folder, is_complete, read_array
from edgekws.errors import MachineError


def _slow_build(target: Path, log: Path) -> None:
    def build(folder: Path) -> None:
        with log.open("a") as file:
            file.write("built\n")
        (folder / "half").touch()
        time.sleep(0.3)
        (folder / "whole").touch()

    build_folder(target, build)


def test_built_once(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"
    calls: list[Path] = []
    for _ in range(2):
        assert build_folder(target, calls.append) == target
    assert calls == [target.with_name("folder.partial")]
    assert is_complete(target)
    assert not calls[0].exists()


def test_two_processes_build_once(tmp_path: Path) -> None:
    target, log = tmp_path / "folder", tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_slow_build, args=(target, log)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert log.read_text() == "built\n"
    assert (target / "whole").exists()


def test_a_killed_build_is_not_complete_and_resumes(tmp_path: Path) -> None:
    target, log = tmp_path / "folder", tmp_path / "log"
    process = multiprocessing.get_context("spawn").Process(target=_slow_build, args=(target, log))
    process.start()
    partial = target.with_name("folder.partial")
    deadline = time.monotonic() + 20
    while not (partial / "half").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert (partial / "half").exists()
    assert not is_complete(target)
    found: list[str] = []
    build_folder(target, lambda folder: found.extend(p.name for p in folder.iterdir()))
    assert found == ["half"]
    assert is_complete(target)


def test_a_failed_build_is_not_kept(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_folder(tmp_path / "folder", build)
    assert not is_complete(tmp_path / "folder")


def test_a_folder_without_marker_is_built_anew(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "damaged").touch()
    build_folder(target, lambda folder: (folder / "new").touch())
    assert sorted(p.name for p in target.iterdir()) == [store.MARKER, "new"]


def test_cache_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    message = r"cache.*a file stands where a folder is needed.*EDGEKWS_CACHE"
    with pytest.raises(MachineError, match=message):
        build_folder(tmp_path / "cache" / "folder", lambda folder: None)


@pytest.mark.parametrize(
    ("code", "advice"),
    [(errno.ENOSPC, "free some space"), (errno.EROFS, "read-only"), (errno.EACCES, "allow")],
)
def test_full_or_read_only_disk(tmp_path: Path, code: int, advice: str) -> None:
    def build(folder: Path) -> None:
        raise OSError(code, os.strerror(code), str(folder / "array"))

    with pytest.raises(MachineError, match=f"folder.partial/array: .*{advice}.*EDGEKWS_CACHE"):
        build_folder(tmp_path / "folder", build)


def test_other_errors_of_a_build_pass(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "missing").read_text()

    with pytest.raises(FileNotFoundError):
        build_folder(tmp_path / "folder", build)


@pytest.mark.parametrize("shape", [(3, 4), (0, 4)])
def test_arrays(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = allocate(tmp_path / "array", np.float32, shape)
    array[:] = np.arange(array.size).reshape(shape)
    again = read_array(tmp_path / "array", np.float32, shape)
    np.testing.assert_array_equal(again, array)
    assert (tmp_path / "array").stat().st_size == array.nbytes
    again[:] = 7
    np.testing.assert_array_equal(read_array(tmp_path / "array", np.float32, shape), array)


def test_reserving_more_than_the_disk_holds(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"array|space|large"):
        allocate(tmp_path / "array", np.uint8, (2**62,))
