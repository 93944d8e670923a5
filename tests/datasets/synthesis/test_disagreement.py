"""Clips that sound like another label are left out of training, judged by other voices alone."""

from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edgekws.core.contract import UNKNOWN
from edgekws.core.corpus import Clip, Listing, Split
from edgekws.core.events import Event, quiet
from edgekws.datasets.synthesis.disagreement import judged, without_disagreeing
from edgekws.datasets.synthetic import Dataset
from edgekws.errors import DataError, MissingPartError
from edgekws.lowering import speech_embedding
from edgekws.runtime.front_end import FrontEnd
from tests.embeddings import embedding

FRONT_END = FrontEnd(8_000, 0.25, 256, 240, 80, 10, 20.0, 4_000.0)
HZ = {"low": 300, "high": 2_400, UNKNOWN: 1_200}


def vectors(labels: list[str]) -> NDArray[np.float32]:
    """Return a vector near the corner of each label."""
    rng, known = np.random.default_rng(0), sorted(set(labels))
    corners = np.eye(len(known), 12)[[known.index(label) for label in labels]]
    return np.asarray(corners + rng.normal(0, 0.1, corners.shape), np.float32)


def test_a_wrong_label_is_found_by_other_voices() -> None:
    said = [label for label in ("on", "off", "up") for _ in range(10)]
    voices = [f"v{n % 5}" for n in range(30)]
    labels = ["off", *said[1:]]
    first, *others = judged(vectors(said), labels, voices)
    assert first is not None
    assert first.label == "on"
    assert first.margin > 0.3
    assert all(one is not None and one.margin < 0 for one in others)


def test_what_no_other_voice_says_is_not_judged() -> None:
    said = ["on", "on", "off", "off", "up"]
    results = judged(vectors(said), said, ["a", "b", "a", "b", "a"])
    assert [one is None for one in results] == [False, False, False, False, True]
    assert judged(vectors(said), said, ["a"] * 5) == [None] * 5
    assert judged(vectors(said[:2]), said[:2], ["a", "b"]) == [None] * 2


@pytest.fixture
def listing(tmp_path: Path) -> Listing:
    """Tones of three labels by six voices in train and one in test; two labels are wrong."""
    clips = []
    splits: tuple[Split, ...] = (*("train",) * 6, "test")
    for label, hz in HZ.items():
        for n, split in enumerate(splits):
            path = tmp_path / f"{label}-{n}.wav"
            wave = 0.5 * np.sin(2 * np.pi * (hz + 7 * n) * np.arange(2_000) / 8_000)
            soundfile.write(path, wave, 8_000)
            clips.append(Clip(path, label, f"en+v{n}", split, synthesizer="flite"))
    wrong = {clips[0]: "high", clips[6]: "high", clips[14]: "low"}
    named = tuple(replace(clip, label=wrong.get(clip, clip.label)) for clip in clips)
    return Listing(("low", "high", UNKNOWN), named, notes=("made",))


def test_training_clips_of_keywords_are_left_out_and_counted(
    listing: Listing, tmp_path: Path
) -> None:
    events: list[Event] = []

    def filtered(least: float) -> Listing:
        small, cache = embedding(FRONT_END.window_samples), tmp_path / "cache"
        return without_disagreeing(listing, least, small, FRONT_END, "a", cache, events.append)

    once = filtered(0.0)
    left_out = set(listing.clips) - set(once.clips)
    assert {clip.path.name for clip in left_out} == {"low-0.wav", f"{UNKNOWN}-0.wav"}
    assert once.notes[0] == "made"
    assert once.notes[1].startswith("left out of training: 2 of 13 clips of keywords, which a head")
    assert once.notes[1].endswith("by 0 or more: high 1, low 1; by engine: flite 2")
    assert events
    events.clear()
    assert filtered(1.0).clips == listing.clips
    assert not events  # the judgements are in the cache
    with pytest.raises(DataError, match="= -1 leaves no training clip of high, low; raise it"):
        filtered(-1.0)


def test_a_missing_embedding_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(speech_embedding, "distribution", missing)
    fields = Dataset(keywords=("on", "off"), drop_disagreeing=0.5)
    for call in (fields.fingerprint, lambda: fields.list_clips(FRONT_END, 0, tmp_path, quiet)):
        with pytest.raises(
            MissingPartError, match=r"drop_disagreeing needs .*\[embedding\]"
        ) as got:
            call()
        assert got.value.exit_code == 6
