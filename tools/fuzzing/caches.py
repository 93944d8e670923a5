"""The cache: what was changed in it must be noticed and made again, never used."""

import json
import os
import shutil
from functools import partial
from pathlib import Path
from random import Random

from edgekws.core import store
from edgekws.core.events import quiet
from tools.fuzzing import material
from tools.fuzzing.case import Box, Case
from tools.fuzzing.damage import damaged, is_plain, replaced

SOUND = frozenset({0})


def prepare(folder: Path) -> None:
    """Write a recipe and a model; the cache and what comes of it are made by the first run."""
    material.network(folder / "network.onnx")
    material.write_rows(folder / "clips.jsonl", material.clips(folder / "clips"))
    text = material.RECIPE.format(table=folder / "clips.jsonl")
    (folder / "tones.toml").write_text(text, encoding="utf-8")


def reference(folder: Path) -> Case:
    """Return the run that fills the cache."""
    recipe = str(folder / "tones.toml")
    return Case(("evaluate", str(folder / "network.onnx"), "--recipe", recipe, "--json"), SOUND)


def make(rng: Random, folder: Path, box: Box) -> Case:
    """Damage a copy of the cache; the run must give what it gave with the sound one."""
    shutil.copytree(folder / "cache", box.cache, dirs_exist_ok=True)
    entries = sorted(marker.parent for marker in box.cache.rglob(store.MARKER))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        rng.choice(_CHANGES)(rng, rng.choice(entries))
    case = reference(folder)
    return Case(case.arguments, SOUND, judge=partial(_judge, folder / "reference.jsonl"))


def figures(stdout: str) -> list[object]:
    """Return what a run says but for its warnings and times."""
    events = [json.loads(line) for line in stdout.splitlines()]
    return [e for e in events if e.get("event") not in ("warning", "progress", "note")]


def _judge(expected: Path, stdout: str, box: Box) -> list[str]:
    found = []
    if figures(stdout) != figures(expected.read_text(encoding="utf-8")):
        found.append("gives other figures than with the sound cache")
    entries = [marker.parent for marker in sorted(box.cache.rglob(store.MARKER))]
    damaged_still = [entry for entry in entries if not store.is_intact(entry, quiet)]
    return found + [f"left damaged in the cache: {entry.name[:12]}" for entry in damaged_still]


def _files(entry: Path) -> list[Path]:
    return sorted(path for path in entry.rglob("*") if is_plain(path))


def _bytes(rng: Random, entry: Path) -> None:
    if files := _files(entry):
        file = rng.choice(files)
        file.write_bytes(damaged(rng, file.read_bytes()))


def _same_time(rng: Random, entry: Path) -> None:
    """Flip one bit, and set the times back."""
    if files := [file for file in _files(entry) if file.stat().st_size]:
        file = rng.choice(files)
        state, data = file.stat(), bytearray(file.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        file.write_bytes(bytes(data))
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def _gone(rng: Random, entry: Path) -> None:
    if files := _files(entry):
        rng.choice(files).unlink()


def _stranger(rng: Random, entry: Path) -> None:
    if not entry.is_dir():
        return
    path = entry / rng.choice(("x", "sub/x", "result.json", "тест"))
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        path.write_bytes(b"x")


def _marker(rng: Random, entry: Path) -> None:
    marker = entry / store.MARKER
    if not is_plain(marker):
        return
    try:
        tree = json.loads(marker.read_text(encoding="utf-8"))
        replaced(rng, tree)
        whole = json.dumps(tree)
    except (ValueError, TypeError):  # it is damaged already
        whole = ""
    deep = "[" * 100_000
    texts = (
        whole,
        whole,
        "",
        "{}",
        "[]",
        "null",
        whole[:-1],
        deep,
        '{"x": 1}',
        '{"../x": [1, "a"]}',
    )
    marker.write_text(rng.choice(texts), encoding="utf-8")


def _swapped(rng: Random, entry: Path) -> None:
    """Put a file, a link or an empty folder where the entry was, or where one of its files was."""
    if not entry.is_dir():
        return
    files = _files(entry)
    place = rng.choice((entry, rng.choice(files) if files else entry))
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()
    what = rng.randrange(4)
    if what == 0:
        place.mkdir()
    elif what == 1:
        place.symlink_to(rng.choice(("/etc/hostname", "gone", place.name, "/dev/zero")))
    elif what == 2 and place != entry:
        os.mkfifo(place)
    elif what == 2:
        partial = place.with_name(f"{place.name}.partial")
        rng.choice((partial.mkdir, partial.touch, lambda: partial.symlink_to("gone")))()
    else:
        place.write_bytes(b"")


_CHANGES = (_bytes, _bytes, _same_time, _same_time, _gone, _stranger, _marker, _marker, _swapped)
