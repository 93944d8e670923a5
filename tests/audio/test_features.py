"""The dataset as features: normalised on train, cached under everything they depend on."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekws.audio import features as module
from edgekws.audio.augmentation import Augment, Noise, SpecAugment, augment_waveform, mask
from edgekws.audio.decoding import Corpus, decode, to_float32
from edgekws.audio.features import Features
from edgekws.core.contract import Normalization
from edgekws.core.corpus import SPLITS, Listing
from edgekws.core.events import quiet
from edgekws.core.job import Data
from edgekws.core.source_code import closure
from edgekws.runtime.front_end import MICRO_PARAMETERS, MICROFRONTEND, FrontEnd, log_mel
from edgekws.runtime.micro_front_end import SCALE, clip_features

AUGMENT = Augment(copies=2, noise=Noise(), spec_augment=SpecAugment(max_time_frames=5))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def corpus(listing: Listing, small: FrontEnd, cache: Path) -> Corpus:
    return decode(listing, small, cache, quiet)


def _features(
    corpus: Corpus, small: FrontEnd, cache: Path, augment: Augment = AUGMENT, seed: int = 7
) -> Features:
    return Features(corpus, small, augment, seed, cache, quiet)


def test_examples_are_normalised_log_mel(corpus: Corpus, small: FrontEnd, cache: Path) -> None:
    data: Data = _features(corpus, small, cache)
    clean = log_mel(to_float32(corpus.waveforms("train")), small).astype(np.float64)
    np.testing.assert_allclose(data.normalization.mean, clean.mean(axis=(0, 2)), atol=1e-4)
    np.testing.assert_allclose(data.normalization.std, clean.std(axis=(0, 2)), rtol=1e-4)
    mean, std = (np.array(x)[:, None] for x in (data.normalization.mean, data.normalization.std))
    for split in SPLITS:
        examples = data.examples(split)
        expected = (log_mel(to_float32(corpus.waveforms(split)), small) - mean) / std
        assert examples.features.shape == (len(corpus.splits[split]), 20, small.n_frames)
        assert examples.features.dtype == np.float32
        np.testing.assert_allclose(examples.features, expected, atol=1e-4)
        labels = [data.labels[target] for target in examples.targets]
        assert labels == [clip.label for clip in corpus.splits[split]]
    assert examples.names == ("no/5.wav", "yes/5.wav", "audio/noise0.wav@1")
    assert examples.speakers.tolist() == ["speaker 5", "speaker 5", ""]


def test_the_micro_front_end_has_a_fixed_scale(listing: Listing, cache: Path) -> None:
    front_end = FrontEnd(kind=MICROFRONTEND, window_s=0.5, **MICRO_PARAMETERS)
    corpus = decode(listing, front_end, cache, quiet)
    data = _features(corpus, front_end, cache)
    assert data.normalization == Normalization((0.0,) * 40, (1.0,) * 40)
    for split in SPLITS:
        stretches = corpus.stretches(split, slice(None))
        expected = [clip_features(s, len(s) - 8_000).T * SCALE for s in stretches]
        np.testing.assert_array_equal(
            data.examples(split).features, np.stack(expected).astype(np.float32)
        )


@pytest.mark.parametrize(("loudness", "least", "most"), [(0, 0.0, 0.0), (2, 0.01, 0.9)])
def test_bands_that_hardly_change(
    corpus: Corpus,
    small: FrontEnd,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    loudness: int,
    least: float,
    most: float,
) -> None:
    """Digital silence is not blown up, and a deviation below 1 is the one that is measured."""
    shape = corpus.waveforms("train").shape
    waves = np.random.default_rng(0).integers(-loudness, loudness + 1, shape).astype(np.int16)
    monkeypatch.setattr(Corpus, "stretches", lambda self, split, part: list(waves[part]))
    data = _features(corpus, small, cache)
    clean = log_mel(to_float32(waves), small).astype(np.float64)
    std = clean.std(axis=(0, 2))
    assert least <= std.min() <= std.max() <= most
    expected = std if loudness else np.full(20, 0.01)
    np.testing.assert_allclose(data.normalization.std, expected, rtol=2e-3)
    assert np.abs(data.examples("train").features.mean(axis=(0, 2))).max() < 1e-3


def test_epochs_cycle_through_copies(corpus: Corpus, small: FrontEnd, cache: Path) -> None:
    data = _features(corpus, small, cache)
    np.testing.assert_array_equal(data.augmented(0), data.augmented(2))
    assert (data.augmented(0) != data.augmented(1)).any()
    waves = enumerate(to_float32(corpus.waveforms("train")))
    heard = np.stack(
        [augment_waveform(w, corpus.noise, AUGMENT, (7, 1, n), 8_000)[0] for n, w in waves]
    )
    mean, std = (np.array(x)[:, None] for x in (data.normalization.mean, data.normalization.std))
    expected = (log_mel(heard, small) - mean) / std
    assert data.augmented(1).dtype == np.float16
    np.testing.assert_allclose(data.augmented(1), expected, rtol=2e-3, atol=2e-3)


def test_no_copies_means_clean_clips(corpus: Corpus, small: FrontEnd, cache: Path) -> None:
    data = _features(corpus, small, cache, Augment(copies=0))
    clean = data.examples("train").features.astype(np.float16)
    np.testing.assert_array_equal(data.augmented(3), clean)
    np.testing.assert_array_equal(data.mask(clean.astype(np.float32), np.arange(9), 0), clean)


def test_masks_follow_the_recipe(corpus: Corpus, small: FrontEnd, cache: Path) -> None:
    data = _features(corpus, small, cache)
    ones = np.ones((9, 20, small.n_frames), np.float32)
    assert (data.mask(ones, np.arange(9), 0) == 0).any()
    masked = mask(ones, SpecAugment(max_time_frames=5), 7, 0, np.arange(9), 0.4)
    np.testing.assert_array_equal(data.mask(ones, np.arange(9), 0, 0.4), masked)
    np.testing.assert_array_equal(data.mask(ones, np.arange(9), 0, 0.0), ones)


def test_what_is_computed_again(corpus: Corpus, small: FrontEnd, cache: Path) -> None:
    def folders() -> int:
        return sum(path.is_dir() for path in (cache / "features").iterdir())

    _features(corpus, small, cache).augmented(0)
    assert folders() == 2  # train and copy 0
    masks_only = AUGMENT.model_copy(update={"spec_augment": None, "copies": 5})
    _features(corpus, small, cache, masks_only).augmented(0)
    assert folders() == 2
    _features(corpus, small, cache, seed=8).augmented(0)
    assert folders() == 3
    louder = AUGMENT.model_copy(update={"gain_db": (0.0, 6.0)})
    _features(corpus, small, cache, louder).augmented(0)
    assert folders() == 4


def test_key_covers_the_code(
    corpus: Corpus, small: FrontEnd, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {name.removeprefix("edgekws.") for name in closure([module.__name__])}
    expected = {"features", "augmentation", "perturbation", "room", "torch_front_end"}
    assert {*(f"audio.{name}" for name in expected), "runtime.front_end"} <= names
    _features(corpus, small, cache).examples("train")
    monkeypatch.setattr(module, "fingerprint", lambda name: "edited")
    _features(corpus, small, cache).examples("train")
    assert sum(path.is_dir() for path in (cache / "features").iterdir()) == 2


def test_cores_and_processes_do_not_change_a_bit(
    corpus: Corpus, small: FrontEnd, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", 2)
    before = torch.get_num_threads()
    many = _features(corpus, small, cache)
    monkeypatch.setattr("edgekws.audio.parallel.cores", lambda: 1)
    one = _features(corpus, small, tmp_path / "other")
    assert many.normalization == one.normalization
    assert many.augmented(0).tobytes() == one.augmented(0).tobytes()
    monkeypatch.setattr("edgekws.audio.parallel.cores", lambda: 2)
    monkeypatch.setattr("edgekws.audio.parallel.MANY", 1)
    elsewhere = _features(corpus, small, tmp_path / "third")
    assert elsewhere.augmented(0).tobytes() == one.augmented(0).tobytes()
    assert torch.get_num_threads() == before


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.data())
def test_calibration_shares(counts: list[int], data: st.DataObject) -> None:
    n = data.draw(st.integers(0, sum(counts)))
    shares = module._largest_remainder(np.array(counts), n)
    assert shares.sum() == n
    exact = np.array(counts) * n / sum(counts)
    assert (np.abs(shares - exact) < 1).all()
    assert (shares <= counts).all()


@pytest.mark.parametrize(
    ("counts", "n", "shares"),
    [
        ([5, 3, 2], 5, [3, 1, 1]),  # of 2.5, 1.5, 1
        ([1, 2, 7], 5, [1, 1, 3]),  # of 0.5, 1, 3.5
        ([3, 4, 3], 4, [1, 2, 1]),  # of 1.2, 1.6, 1.2
        ([1, 1, 8], 9, [1, 1, 7]),  # of 0.9, 0.9, 7.2
        ([2, 2, 2], 6, [2, 2, 2]),
    ],
)
def test_remainders_go_to_the_largest_fractions_and_the_first_of_equal_ones(
    counts: list[int], n: int, shares: list[int]
) -> None:
    assert module._largest_remainder(np.array(counts), n).tolist() == shares


def test_calibration_is_seeded(corpus: Corpus, small: FrontEnd, cache: Path) -> None:
    data = _features(corpus, small, cache)
    chosen = data.calibration(5)
    assert chosen.dtype == np.int64
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(chosen, _features(corpus, small, cache).calibration(5))
    assert np.bincount(data.examples("train").targets[chosen]).tolist() in ([2, 2, 1], [3, 2, 0])
    others = [_features(corpus, small, cache, seed=s).calibration(5).tolist() for s in range(8)]
    assert len({tuple(other) for other in others}) > 1
    np.testing.assert_array_equal(data.calibration(100), np.arange(9))


def test_importing_needs_no_torch() -> None:
    code = "import sys, edgekws.audio.features; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unheard_words_are_marked(listing: Listing, small: FrontEnd, cache: Path) -> None:
    words = {"train": "bed", "dev": "bird", "test": "bed"}
    clips = tuple(
        replace(clip, label="_unknown_", word=words[clip.split]) if clip.label == "no" else clip
        for clip in listing.clips
    )
    given = replace(listing, labels=("_unknown_", "yes", "_silence_"), clips=clips)
    features = Features(decode(given, small, cache, quiet), small, Augment(), 7, cache, quiet)
    unheard = features.examples("dev").unheard
    assert unheard is not None
    np.testing.assert_array_equal(unheard, features.examples("dev").targets == 0)
    assert features.examples("test").unheard is None
    assert features.examples("train").unheard is None
