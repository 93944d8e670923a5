"""A folder of the cache is complete, or it is not there."""

import errno
import multiprocessing
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekws.core import store
from edgekws.core.canonical import sha256_file
from edgekws.core.events import Event, quiet
from edgekws.core.store import allocate, build_folder, is_complete, is_intact, read_array
from edgekws.errors import MachineError


def _slow_build(target: Path, log: Path) -> None:
    def build(folder: Path) -> None:
        with log.open("a") as file:
            file.write("built\n")
        (folder / "half").touch()
        time.sleep(0.3)
        (folder / "whole").touch()

    build_folder(target, build, quiet)


def test_built_once(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"
    calls: list[Path] = []
    for _ in range(2):
        assert build_folder(target, calls.append, quiet) == target
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
    seen: list[str] = []
    build = lambda folder: seen.extend(p.name for p in folder.iterdir())  # noqa: E731
    build_folder(target, build, quiet, resumes=("half",))
    assert seen == ["half"]
    assert is_complete(target)


def test_only_what_a_builder_resumes_is_left_for_it(tmp_path: Path) -> None:
    target, seen = tmp_path / "folder", list[str]()

    def interrupted(folder: Path) -> None:
        for path in (folder / "state", folder / "part" / "state", folder / "golden" / "00.wav"):
            path.parent.mkdir(exist_ok=True)
            path.write_text("x")
        (folder / "empty").mkdir()
        (folder / "link").symlink_to(tmp_path)
        raise KeyboardInterrupt

    def again(folder: Path) -> None:
        seen.extend(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        (folder / "golden").mkdir()

    with pytest.raises(KeyboardInterrupt):
        build_folder(target, interrupted, quiet)
    build_folder(target, again, quiet, resumes=("state",))
    assert sorted(seen) == ["part/state", "state"]


def _write_two(folder: Path) -> None:
    (folder / "part").mkdir()
    (folder / "part" / "model").write_bytes(b"weights")
    (folder / "record.json").write_text("{}")


def _flip(folder: Path) -> None:
    """Change a byte, and put back size and time."""
    path = folder / "part" / "model"
    before = path.stat()
    path.write_bytes(b"Weights")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def _link(to: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(to)


@pytest.mark.parametrize(
    ("damage", "member"),
    [
        (_flip, "part/model"),
        (lambda folder: (folder / "record.json").write_bytes(b""), r"record\.json"),
        (lambda folder: (folder / "record.json").unlink(), r"record\.json"),
        (lambda folder: (folder / "more").touch(), "more"),
        (lambda folder: _replace(folder / "record.json", Path.mkdir), r"record\.json"),
        (lambda folder: _replace(folder / "record.json", os.mkfifo), r"record\.json"),
        (lambda folder: _replace(folder / "record.json", _link("nowhere")), r"record\.json"),
        (lambda folder: _replace(folder / "record.json", _link("/dev/zero")), r"record\.json"),
        (lambda folder: (folder / store.MARKER).write_text("[" * 100_000), "complete"),
        (lambda folder: (folder / store.MARKER).write_bytes(b""), "complete"),
        (lambda folder: (folder / store.MARKER).write_text("[1]"), "complete"),
        (lambda folder: (folder / store.MARKER).write_text('{"a": 1}'), "complete"),
    ],
)
@pytest.mark.parametrize("fresh", [True, False])
def test_what_was_changed_is_told_dropped_and_built_again(
    tmp_path: Path,
    damage: Callable[[Path], object],
    member: str,
    fresh: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target, events = tmp_path / "folder", list[Event]()
    build_folder(target, _write_two, events.append)
    if fresh:  # as another process finds it
        monkeypatch.setattr(store, "_verified", {})
    damage(target)
    build_folder(target, _write_two, events.append)
    assert (target / "part" / "model").read_bytes() == b"weights"
    assert (target / "record.json").read_text() == "{}"
    assert is_intact(target, events.append)
    assert [event.kind for event in events] == ["warning"]
    assert re.fullmatch(rf".*/folder: {member} was changed in the cache; .*", events[0].text)


@pytest.mark.parametrize("name", ["folder", "folder.partial"])
@pytest.mark.parametrize("make", [Path.touch, os.mkfifo, _link("nowhere"), _link(".")])
def test_what_stands_in_the_place_of_a_folder_gives_way(
    tmp_path: Path, name: str, make: Callable[[Path], object]
) -> None:
    make(tmp_path / name)
    target = build_folder(tmp_path / "folder", _write_two, quiet)
    assert sorted(path.name for path in target.iterdir()) == ["complete", "part", "record.json"]
    assert not target.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "folder.lock"]


def test_a_link_to_a_damaged_folder_is_removed_and_not_followed(tmp_path: Path) -> None:
    elsewhere = build_folder(tmp_path / "elsewhere", _write_two, quiet)
    (elsewhere / "record.json").unlink()
    (tmp_path / "folder").symlink_to("elsewhere")
    target = build_folder(tmp_path / "folder", _write_two, quiet)
    assert not target.is_symlink()
    assert (elsewhere / "part" / "model").read_bytes() == b"weights"


def test_an_intact_folder_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, hashed = tmp_path / "folder", list[Path]()
    build_folder(target, _write_two, quiet)
    monkeypatch.setattr(store, "_verified", {})

    def noted(path: Path) -> str:
        hashed.append(path)
        return sha256_file(path)

    monkeypatch.setattr(store, "sha256_file", noted)
    for _ in range(3):
        assert is_intact(target, quiet)
    assert [path.name for path in hashed] == ["model", "record.json"]


def test_a_failed_build_is_not_kept(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_folder(tmp_path / "folder", build, quiet)
    assert not is_complete(tmp_path / "folder")


def test_a_folder_without_marker_is_built_anew(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "damaged").touch()
    build_folder(target, lambda folder: (folder / "new").touch(), quiet)
    assert sorted(p.name for p in target.iterdir()) == [store.MARKER, "new"]


def test_cache_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    message = r"cache.*a file is in the place of a folder.*EDGEKWS_CACHE"
    with pytest.raises(MachineError, match=message):
        build_folder(tmp_path / "cache" / "folder", lambda folder: None, quiet)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full: {}.*free some space"),
        (errno.EROFS, "the file system is read-only: {}"),
        (errno.EACCES, "access is denied: {}"),
        (errno.EFBIG, "the file is too large for this file system: {}"),
    ],
)
def test_full_or_read_only_disk(tmp_path: Path, code: int, words: str) -> None:
    def build(folder: Path) -> None:
        raise OSError(code, os.strerror(code), str(folder / "array"))

    array = re.escape(str(tmp_path / "folder.partial" / "array"))
    message = rf"folder: cannot be written \({words.format(array)}.*EDGEKWS_CACHE"
    with pytest.raises(MachineError, match=message):
        build_folder(tmp_path / "folder", build, quiet)


def test_what_cannot_be_read_elsewhere_is_not_taken_for_the_cache(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "denied", "/recordings/a.wav")

    with pytest.raises(PermissionError):
        build_folder(tmp_path / "folder", build, quiet)


@pytest.mark.parametrize(
    "error",
    [
        OSError("2000 requested and 0 written"),  # what numpy says of a full disk
        shutil.Error([("a", "b", "[Errno 28] No space left on device")]),
    ],
)
def test_a_write_cut_short_names_the_target(tmp_path: Path, error: OSError) -> None:
    def build(folder: Path) -> None:
        raise error

    with pytest.raises(MachineError, match=r"folder: cannot be written \(.*EDGEKWS_CACHE"):
        build_folder(tmp_path / "folder", build, quiet)


def test_other_errors_of_a_build_pass(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "missing").read_text()

    with pytest.raises(FileNotFoundError):
        build_folder(tmp_path / "folder", build, quiet)


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
