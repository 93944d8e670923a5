"""Every builder of the cache, interrupted wherever it writes, ends with the same bytes."""

import ast
import json
import os
import shutil
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import soundfile
import torch

from edgekws.audio.effective_speakers import speaker_vectors
from edgekws.audio.speaker_encoder import SpeakerEncoder
from edgekws.bundle.verify import verify
from edgekws.core import store
from edgekws.core.contract import UNKNOWN
from edgekws.core.corpus import Listing
from edgekws.core.environment import cache_folder
from edgekws.core.events import Emit, Event, quiet
from edgekws.core.footprint import Footprint
from edgekws.datasets.listing.continuous import Continuous, with_windows
from edgekws.datasets.synthesis.disagreement import without_disagreeing
from edgekws.datasets.synthesis.spoken_sentences import SpokenSentences
from edgekws.datasets.synthetic import Dataset as Synthetic
from edgekws.engine import plan
from edgekws.engine.data import Source
from edgekws.engine.footprint import footprint
from edgekws.engine.run import compress
from edgekws.recipe.load import Loaded, load
from edgekws.runtime.front_end import FrontEnd
from tests.embeddings import embedding

PACKAGE = Path(__file__).parents[2] / "edgekws"

RECIPE = """
schema = 1
name = "tones"
seed = 3
threads = 1
[dataset]
kind = "manifest"
path = "{table}"
unknown = false
noise = "{noise}"
[augment]
copies = 1
[augment.noise]
snr_db = [0, 20]
[front_end]
sample_rate = 8000
n_fft = 256
win_length = 240
hop_length = 80
n_mels = 10
f_max = 4000
[target]
kind = "host"
seconds = 0.02
processes = 2
[[steps]]
kind = "teacher"
backbone = {{ kind = "inverted_bottleneck", channels = 4, blocks = 1, head = 0, padding = "valid" }}
training = {{ epochs = 2 }}
[[steps]]
kind = "distill"
teachers = ["teacher"]
backbone = {{ kind = "inverted_bottleneck", channels = 4, blocks = 1, head = 0, padding = "valid" }}
training = {{ epochs = 2 }}
[[steps]]
kind = "export"
[[steps]]
kind = "quantize"
backend = {{ kind = "onnxruntime" }}
calibration_clips = 8
max_drop = 1
[[steps]]
kind = "stream"
[[steps]]
kind = "calibrate"
"""

ABOUT_THE_MACHINE = {"latency", "plans"}
"""Folders that hold times, which no two runs have in common."""


class InterruptedHere(BaseException):
    """Ends a build as Ctrl-C does."""


class _Saboteur:
    """Interrupts whatever makes, opens for writing or renames a path in `folder`."""

    def __init__(self) -> None:
        self.folder, self.left = "", 0
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.folder or event not in ("open", "os.mkdir", "os.rename"):
            return
        path = arguments[0]
        reads = event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if reads or not isinstance(path, str) or not path.startswith(f"{self.folder}/"):
            return
        self.left -= 1
        if self.left == 0:
            self.folder = ""
            raise InterruptedHere

    @contextmanager
    def strikes(self, folder: Path, at: int) -> Iterator[None]:
        """Strike at write `at` to `folder`, counted from 1; not while another build is within."""
        outer = self.folder, self.left
        self.folder, self.left = str(folder), at
        try:
            yield
        finally:
            self.folder, self.left = outer


SABOTEUR = _Saboteur()
Build = Callable[[Path], None]

COMPILED = {"edgekws.codegen.library_cache"}
"""Builders whose writes are a compiler's, where no interruption can be placed."""


class _Interruptions:
    """Stands in for `store._build_locked`: each build is interrupted at writes 1, 4, 16, …"""

    def __init__(self) -> None:
        self._whole = store._build_locked
        self.builders: Counter[str] = Counter()

    def __call__(self, target: Path, build: Build, resumes: Any) -> None:
        at = 1
        while self._is_interrupted(target, build, resumes, at):
            self.builders[_module(build)] += 1
            at *= 4

    def _is_interrupted(self, target: Path, build: Build, resumes: Any, at: int) -> bool:
        partial = target.with_name(f"{target.name}.partial")

        def struck(folder: Path) -> None:
            with SABOTEUR.strikes(partial, at):
                build(folder)

        try:
            self._whole(target, struck, resumes)
        except InterruptedHere:
            return True
        return False


