"""A window of a longer recording gets the state of the stream that leads to it."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edgekws.audio import decoding
from edgekws.audio.augmentation import Augment, Noise, augment_waveform
from edgekws.audio.decoding import Corpus, decode, to_float32
from edgekws.audio.features import Features
from edgekws.audio.front_ends import clip_features, features, recording_features
from edgekws.audio.reading import read_audio
from edgekws.audio.rendering import augmented, clean, streams
from edgekws.audio.room import Room
from edgekws.audio.run_in import run_in_samples
from edgekws.audio.unlabelled import Windows, write
from edgekws.core.canonical import sha256_of
from edgekws.core.corpus import Clip, Listing
from edgekws.core.events import quiet
from edgekws.runtime.front_end import MICRO_PARAMETERS, MICROFRONTEND, FrontEnd
from edgekws.runtime.micro_front_end import HOP, RUN_IN, SCALE, MicroFrontEnd

RATE = 16_000
RUNNING, PCEN = FrontEnd(mean="running"), FrontEnd(compression="pcen")
MICRO = FrontEnd(kind=MICROFRONTEND, **MICRO_PARAMETERS)
LABEL = "слово"


def speech(seconds: float, seed: int) -> NDArray[np.int16]:
    """Return noise that comes and goes."""
    samples = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    swell = 1.1 + np.sin(np.arange(len(samples)) * 2 * np.pi / 7_000)
    return np.asarray(samples * swell * 2_000, np.int16)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "long.wav", speech(5.0, 0), RATE)
    soundfile.write(tmp_path / "dev.wav", speech(3.0, 1), RATE)
    return tmp_path / "long.wav"


def corpus_of(clips: list[Clip], cache: Path, front_end: FrontEnd = MICRO) -> Corpus:
    held_out = Clip(clips[0].path.parent / "dev.wav", LABEL, "d", "dev", 1.5, 2.5)
    return decode(Listing((LABEL,), (*clips, held_out)), front_end, cache, quiet)


def clip_at(path: Path, start_s: float, end_s: float | None = None, **fields: Any) -> Clip:
    return Clip(path, LABEL, "t", "train", start_s, end_s or start_s + 1, **fields)


def test_features_are_those_of_the_stream(recording: Path, tmp_path: Path) -> None:
    clips = [clip_at(recording, 1.0), clip_at(recording, 2.5), clip_at(recording, 0.4)]
    corpus = corpus_of(clips, tmp_path / "cache")
    data = Features(corpus, MICRO, Augment(copies=0), 7, tmp_path / "cache", quiet)
    samples = speech(5.0, 0)
    first_two = data.examples("train").features[:2]
    for clip, computed in zip(clips[:2], first_two, strict=True):
        first, last = round(clip.start_s * RATE) - RUN_IN * HOP, round(clip.start_s * RATE) + RATE
        expected = MicroFrontEnd().feed(samples[first:last])[RUN_IN:].T * SCALE
        np.testing.assert_array_equal(computed, expected.astype(np.float32))
    # what is missing of a run-in is played backwards
    known = samples[: round(1.4 * RATE)]
    stream = np.concatenate([known[round(0.6 * RATE) - 1 :: -1], known])
    expected = MicroFrontEnd().feed(stream)[RUN_IN:].T * SCALE
    np.testing.assert_array_equal(data.examples("train").features[2], expected.astype(np.float32))
    lone = clip_features(to_float32(corpus.waveforms("train")[1]), MICRO)
    assert np.abs(data.examples("train").features[1] - lone).mean() > 0.1
    assert corpus.before == {"train": (RATE, RATE, 6_400), "dev": (RATE,), "test": ()}
    assert data.examples("dev").features.shape == (1, 40, MICRO.n_frames)


@pytest.mark.parametrize("front_end", [RUNNING, PCEN], ids=["running mean", "pcen"])
def test_a_running_mean_is_that_of_the_stream(
    recording: Path, tmp_path: Path, front_end: FrontEnd
) -> None:
    clips = [clip_at(recording, 2.5), clip_at(recording, 0.4), clip_at(recording, 0.0)]
    corpus = corpus_of(clips, tmp_path / "cache", front_end)
    data = Features(corpus, front_end, Augment(copies=0), 7, tmp_path / "cache", quiet)
    past = run_in_samples(front_end)
    samples = np.concatenate([np.zeros(past - 6_400), to_float32(speech(5.0, 0))])
    parts = [samples[-round(2.5 * RATE) - past :][: past + RATE], samples[: past + RATE]]
    parts.append(samples[past - 6_400 :][:RATE])
    mean, std = (np.array(x)[:, None] for x in (data.normalization.mean, data.normalization.std))
    for part, computed in zip(parts, data.examples("train").features, strict=True):
        (stream,) = recording_features([part.astype(np.float32)], front_end)
        expected = (stream[:, -front_end.n_frames :] - mean) / std
        np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-4)
    assert corpus.before["train"] == (past, 6_400, 0)
    assert set(streams(corpus, "train", front_end)) == {0, 1}


def test_what_a_mean_of_the_past_needs() -> None:
    """Three time constants, at most 2 s, in whole hops."""
    pasts = {
        RUNNING: 2.0,
        FrontEnd(mean="running", mean_seconds=0.5): 1.5,
        FrontEnd(mean="running", mean_seconds=0.5, hop_length=320): 1.5,
        PCEN: 1.2,
        MICRO: 1.0,
        FrontEnd(mean="clip"): 0.0,
    }
    assert {front_end: run_in_samples(front_end) / RATE for front_end in pasts} == pasts
    assert run_in_samples(FrontEnd(mean="running", hop_length=300)) == 107 * 300


def test_the_past_is_that_of_the_window_in_the_clip(recording: Path, tmp_path: Path) -> None:
    """A long clip's window is its loudest part, and a short one's begins before the clip."""
    samples = speech(5.0, 0)
    samples[24_000:40_000] = 20_000 * (-1) ** np.arange(16_000)
    soundfile.write(recording, samples, RATE)
    clips = [
        clip_at(recording, 0.75, 3.0),
        clip_at(recording, 3.0, 3.5),
        clip_at(recording, 0.1, 0.5),
    ]
    corpus = corpus_of(clips, tmp_path / "cache")
    long, short, early = corpus.stretches("train", slice(None))
    np.testing.assert_array_equal(long, samples[8_000:40_000])
    np.testing.assert_array_equal(short[:RATE], samples[28_000:44_000])
    assert not short[RATE : RATE + 4_000].any()
    assert len(early) == RATE


def test_rejected_clips_leave_no_gap(recording: Path, tmp_path: Path) -> None:
    clips = [clip_at(recording, 1.0), clip_at(recording, 1.0), clip_at(recording, 3.0)]
    corpus = corpus_of(clips, tmp_path / "cache")
    assert [rejected.reason for rejected in corpus.rejected] == ["duplicate"]
    samples = speech(5.0, 0)
    for clip, stretch in zip(
        corpus.splits["train"], corpus.stretches("train", slice(None)), strict=True
    ):
        end = round((clip.start_s + 1) * RATE)
        np.testing.assert_array_equal(stretch, samples[end - 2 * RATE : end])


def test_the_past_belongs_to_the_identity(recording: Path, tmp_path: Path) -> None:
    before = corpus_of([clip_at(recording, 2.0)], tmp_path / "a").fingerprint
    samples = speech(5.0, 0)
    samples[20_000] += 1
    soundfile.write(recording, samples, RATE)
    assert corpus_of([clip_at(recording, 2.0)], tmp_path / "b").fingerprint != before
    plain = [corpus_of([clip_at(recording, 2.0)], tmp_path / "c", FrontEnd()).fingerprint]
    soundfile.write(recording, speech(5.0, 0), RATE)
    plain.append(corpus_of([clip_at(recording, 2.0)], tmp_path / "d", FrontEnd()).fingerprint)
    assert plain[0] == plain[1]


def test_log_mel_has_no_past(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[Any] = []

    def kept(value: Any) -> str:
        keys.append(value)
        return sha256_of(value)

    monkeypatch.setattr(decoding, "sha256_of", kept)
    clips = [clip_at(recording, 1.5), clip_at(recording, 3.0)]
    corpus = corpus_of(clips, tmp_path / "cache", FrontEnd())
    known = {"rows", "labels", "noise", "sample_rate", "window_samples", "versions", "code"}
    assert [set(key) for key in keys] == [
        known | {"near_copies"},
        {"labels", "window_samples", "clips", "noise"},
    ]
    assert (corpus.folder / "train.i16").stat().st_size == 2 * 2 * RATE
    data = Features(corpus, FrontEnd(), Augment(copies=1), 7, tmp_path / "cache", quiet)
    windows = to_float32(corpus.waveforms("train"))
    mean, std = (np.array(x)[:, None] for x in (data.normalization.mean, data.normalization.std))
    scale, offset = (1 / std).astype(np.float32), (-mean / std).astype(np.float32)
    expected = features(windows, FrontEnd()) * scale + offset
    np.testing.assert_array_equal(data.examples("train").features, expected)
    key, rate = (7, 0, 1), RATE
    assert np.array_equal(
        augmented(corpus, Augment(), 7, 0, slice(1, 2), rate)[0],
        augment_waveform(windows[1], (), Augment(), key, rate)[0],
    )
    assert not streams(corpus, "train", FrontEnd())


def past_and_clip(**options: Any) -> NDArray[np.float32]:
    """Return a click just before the clip, augmented."""
    wave = np.zeros(2 * RATE, np.float32)
    wave[RATE - 100] = 0.5
    augment = Augment(**{"time_shift_ms": 0.0, "gain_db": (0.0, 0.0)} | options)
    return augment_waveform(wave, (), augment, (1, 2, 3), RATE, RATE)[0]


def test_the_past_is_augmented_like_the_clip() -> None:
    assert past_and_clip(gain_db=(-6.0, -6.0))[RATE - 100] == pytest.approx(0.5 * 10 ** (-6 / 20))
    assert np.abs(past_and_clip()[RATE:]).max() == 0
    assert np.abs(past_and_clip(room=Room(probability=1))[RATE : RATE + 2_000]).max() > 1e-3
    shifted = past_and_clip(time_shift_ms=500.0)
    (place,) = np.flatnonzero(shifted)
    assert place != RATE - 100
    assert place == RATE - 100 + int(np.random.default_rng((1, 2, 3)).integers(-8_000, 8_001))


def test_noise_is_relative_to_the_clip() -> None:
    wave = to_float32(speech(2.0, 3))
    wave[:RATE] *= 4
    augment = Augment(time_shift_ms=0, gain_db=(0, 0), noise=Noise(probability=1, snr_db=(6, 6)))
    noise = augment_waveform(wave, (), augment, (1, 2, 3), RATE, RATE)[0] - wave
    snr = np.square(wave[RATE:]).mean() / np.square(noise[RATE:]).mean()
    assert 10 * np.log10(snr) == pytest.approx(6, abs=0.01)
    assert np.std(noise[:RATE]) == pytest.approx(np.std(noise[RATE:]), rel=0.2)


def test_samples_that_speed_leaves_empty_are_no_past(recording: Path, tmp_path: Path) -> None:
    corpus = corpus_of([clip_at(recording, 1.0), clip_at(recording, 0.2)], tmp_path / "cache")
    quick = Augment(time_shift_ms=0, gain_db=(0, 0), speed=(1.25, 1.25))
    full, short = augmented(corpus, quick, 7, 0, slice(0, 2), RATE)
    # of the 3 s around the clip, 0.3 s are left empty at each end; of 1.4 s, 0.14 s
    assert (len(full), len(short)) == (RATE + 11_200, RATE + 960)
    assert np.abs(full[:20]).max() > 0
    slow = quick.model_copy(update={"speed": (0.8, 0.8)})
    assert len(augmented(corpus, slow, 7, 0, slice(0, 1), RATE)[0]) == 2 * RATE


def test_the_clip_stays_in_place() -> None:
    pulse = np.zeros(2 * RATE, np.float32)
    pulse[RATE + 4_000 : RATE + 4_400] = 0.9 * np.hanning(400)
    for speed in (0.85, 1.0, 1.18):
        augment = Augment(time_shift_ms=0, gain_db=(0, 0), speed=(speed, speed))
        out, _ = augment_waveform(pulse, (), augment, (1, 2, 3), RATE, RATE)
        alone, _ = augment_waveform(pulse[RATE:], (), augment, (1, 2, 3), RATE)
        np.testing.assert_allclose(out[RATE:], alone, atol=0.01)  # half a sample


def test_unlabelled_windows_have_the_past_of_their_recording(tmp_path: Path) -> None:
    paths = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for seed, path in enumerate(paths):
        soundfile.write(path, speech(2.5, seed), RATE)
    write(paths, MICRO, tmp_path, quiet)
    windows = Windows(tmp_path, RATE)
    stretches = windows.stretches(slice(0, 8), RATE)
    assert [len(stretch) / RATE for stretch in stretches] == [1, 1.5, 2, 2, 1, 1.5, 2, 2]
    for stretch, window in zip(stretches, windows.waveforms(slice(0, 8)), strict=True):
        np.testing.assert_array_equal(stretch[-RATE:], window)
    np.testing.assert_array_equal(stretches[-1], to_float32(speech(2.5, 1))[8_000:])


def test_real_windows_come_near_the_whole_recording(shared_data: Path, tmp_path: Path) -> None:
    """After 1 s, 8 % of the first state is left in the noise that the even channels estimate.

    A step is 10/256.
    """
    folder = shared_data / "wuw2"
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        spoken = [row for row in csv.DictReader(file) if row["kind"] == "sentence"]
    late = [row for row in spoken if float(row["start_s"]) > 2][::30]
    clips = [clip_at(folder / row["file"], round(float(row["start_s"]) - 0.1, 2)) for row in late]
    held_out = replace(clips[-1], split="dev", speaker="d")
    corpus = decode(Listing((LABEL,), (*clips[:-1], held_out)), MICRO, tmp_path, quiet)
    errors = []
    for clip, stretch in zip(clips[:-1], clean(corpus, "train", slice(None)), strict=True):
        whole = recording_features([read_audio(clip.path, RATE)], MICRO)
        first = round(100 * clip.start_s)
        part = np.concatenate(list(whole), axis=1)[:, first : first + MICRO.n_frames]
        waves = stretch, stretch[-RATE:]
        errors.append(
            [
                np.abs(clip_features(wave, MICRO)[:, : part.shape[1]] - part).mean() / SCALE
                for wave in waves
            ]
        )
    with_past, lone = np.mean(errors, axis=0)
    assert len(errors) == 11
    assert with_past < 6
    assert lone > 4 * with_past
