"""Files that a user asked for: whole or not at all, and nothing else replaced by them."""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekws.core.output import (
    check_form,
    check_output,
    in_utf8,
    is_folder,
    whole_text,
    write_bytes,
    write_text,
)
from edgekws.errors import DataError, MachineError, UsageError, reason


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB; where it cannot be had the test is skipped."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip("mounting is not allowed")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "new" / "a.txt", "да")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new" / "a.txt").stat().st_mode) == 0o666 & ~mask
    assert names(tmp_path / "new") == ["a.txt"]


def test_a_file_that_is_there_keeps_its_mode_and_is_replaced_at_the_end(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("before")
    file.chmod(0o600)
    with whole_text(file) as text:
        text.write("after")
        text.flush()
        assert file.read_text() == "before"
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("after", 0o600)
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [DataError("a.wav"), KeyboardInterrupt()])
def test_what_was_begun_is_not_left_behind(tmp_path: Path, error: BaseException) -> None:
    def fail() -> None:
        with whole_text(tmp_path / "a.txt") as text:
            text.write("half")
            raise error

    (tmp_path / "a.txt").write_text("before")
    with pytest.raises(type(error)):
        fail()
    assert (tmp_path / "a.txt").read_text() == "before"
    assert names(tmp_path) == ["a.txt"]


def test_a_link_stays_and_what_it_points_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.txt").write_text("before")
    (tmp_path / "link").symlink_to("there/a.txt")
    (tmp_path / "dangling").symlink_to("there/b.txt")
    write_text(tmp_path / "link", "after")
    write_text(tmp_path / "dangling", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "dangling").is_symlink()
    assert (tmp_path / "there" / "a.txt").read_text() == "after"
    assert (tmp_path / "there" / "b.txt").read_text() == "new"
    assert names(tmp_path / "there") == ["a.txt", "b.txt"]


def test_a_link_in_a_circle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for write in (check_output, lambda path: write_text(path, "x")):
        with pytest.raises(MachineError, match=r"/a: cannot be written \(Too many levels"):
            write(tmp_path / "a")
    assert names(tmp_path) == ["a", "b"]


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    check_output(tmp_path / "pipe")
    write_text(tmp_path / "pipe", "да\n")
    reader.join(10)
    assert read == ["да\n".encode()]
    assert (tmp_path / "pipe").is_fifo()
    assert names(tmp_path) == ["pipe"]


def test_a_device_is_written_to_also_through_a_link(tmp_path: Path, device: Path) -> None:
    (tmp_path / "link").symlink_to(device)
    for path in (device, tmp_path / "link"):
        write_bytes(path, b"x" * 100_000)
    assert device.is_char_device()
    assert (tmp_path / "link").is_symlink()


def test_a_pipe_without_a_reader_any_more_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    end = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)

    def fail() -> None:
        with whole_text(tmp_path / "pipe") as text:
            os.close(end)
            text.write("x" * 100_000)

    with pytest.raises(MachineError, match=r"pipe: cannot be written \(Broken pipe\)"):
        fail()


@pytest.mark.parametrize("redirect", ["", "> out.txt", "| cat > out.txt"])
def test_standard_output_is_written_to_where_it_stands(tmp_path: Path, redirect: str) -> None:
    program = (
        "import sys; from pathlib import Path; from edgekws.core.output import write_text;"
        "print('one', flush=True); write_text(Path('/dev/stdout'), 'two\\n'); print('three')"
    )
    command = f'{sys.executable} -c "{program}" {redirect}'
    place = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, env=place
    )
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "out.txt").read_text() if redirect else done.stdout
    assert written == "one\ntwo\nthree\n"


def test_a_full_disk_keeps_what_was_there(small_disk: Path) -> None:
    file = small_disk / "a.txt"
    file.write_text("before")
    with pytest.raises(MachineError, match=r"a\.txt: cannot be written \(the disk is full\); free"):
        write_bytes(file, b"x" * 200_000)
    with pytest.raises(MachineError, match="the disk is full"), whole_text(file) as text:
        text.writelines("xx" for _ in range(100_000))
    assert (names(small_disk), file.read_text()) == (["a.txt"], "before")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError(errno.ENOSPC, "No space left"), "the disk is full"),
        (OSError(errno.EROFS, "Read-only"), "the file system is read-only"),
        (OSError("42 requested and 0 written"), "42 requested and 0 written"),
        (OSError(), "OSError"),
    ],
)
def test_every_refusal_is_told_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, why: str
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(MachineError) as raised:
        write_text(tmp_path / "a.txt", "x", "name another --junit")
    assert str(raised.value).startswith(f"{tmp_path / 'a.txt'}: cannot be written ({why}); ")
    assert str(raised.value).endswith("name another --junit")
    assert names(tmp_path) == []


def test_an_error_of_the_block_is_not_the_outputs(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_text(tmp_path / "a.txt"):
        (tmp_path / "gone.wav").read_bytes()


def test_what_cannot_be_written_is_found_out_before_the_work(
    tmp_path: Path, unwritable: Path
) -> None:
    with pytest.raises(UsageError, match="is a folder, not a file; name another --output"):
        check_output(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match=r"file/a\.txt: cannot be written \(.*\); name another"):
        check_output(tmp_path / "file" / "a.txt")
    with pytest.raises(MachineError, match=r"a\.txt: cannot be written"):
        write_text(unwritable / "a.txt", "x")
    check_output(tmp_path / "new" / "a.txt")
    assert names(tmp_path) == ["file", "new"]


def test_a_form_is_told_by_the_suffix(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert is_folder(tmp_path / "new")
    assert not is_folder(tmp_path / "pipe")
    check_form(tmp_path / "new", (".png", ".svg"))
    check_form(tmp_path / "a.PNG", (".png", ".svg"))
    with pytest.raises(UsageError, match=r"--output is a folder, or a file that ends in \.png or"):
        check_form(tmp_path / "pipe", (".png", ".svg"))
    with pytest.raises(UsageError, match=r"n: --picture is a file that ends in \.png or \.svg"):
        check_form(tmp_path / "n", (".png", ".svg"), "--picture", or_folder=False)


def test_bytes_that_are_not_utf8_are_escaped(tmp_path: Path) -> None:
    name = os.fsdecode(b"a\xff.wav")
    write_text(tmp_path / "a.txt", name)
    assert (tmp_path / "a.txt").read_bytes() == b"a\\udcff.wav"
    assert in_utf8("да") == "да"


def test_a_copy_of_many_files_tells_the_first_reason() -> None:
    import shutil

    assert reason(shutil.Error([("a", "b", "[Errno 28] No space")])) == "[Errno 28] No space: a"


KILLED = """
import os, signal, sys
from pathlib import Path
from edgekws.core.output import whole_text
with whole_text(Path(sys.argv[1])) as text:
    text.write("half of it, which is longer")
    text.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_leaves_is_gone_after_the_next_write(tmp_path: Path) -> None:
    file = tmp_path / ("long" * 60 + ".txt")
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False)
        assert done.returncode == -signal.SIGKILL
        assert len(names(tmp_path)) == 1
        assert not file.exists()
    write_text(file, "whole")
    assert names(tmp_path) == [file.name]
    assert file.read_text() == "whole"


def test_two_that_write_the_same_file_do_not_mix(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    with whole_text(file) as text:
        text.write("one")
        with whole_text(file) as other:
            other.write("other")
        assert file.read_text() == "other"
    assert file.read_text() == "one"
    assert names(tmp_path) == ["a.txt"]
