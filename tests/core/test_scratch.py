"""Temporary folders: gone afterwards, and named where the machine has no room for them."""

import errno
import tempfile
from pathlib import Path

import pytest

from edgekws.core.scratch import scratch_folder
from edgekws.errors import MachineError


def failing(error: OSError) -> Path:
    with scratch_folder("test") as folder:
        raise error
    return folder


def test_it_is_gone_afterwards() -> None:
    with scratch_folder("test") as folder:
        (folder / "a").touch()
    assert folder.name.startswith("edgekws-test-")
    assert not folder.exists()


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError("42 requested and 0 written"), "42 requested and 0 written"),
    ],
)
def test_no_room_names_the_folder_and_what_to_do(error: OSError, why: str) -> None:
    with pytest.raises(MachineError) as raised:
        failing(error)
    assert f"cannot be written ({why}); free some space there, or point TMPDIR" in str(raised.value)
    assert "edgekws-test-" in str(raised.value)


def test_another_file_is_not_taken_for_it() -> None:
    with pytest.raises(FileNotFoundError):
        failing(FileNotFoundError(errno.ENOENT, "No such file", "/elsewhere/a.wav"))


def test_an_error_of_no_file_is_not_taken_for_it() -> None:
    with pytest.raises(BrokenPipeError):
        failing(BrokenPipeError(errno.EPIPE, "Broken pipe"))


def test_without_any_temporary_folder_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(MachineError, match=r"no temporary folder: No such .*; free some .*TMPDIR"):
        failing(OSError())
