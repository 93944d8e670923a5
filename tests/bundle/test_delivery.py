"""A bundle gets to its place in one step, and in place of nothing but a bundle."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekws.bundle import delivery, pack
from edgekws.bundle.delivery import deliver, obstacle, recover
from edgekws.bundle.verify import verify
from edgekws.errors import UsageError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "dist" / "имя"


@pytest.fixture(params=["exchange", "two renames"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways in which two folders can change places."""
    if request.param == "two renames":
        monkeypatch.setattr(delivery, "_exchange", lambda first, second: False)
    return str(request.param)


@pytest.mark.usefixtures("way")
def test_a_bundle_replaces_a_bundle(bundle: Path, place: Path) -> None:
    deliver(bundle, place)
    (place / "golden" / "07.wav").write_bytes(b"of the bundle before")
    (place / "__pycache__").mkdir()
    (place / "__pycache__" / "detect.cpython-311.pyc").write_bytes(b"x")
    deliver(bundle, place)
    assert verify(place).max_abs_diff == 0
    assert names(place.parent) == ["имя"]
    assert not (place / "golden" / "07.wav").exists()


def test_an_empty_folder_is_filled(bundle: Path, place: Path) -> None:
    place.mkdir(parents=True)
    deliver(bundle, place)
    assert verify(place).max_abs_diff == 0


def folder_of_mine(place: Path, bundle: Path) -> str:
    place.mkdir()
    (place / "only_copy.txt").write_text("x")
    return r"holds only_copy\.txt, which is not a file of a bundle"


def checksums_of_mine(place: Path, bundle: Path) -> str:
    place.mkdir()
    (place / "SHA256SUMS").write_text("0" * 64 + "  image.iso\n")
    return r"is a folder that holds no MODEL_CARD\.md"


def bundle_with_more(place: Path, bundle: Path) -> str:
    deliver(bundle, place)
    (place / "golden" / "mine.wav").write_text("x")
    return r"holds golden/mine\.wav, which is not a file of a bundle"


def module_of_mine(place: Path, bundle: Path) -> str:
    deliver(bundle, place)
    (place / "__pycache__").mkdir()
    (place / "__pycache__" / "only_copy.txt").write_text("x")
    return r"holds __pycache__/only_copy\.txt, which"


def file_of_mine(place: Path, bundle: Path) -> str:
    place.write_text("x")
    return "is a file"


def link(place: Path, bundle: Path) -> str:
    deliver(bundle, place.parent / "elsewhere")
    place.symlink_to("elsewhere")
    return "is a link to elsewhere"


def dangling_link(place: Path, bundle: Path) -> str:
    place.symlink_to("nowhere")
    return "is a link to nowhere"


@pytest.mark.parametrize(
    "stand",
    [
        folder_of_mine, checksums_of_mine, bundle_with_more, module_of_mine,
        file_of_mine, link, dangling_link,
    ],
)  # fmt: skip
def test_nothing_else_is_replaced(bundle: Path, place: Path, stand: Callable[..., Any]) -> None:
    place.parent.mkdir()
    why = stand(place, bundle)
    before = sorted(place.parent.rglob("*"))
    with pytest.raises(UsageError, match=rf"dist/имя {why}"):
        deliver(bundle, place)
    assert sorted(place.parent.rglob("*")) == before


def test_a_full_disk_leaves_the_bundle_before(
    bundle: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(bundle, place)

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(delivery, "copy_files", full)
    with pytest.raises(OSError, match="full"):
        deliver(bundle, place)
    assert names(place.parent) == ["имя"]
    assert verify(place).max_abs_diff == 0


KILLED = """
import os, sys
from pathlib import Path
from edgekws.bundle import delivery

bundle, place, at, exchanged = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if exchanged == "no":
    delivery._exchange = lambda first, second: False
count = 0

def hook(event, arguments):
    global count
    changes = event in ("os.rename", "os.mkdir", "os.rmdir", "os.remove", "ctypes.dlsym")
    if changes or (event == "open" and str(arguments[0]).startswith(str(place.parent) + "/")):
        count += 1
        if count == at:
            os._exit(9)

sys.addaudithook(hook)
delivery.deliver(bundle, place)
"""


@pytest.mark.parametrize("exchanged", ["yes", "no"])
def test_killed_at_any_point_the_place_holds_a_whole_bundle_or_the_next_run_puts_it_there(
    bundle: Path, tmp_path: Path, exchanged: str
) -> None:
    codes: list[int] = []
    at = 1
    while not codes or codes[-1] == 9:
        place = tmp_path / f"dist{at}" / "имя"
        deliver(bundle, place)
        (place / "labels.txt").write_text("of the bundle before\n")
        pack.seal(place, "# card\n")
        before = pack.identity(place)
        arguments = [sys.executable, "-c", KILLED, bundle, place, str(at), exchanged]
        codes.append(subprocess.run(list(map(str, arguments)), check=False).returncode)
        if exchanged == "yes":
            assert place.exists()  # never a moment without one
        recover(place)
        assert names(place.parent) == ["имя"]
        assert pack.identity(place) in (before, pack.identity(bundle))
        assert obstacle(place) is None
        at = at + 1 if at < 4 else at + 7
    assert codes[-1] == 0
    assert len(codes) > 4
    assert pack.identity(place) == pack.identity(bundle)


def test_files_have_the_mode_of_the_umask(bundle: Path, place: Path) -> None:
    (bundle / "model.onnx").chmod(0o600)
    before = os.umask(0o027)
    try:
        deliver(bundle, place)
    finally:
        os.umask(before)
    assert {p.stat().st_mode & 0o777 for p in place.rglob("*") if p.is_file()} == {0o640}
    assert place.stat().st_mode & 0o777 == 0o750
