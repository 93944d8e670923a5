"""Bundles: members, manifests, networks and archives that were changed after packing."""

import json
import os
import shutil
from pathlib import Path
from random import Random
from typing import Any

from edgekws.bundle import pack
from edgekws.bundle.members import CARD, SUMS
from tools.fuzzing import archives, material, networks
from tools.fuzzing.case import MODELS, Box, Case
from tools.fuzzing.damage import TEXTS, damaged, is_plain, replaced, value

_BUDGET = "max_params = 100_000\nmax_macs = 1e9\nmax_size_kib = 1000\n"


def prepare(folder: Path) -> None:
    """Write a bundle, a budget, and what it is to hear."""
    material.bundle(folder)
    material.write_rows(folder / "labels.jsonl", material.track(folder / "talk" / "long.wav"))
    (folder / "budget.toml").write_text(_BUDGET)


def make(rng: Random, folder: Path, box: Box) -> Case:
    """Write a changed bundle, as a folder or as a zip, and give it to a command."""
    bundle = box.inputs / "bundle"
    shutil.copytree(folder / "bundle", bundle)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choice(_CHANGES)(rng, bundle)
    if rng.random() < 0.75:
        _seal(bundle)
    given = bundle
    if rng.random() < 0.35:
        given = box.inputs / "bundle.zip"
        given.write_bytes(archives.zipped(rng, bundle, box.root.parent / "escaped"))
    return _case(rng, folder, given)


def _case(rng: Random, folder: Path, bundle: Path) -> Case:
    given, talk = str(bundle), str(folder / "talk")
    commands = (
        ("verify", given),
        ("verify", given),
        ("predict", given, talk, "--output", "labels.csv"),
        ("check", given, "--budget", str(folder / "budget.toml")),
        ("check", str(bundle / "model.onnx"), "--budget", str(folder / "budget.toml")),
        ("export", given, "--to", "folder", "--output", "made"),
        ("export", given, "--to", "zip", "--output", "made.zip"),
        ("export", given, "--to", "ort", "--output", "made"),
        ("export", given, "--to", "waveform", "--output", "made.onnx"),
        ("detect", given, f"{talk}/long.wav"),
        ("evaluate-events", given, "--positives", str(folder / "labels.jsonl")),
        ("calibrate", given, "--positives", str(folder / "labels.jsonl"), "--max-fa-per-hour", "5",
         "--output", "made"),
    )  # fmt: skip
    json_out = ("--json",) if rng.random() < 0.4 else ()
    command = rng.choice(commands)
    fresh = "ort" in command or rng.random() < 0.05  # onnxruntime's tools cannot be imported again
    return Case((*command, *json_out), MODELS, fresh=fresh)


def _seal(bundle: Path) -> None:
    """Write checksums that fit, where the folder can still be read and written.

    A link or a pipe in place of what it writes is left alone: it would lead out of the folder, or
    block.
    """
    places = [bundle / name for name in (CARD, SUMS)]
    if any(os.path.lexists(place) and not is_plain(place) for place in places):
        return
    try:
        pack.seal(bundle, "# card\n")
    except OSError:
        return


def _files(bundle: Path) -> list[Path]:
    return sorted(path for path in bundle.rglob("*") if is_plain(path))


def _member(rng: Random, bundle: Path) -> None:
    if files := _files(bundle):
        file = rng.choice(files)
        file.write_bytes(damaged(rng, file.read_bytes()))


def _gone(rng: Random, bundle: Path) -> None:
    if files := _files(bundle):
        rng.choice(files).unlink()


def _stranger(rng: Random, bundle: Path) -> None:
    files = _files(bundle)
    name = rng.choice(
        ("evil.py", "sub/x", "golden/99.wav", "model.ort", "тест", "a b", ".hidden", "numpy.py")
    )
    path = rng.choice((bundle / name, rng.choice(files) if files else bundle / name))
    if path.is_dir():  # made before
        return
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    what = rng.randrange(5)
    if what == 0:
        path.symlink_to(
            rng.choice(("/etc/passwd", "/dev/zero", "../..", path.name, "gone", "/proc/self/mem"))
        )
    elif what == 1:
        os.mkfifo(path)
    elif what == 2:
        path.mkdir()
    else:
        path.write_bytes(rng.choice((b"", b"x", rng.randbytes(5000))))


def _json(rng: Random, bundle: Path) -> None:
    file = bundle / rng.choice(
        ("manifest.json", "manifest.json", "manifest.json", "golden/golden.json")
    )
    if not is_plain(file):
        return
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
        for _ in range(rng.choice((1, 1, 2, 5))):
            replaced(rng, tree)
        text = json.dumps(tree, ensure_ascii=rng.random() < 0.8)
    except (ValueError, TypeError):
        text = json.dumps(value(rng))
    if rng.random() < 0.05:
        text = rng.choice(("", "null", "[" * 100_000, '{"a":' * 50_000, text * 2, text[:-3]))
    file.write_text(text, encoding="utf-8", errors="replace")


def _labels(rng: Random, bundle: Path) -> None:
    """Change a label in both places that hold it."""
    if not (is_plain(bundle / "manifest.json") and is_plain(bundle / "labels.txt")):
        return
    try:
        manifest: Any = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
        labels = list(manifest["contract"]["labels"])
        labels[rng.randrange(len(labels))] = rng.choice((*TEXTS, *labels))
        manifest["contract"]["labels"] = labels
        text = "".join(f"{label}\n" for label in labels)
        (bundle / "labels.txt").write_text(text, encoding="utf-8", errors="replace")
        (bundle / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return


def _network(rng: Random, bundle: Path) -> None:
    names = ("model.onnx", "model.onnx", "stream.onnx", "frontend.onnx", "frontend_stream.onnx")
    file = bundle / rng.choice(names)
    if is_plain(file):
        file.write_bytes(networks.changed(rng, file.read_bytes()))


_CHANGES = (
    _member,
    _member,
    _gone,
    _stranger,
    _json,
    _json,
    _json,
    _labels,
    _network,
    _network,
    _network,
)
