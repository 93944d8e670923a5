"""What is in the cache, who used it, and what is removed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgekws.core.events import quiet
from edgekws.core.store import build_folder, used_by
from edgekws.engine.cache import DAY_S, contents, prune, total
from edgekws.errors import UsageError

NOW = 1_500_000_000.0


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three entries: `a` of two recipes, `b` of one, `c` of none; used 1, 2 and 3 days ago."""
    monkeypatch.setattr("edgekws.engine.cache.time.time", lambda: NOW)
    for recipe, names in {"one": "a", "other": "ab", "": "c"}.items():
        with used_by(recipe, tmp_path):
            for name in names:
                build_folder(tmp_path / "steps" / name, _kib, quiet)
    for days, name in enumerate("abc", start=1):
        os.utime(tmp_path / "steps" / f"{name}.lock", (NOW, NOW - days * DAY_S))
    return tmp_path


def _kib(folder: Path) -> None:
    (folder / "x.bin").write_bytes(bytes(1024))


def names(entries: object) -> list[str]:
    assert isinstance(entries, tuple)
    return [entry.path.name for entry in entries]


def test_contents_say_who_used_what_and_when(cache: Path) -> None:
    result = contents(cache)
    assert names(result) == ["a", "b", "c"]
    assert [entry.recipes for entry in result] == [("one", "other"), ("other",), ()]
    assert [(NOW - entry.used) / DAY_S for entry in result] == [1, 2, 3]
    assert {(entry.kind, entry.complete) for entry in result} == {("steps", True)}
    assert total(result) == sum(
        file.stat().st_size for file in cache.rglob("*/*/*") if file.is_file()
    )


def test_another_use_is_noted_once(cache: Path) -> None:
    for _ in range(2):
        with used_by("third", cache):
            build_folder(cache / "steps" / "c", _kib, quiet)
    assert contents(cache)[0].recipes == ("third",)
    assert (cache / "steps" / "c.lock").read_text() == "third\n"


def test_what_an_interruption_left_is_an_entry(cache: Path) -> None:
    def fail(folder: Path) -> None:
        _kib(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_folder(cache / "steps" / "d", fail, quiet)
    left = contents(cache)[0]
    assert (left.path.name, left.complete) == ("d.partial", False)
    assert names(prune(cache, most_bytes=0))[-1] == "d.partial"
    assert contents(cache) == ()


def test_pruning_removes_what_all_conditions_name(cache: Path) -> None:
    assert names(prune(cache, recipe="other", dry_run=True)) == ["b"]
    assert names(prune(cache, older_than_s=1.5 * DAY_S, dry_run=True)) == ["b", "c"]
    assert names(prune(cache, older_than_s=1.5 * DAY_S, recipe="other", dry_run=True)) == ["b"]
    size = total(contents(cache))
    assert names(prune(cache, most_bytes=size, dry_run=True)) == []
    assert names(prune(cache, most_bytes=size - 1, dry_run=True)) == ["c"]
    assert names(prune(cache, most_bytes=size // 3)) == ["c", "b"]
    assert names(contents(cache)) == ["a"]
    assert not (cache / "steps" / "b").exists()


def test_a_cache_in_use_is_left_alone(cache: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from edgekws.core.store import used_by\n"
        "with used_by('r', Path(sys.argv[1])):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(cache)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match="is in use by another command; wait for it"):
            prune(cache, most_bytes=0)
        other.communicate(b"")
    assert names(contents(cache)) == ["a", "b", "c"]
    assert len(prune(cache, most_bytes=0)) == 3