def _module(build: Build) -> str:
    """Return the module that a builder stands in; those of `Features` are handed on."""
    inner: Any = getattr(build, "func", build)
    module: str = inner.__module__
    return "edgekws.audio.features" if module == "edgekws.audio.long_features" else module


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Two words, each twice by ten speakers, a tone a word, and a noise."""
    folder = tmp_path_factory.mktemp("тоны")
    rng = np.random.default_rng(5)
    rows = ["path,label,speaker,split"]
    for speaker, split in enumerate(("train",) * 4 + ("dev",) * 3 + ("test",) * 3):
        for word, label in enumerate(("да", "нет")):
            for take in range(2):
                name = f"{label}-{speaker}-{take}.wav"
                tone = np.sin(np.arange(8000) * (0.4 + 0.8 * word + 0.02 * speaker))
                soundfile.write(folder / name, 0.2 * tone + 0.1 * rng.standard_normal(8000), 8000)
                rows.append(f"{name},{label},s{speaker},{split}")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "noise").mkdir()
    for number in range(3):
        path = folder / "noise" / f"{number}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(16_000), 8000)
    soundfile.write(folder / "talk.wav", 0.1 * rng.standard_normal(24_000), 8000)
    torch.save({"model_state": SpeakerEncoder().state_dict()}, folder / "encoder.pt")
    text = RECIPE.format(table=folder / "clips.csv", noise=folder / "noise")
    (folder / "tones.toml").write_text(text, encoding="utf-8")
    return load(str(folder / "tones.toml"))


class _Board:
    """A target whose counts take no time."""

    __module__ = "edgekws.core.footprint"

    def fingerprint(self) -> dict[str, str]:
        return {"cpu": "none"}

    def footprint(self, bundle: Path) -> Footprint:
        counts = dict.fromkeys((field.name for field in fields(Footprint)), 1)
        return Footprint(**cast(Any, counts | {"cpu": bundle.name, "floats": True}))


def _everything(recipe: Loaded, folder: Path, emit: Emit = quiet) -> Path:
    """Have every builder build, into a cache under `folder`."""
    cache = folder / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKWS_CACHE", str(cache))
        plan.plan(recipe, emit)
        report = compress(recipe, runs=folder / "runs", dist=folder / "dist", emit=emit)
        source = Source(recipe.recipe, cache_folder(), emit)
        source.features.negatives()
        source.audio.unlabelled([source.listing.clips[0].path.parent / "talk.wav"])
        footprint(folder / "dist" / "tones", cast(Any, _Board()), cache, emit)
        half = recipe.recipe.model_copy(
            update={"augment": recipe.recipe.augment.model_copy(update={"copies": 0})}
        )
        Source(half, cache_folder(), emit).features.augmented(0)
        spoken = Synthetic(
            keywords=("stop",), unknown_words=("tree",), near_sounding=0,
            clips_per_keyword=2, dev_clips_per_keyword=2, test_clips_per_keyword=2,
            speech_minutes=0.05, dev_speech_minutes=0.05, test_speech_minutes=0.05,
        )  # fmt: skip
        spoken.list_clips(FrontEnd(), 3, cache, emit)
        sentences = SpokenSentences(minutes=0.05, dev_minutes=0.05, test_minutes=0.05)
        sentences.list_sentences(("stop",), FrontEnd(), 3, cache, emit)
        front_end = recipe.recipe.front_end.front_end()
        words = recipe.recipe.dataset.list_clips(front_end, 3, cache, emit)
        _listen(words, front_end, cache, emit)
        words = replace(words, recordings=(), labels=("low", UNKNOWN))
        with_windows(words, Continuous(in_speech=2), front_end, 3, cache, emit)
    assert report.bundle_sha256
    return folder


def _listen(words: Listing, front_end: FrontEnd, cache: Path, emit: Emit) -> None:
    """Have an embedding judge clips, and an encoder compare their speakers."""
    voices = tuple(replace(clip, speaker=f"en+{clip.speaker}") for clip in words.clips)
    judge = embedding(front_end.window_samples, front_end.sample_rate)
    without_disagreeing(replace(words, clips=voices), 0.5, judge, front_end, "", cache, emit)
    speakers = {clip.speaker: [clip] for clip in words.clips if clip.speaker}
    speaker_vectors(speakers, words.clips[0].path.with_name("encoder.pt"), cache, emit)


@pytest.fixture(scope="module")
def built(recipe: Loaded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything, built without an interruption."""
    return _everything(recipe, tmp_path_factory.mktemp("whole"))


