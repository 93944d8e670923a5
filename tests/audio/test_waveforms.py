"""Vectors of clips and of recordings without labels: computed once, as the clips are augmented."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soundfile
from numpy.typing import NDArray

from edgekws.audio import waveforms
from edgekws.audio.augmentation import Augment, Noise, augment_waveform
from edgekws.audio.decoding import Corpus, decode, to_float32
from edgekws.audio.waveforms import Waveforms
from edgekws.core.contract import Normalization
from edgekws.core.corpus import Clip, Listing
from edgekws.core.events import quiet
from edgekws.errors import DataError
from edgekws.runtime.front_end import FrontEnd, log_mel
from tests.embeddings import embedding

NORMALIZATION = Normalization((-3.0,) * 20, (2.0,) * 20)
AUGMENT = Augment(copies=2, noise=Noise(), speed=(0.9, 1.1))
SAMPLES = 4_000

Make = Callable[..., Waveforms]


@pytest.fixture
def corpus(listing: Listing, small: FrontEnd, tmp_path: Path) -> Corpus:
    return decode(listing, small, tmp_path / "cache", quiet)


@pytest.fixture
def make(corpus: Corpus, small: FrontEnd, tmp_path: Path) -> Make:
    def build(augment: Augment = AUGMENT, corpus: Corpus = corpus) -> Waveforms:
        cache = tmp_path / "cache"
        return Waveforms(corpus, small, augment, 7, lambda: NORMALIZATION, cache, quiet)

    return build


def by_hand(waves: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(embedding(SAMPLES).model)
    return np.concatenate([session.run(None, {"audio": wave[None]})[0] for wave in waves])


def test_vectors_are_those_of_each_clip(make: Make, corpus: Corpus) -> None:
    for split in ("train", "dev"):
        vectors = make().vectors(embedding(SAMPLES), split)
        expected = by_hand(to_float32(corpus.waveforms(split)))
        np.testing.assert_array_equal(vectors, expected)
        assert len(vectors) == len(corpus.splits[split])


def test_augmented_vectors_are_those_of_the_clips_that_the_student_gets(
    make: Make, corpus: Corpus
) -> None:
    for epoch, copy in ((0, 0), (1, 1), (2, 0)):
        clips = enumerate(to_float32(corpus.waveforms("train")))
        keyed = (((7, copy, number), clip) for number, clip in clips)
        waves = np.stack(
            [augment_waveform(clip, corpus.noise, AUGMENT, key, 8_000)[0] for key, clip in keyed]
        )
        vectors = make().augmented_vectors(embedding(SAMPLES), epoch)
        np.testing.assert_array_equal(vectors, by_hand(waves))
    plain = make(Augment(copies=0))
    np.testing.assert_array_equal(
        plain.augmented_vectors(embedding(SAMPLES), 1), plain.vectors(embedding(SAMPLES), "train")
    )


def test_clips_are_resampled_to_the_rate_of_the_embedding(make: Make, corpus: Corpus) -> None:
    double = embedding(2 * SAMPLES, 16_000)
    seconds = np.arange(SAMPLES) / 8_000
    tone = (0.3 * np.sin(2 * np.pi * 300 * seconds)).astype(np.float32)
    fine = 0.3 * np.sin(2 * np.pi * 300 * np.arange(2 * SAMPLES) / 16_000)
    session = onnxruntime.InferenceSession(double.model)
    expected = session.run(None, {"audio": fine.astype(np.float32)[None]})[0]
    (got,) = waveforms.runner(double, 8_000)(tone[None])
    np.testing.assert_allclose(got, expected[0], rtol=0.02)
    assert make().vectors(double, "dev").shape == (len(corpus.splits["dev"]), 4)


def test_what_is_cached_is_not_computed_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    before = make().vectors(embedding(SAMPLES), "train")

    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(waveforms, "runner", fail)
    np.testing.assert_array_equal(make().vectors(embedding(SAMPLES), "train"), before)
    with pytest.raises(AssertionError):
        make().vectors(embedding(SAMPLES), "dev")


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """A folder with a second in FLAC, a short OGG at 16 kHz, silence, and no audio."""
    folder = tmp_path / "speech" / "reader"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(1).normal(0, 0.1, 8_000)
    soundfile.write(folder / "a.flac", noise, 8_000)
    soundfile.write(folder / "b.ogg", noise[:3_000], 16_000)
    soundfile.write(folder / "c.wav", np.zeros(5_000), 8_000)
    (folder / "text.txt").write_text("words")
    return folder.parent


def test_unlabelled_recordings_are_cut_into_windows(
    make: Make, speech: Path, small: FrontEnd
) -> None:
    features = make().unlabelled([speech])
    assert features.shape == (4, 20, 28)  # of 8,000 samples three, the short one, no silence
    wave, _ = soundfile.read(speech / "reader" / "a.flac", dtype="float32")
    for window, start in enumerate((0, 2_000, 4_000)):
        log_mels = (log_mel(wave[start : start + SAMPLES], small) + 3) / 2
        np.testing.assert_allclose(features[window], log_mels, atol=5e-3)
    vectors = make().unlabelled_vectors(embedding(SAMPLES), [speech])
    starts = (0, 2_000, 4_000)
    expected = by_hand(np.stack([wave[start : start + SAMPLES] for start in starts]))
    np.testing.assert_array_equal(vectors[:3], expected)
    assert vectors.shape == (4, 4)


def test_each_recording_counts_once(make: Make, speech: Path) -> None:
    file = speech / "reader" / "a.flac"
    assert len(make().unlabelled([file, speech, file])) == 4


def test_a_recording_that_is_held_out_is_refused(
    make: Make, corpus: Corpus, listing: Listing, speech: Path
) -> None:
    clips = {clip.split: clip.path for clip in listing.clips if clip.label == "yes"}
    make().unlabelled([clips["train"]])
    with pytest.raises(DataError, match=r"4\.wav: is a recording of dev; .* speech: take it out$"):
        make().unlabelled([speech, clips["dev"]])
    copy = speech / "copy.wav"
    shutil.copyfile(clips["test"], copy)
    with pytest.raises(DataError, match=r"copy\.wav: is a copy of .*, a recording of test"):
        make().unlabelled([speech])
    copy.unlink()
    negative = Clip(speech / "reader" / "a.flac", "_unknown_", "reader", "dev")
    held_out = replace(corpus, negatives=(negative,))
    with pytest.raises(DataError, match=r"a\.flac: is a recording of dev"):
        make(corpus=held_out).unlabelled([speech])
    make(corpus=replace(corpus, negatives=(replace(negative, split="train"),))).unlabelled([speech])


def test_recordings_that_are_not_there(make: Make, tmp_path: Path, speech: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"nowhere: no such file or folder \(unlabelled\)"):
        make().unlabelled([tmp_path / "nowhere"])
    with pytest.raises(DataError, match=r"empty: holds no recordings \(unlabelled\)"):
        make().unlabelled([tmp_path / "empty"])
    with pytest.raises(DataError, match=r"c\.wav: silent, and so is everything else"):
        make().unlabelled([speech / "reader" / "c.wav"])
