"""Features of whole recordings: every window's are a part of them."""

import itertools
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgekws.audio import front_ends, long_features
from edgekws.audio.augmentation import Augment
from edgekws.audio.decoding import decode
from edgekws.audio.features import Features
from edgekws.core.contract import Normalization
from edgekws.core.corpus import Clip, Listing
from edgekws.core.events import quiet
from edgekws.errors import DataError
from edgekws.runtime.front_end import FrontEnd


@pytest.fixture
def negatives(tmp_path: Path, listing: Listing) -> tuple[Clip, ...]:
    """Three seconds, a part of them, and what is too short for a frame."""
    path = tmp_path / "long.wav"
    soundfile.write(path, np.random.default_rng(3).uniform(-0.5, 0.5, 24_000), 8_000)
    return tuple(
        Clip(path, "_unknown_", "n", "train", *part) for part in ((0, None), (0.5, 2), (0, 0.02))
    )


def with_negatives(listing: Listing, negatives: tuple[Clip, ...], split: str = "train") -> Listing:
    """Return the listing with a class `_unknown_` of two windows a split, and long negatives."""
    first = negatives[0]
    windows = [
        Clip(first.path, "_unknown_", None, split, start, start + 0.5)
        for split in ("train", "dev")
        for start in ((0.27, 1.35) if split == "train" else (2.4,))
    ]
    labels = (*listing.labels, "_unknown_")
    return Listing(labels, (*listing.clips, *windows), listing.noise, (), (), negatives)


def test_the_features_of_a_window_are_a_part(
    listing: Listing,
    negatives: tuple[Clip, ...],
    small: FrontEnd,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(front_ends, "PIECE_FRAMES", 40)  # borders between pieces do not show
    corpus = decode(with_negatives(listing, negatives), small, tmp_path / "cache", quiet)
    data = Features(corpus, small, Augment(copies=0), 7, tmp_path / "cache", quiet)
    whole, part, nothing = data.negatives()
    assert [x.shape for x in (whole, part, nothing)] == [(20, 176), (20, 87), (20, 0)]
    clips = [c for c in corpus.splits["train"] if c.label == "_unknown_"]
    features = data.examples("train").features[-2:]
    for clip, window in zip(clips, features, strict=True):
        exact = clip.start_s * 8000 / 135
        frame = round(exact)
        assert frame == pytest.approx(exact)
        np.testing.assert_allclose(whole[:, frame : frame + 28], window, atol=2e-4)
    again = Features(corpus, small, Augment(copies=0), 7, tmp_path / "cache", quiet)
    np.testing.assert_array_equal(again.negatives()[0], whole)


def test_memory_does_not_grow_with_the_length_of_a_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = np.random.default_rng(0).uniform(-0.1, 0.1, 160_000).astype(np.float32)

    def peak(minutes: int) -> int:
        monkeypatch.setattr(
            long_features, "read_blocks", lambda *_: itertools.repeat(block, 6 * minutes)
        )
        clip = Clip(tmp_path / "long.wav", "_unknown_", None, "train")
        normalization = Normalization((0.0,) * 40, (1.0,) * 40)
        tracemalloc.start()
        long_features.write([clip], FrontEnd(), normalization, quiet, tmp_path)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert json.loads((tmp_path / "lengths.json").read_text()) == [6000 * minutes - 3]
        return highest

    assert peak(20) < 1.1 * peak(3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames.f32", "lengths.json"]


def test_a_changed_file_is_read_anew_and_a_lost_one_told(
    listing: Listing, negatives: tuple[Clip, ...], small: FrontEnd, tmp_path: Path
) -> None:
    corpus = decode(with_negatives(listing, negatives), small, tmp_path / "cache", quiet)
    data = Features(corpus, small, Augment(copies=0), 7, tmp_path / "cache", quiet)
    before = data.negatives()[0].copy()
    soundfile.write(negatives[0].path, np.random.default_rng(4).uniform(-0.5, 0.5, 24_000), 8_000)
    assert np.abs(data.negatives()[0] - before).max() > 0.1
    negatives[0].path.unlink()
    with pytest.raises(DataError, match=r"long\.wav: no such file"):
        data.negatives()


def test_training_gets_no_negatives_of_dev_and_test(
    listing: Listing, negatives: tuple[Clip, ...], small: FrontEnd, tmp_path: Path
) -> None:
    held_out = tuple(replace(clip, split="dev") for clip in negatives[1:])
    given = with_negatives(listing, (*negatives[:1], *held_out))
    corpus = decode(given, small, tmp_path / "cache", quiet)
    (whole,) = Features(corpus, small, Augment(), 7, tmp_path / "cache", quiet).negatives()
    assert whole.shape == (20, 176)


def test_without_negatives_there_are_none(
    listing: Listing, small: FrontEnd, tmp_path: Path
) -> None:
    corpus = decode(listing, small, tmp_path / "cache", quiet)
    assert Features(corpus, small, Augment(), 7, tmp_path / "cache", quiet).negatives() == ()