def _content(path: Path) -> object:
    """Return what a file holds; of JSON without how long something took."""
    if path.suffix != ".json" or path.name == "golden.json":
        return path.read_bytes()
    return _timeless(json.loads(path.read_text("utf-8")))


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(part) for key, part in value.items() if key != "seconds"}
    return [_timeless(part) for part in value] if isinstance(value, list) else value


def _cached(folder: Path) -> dict[str, object]:
    files = (p for p in sorted((folder / "cache").rglob("*")) if p.is_file())
    kept = [
        p.relative_to(folder / "cache")
        for p in files
        if p.name not in (store.MARKER, "training.safetensors", "training.previous.safetensors")
    ]
    return {
        str(p): _content(folder / "cache" / p) for p in kept if p.parts[0] not in ABOUT_THE_MACHINE
    }


def _builders() -> set[str]:
    """Return every module that calls `build_folder`."""
    modules = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "build_folder":
                parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
                modules.add(".".join(parts))
    return modules


def test_every_builder_ends_with_the_same_bytes_wherever_it_was_interrupted(
    built: Path, recipe: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interruptions = _Interruptions()
    monkeypatch.setattr(store, "_build_locked", interruptions)
    again = _everything(recipe, tmp_path)
    unreached = _builders() - COMPILED - set(interruptions.builders)
    assert not unreached, "builders that this test does not reach"
    expected, found = _cached(built), _cached(again)
    assert found.keys() == expected.keys()
    assert [name for name in expected if expected[name] != found[name]] == []
    assert not list((again / "cache").rglob("*.partial"))


def test_every_file_has_the_mode_of_the_umask(built: Path) -> None:
    (built / "tones.umask").touch()
    plain = (built / "tones.umask").stat().st_mode
    modes = {p.name: p.stat().st_mode for p in built.rglob("*") if p.is_file()}
    assert len(modes) > 30
    assert {name: stat.filemode(mode) for name, mode in modes.items() if mode != plain} == {}


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(("damage", "which"), [(_flip, -1), (_empty, 0)])
def test_every_damaged_entry_is_told_and_made_again(
    built: Path, recipe: Loaded, tmp_path: Path, damage: Callable[[Path], None], which: int
) -> None:
    shutil.copytree(built / "cache", tmp_path / "cache")
    entries = [marker.parent for marker in (tmp_path / "cache").rglob(store.MARKER)]
    assert len({entry.parent.name for entry in entries}) >= 9
    for entry in entries:
        files = (p for p in entry.rglob("*") if p.is_file() and p.name != store.MARKER)
        damage(sorted(p for p in files if p.stat().st_size)[which])
    told = list[Event]()
    _everything(recipe, tmp_path, told.append)
    warnings = [event.text for event in told if "was changed in the cache" in event.text]
    untold = [e for e in entries if not any(text.startswith(f"{e}: ") for text in warnings)]
    assert len(warnings) == len(entries) - len(untold)
    # The fastest form is timed once more beside the control; another may be the fastest this time.
    assert [e.parent.name for e in untold] in ([], ["latency"])
    expected, found = _cached(built), _cached(tmp_path)
    assert [name for name in expected if expected[name] != found[name]] == []
    assert verify(tmp_path / "dist" / "tones").max_abs_diff == 0
