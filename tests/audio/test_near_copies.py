"""One recording in two splits is found however it was made over, and two recordings are not one."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from edgekws.audio.decoding import decode
from edgekws.audio.near_copies import near_copies, prints
from edgekws.core.contract import SILENCE
from edgekws.core.corpus import Clip, Listing, Split
from edgekws.core.events import quiet
from edgekws.errors import DataError
from edgekws.runtime.front_end import FrontEnd

Wave = NDArray[np.float32]
RATE = 16_000
TWO: tuple[Split, ...] = ("train", "dev")
FRONT_END = FrontEnd()


def shifted(wave: Wave, ms: int) -> Wave:
    return np.pad(wave, (ms * RATE // 1000, 0))[: len(wave)]


def encoded(wave: Wave, form: str, subtype: str) -> Wave:
    file = io.BytesIO()
    soundfile.write(file, wave, RATE, format=form, subtype=subtype)
    file.seek(0)
    return np.asarray(soundfile.read(file, dtype="float32")[0])[: len(wave)]


def noisy(wave: Wave, snr_db: float) -> Wave:
    noise = np.random.default_rng(0).standard_normal(len(wave)).astype(np.float32)
    noisy: NDArray[np.float32] = wave + noise * np.sqrt(np.mean(wave**2)) * np.float32(
        10 ** (-snr_db / 20)
    )
    return noisy


def narrowed(wave: Wave) -> Wave:
    return np.asarray(soxr.resample(soxr.resample(wave, RATE, 8_000), 8_000, RATE))


MADE_OVER: dict[str, Callable[[Wave], Wave]] = {
    "gain 0.9": lambda wave: np.float32(0.9) * wave,
    "gain 0.3": lambda wave: np.float32(0.3) * wave,
    "10 ms": lambda wave: shifted(wave, 10),
    "50 ms": lambda wave: shifted(wave, 50),
    "vorbis": lambda wave: encoded(wave, "OGG", "VORBIS"),
    "opus": lambda wave: encoded(wave, "OGG", "OPUS"),
    "mp3": lambda wave: encoded(wave, "MP3", "MPEG_LAYER_III"),
    "30 dB": lambda wave: noisy(wave, 30),
    "8 kHz": narrowed,
    "all": lambda wave: shifted(encoded(noisy(np.float32(0.5) * wave, 30), "OGG", "VORBIS"), 30),
}


def as_int16(wave: Wave) -> NDArray[np.int16]:
    fitted = np.pad(wave, (0, max(RATE - len(wave), 0)))[:RATE]
    return np.clip(np.rint(fitted * 32768), -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("name", MADE_OVER)
def test_a_recording_made_over_is_found_and_no_other(name: str, speech: Wave) -> None:
    copies = [as_int16(MADE_OVER[name](wave)) for wave in speech]
    waves = [*map(as_int16, speech), *copies]
    splits = ["test"] * len(speech) + ["train"] * len(speech)
    found = near_copies(waves, splits, RATE, quiet)
    assert found == [(i, i + len(speech)) for i in range(len(speech))]


def test_a_split_may_repeat_itself_and_silence_is_like_nothing() -> None:
    noise = np.random.default_rng(2).integers(-9_000, 9_000, (2, RATE)).astype(np.int16)
    nothing = np.zeros(RATE, np.int16)
    waves = [noise[0], noise[0], noise[1], nothing, nothing]
    assert near_copies(waves, ["dev", "dev", "test", "train", "test"], RATE, quiet) == []
    assert near_copies([], [], RATE, quiet) == []
    assert not prints(nothing[None], RATE).any()


def test_every_pair_of_splits_is_compared() -> None:
    random = np.random.default_rng(3)
    wave = random.integers(-9_000, 9_000, RATE).astype(np.int16)
    waves = [random.integers(-9_000, 9_000, RATE).astype(np.int16) for _ in range(600)]
    splits = [("train", "dev", "test")[i % 3] for i in range(600)]
    waves[0], waves[400], waves[599] = wave, wave // 2, wave // 3
    assert near_copies(waves, splits, RATE, quiet) == [(0, 400), (0, 599), (400, 599)]


@pytest.fixture
def leaking(tmp_path: Path) -> Listing:
    """One word by a speaker a split; the second take in test is one of train made quieter."""
    random = np.random.default_rng(4)
    clips = []
    for split in ("train", "dev", "test"):
        for take in range(2):
            path = tmp_path / split / f"{take}.wav"
            path.parent.mkdir(exist_ok=True)
            wave = random.uniform(-0.3, 0.3, RATE).astype(np.float32)
            soundfile.write(path, wave, RATE)
            clips.append(Clip(path, "да", split, split))
    wave, _ = soundfile.read(clips[0].path)
    soundfile.write(clips[-1].path, 0.7 * np.roll(wave, 160), RATE)
    return Listing(("да",), tuple(clips))


def test_a_near_copy_in_another_split_is_refused(leaking: Listing, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        decode(leaking, FRONT_END, tmp_path / "cache", quiet)
    text = str(caught.value)
    assert text.startswith("2 clips in two splits are near-copies of one recording:\n")
    assert f"{tmp_path}/train/0.wav (да, train) and {tmp_path}/test/1.wav (да, test)" in text
    assert "remove one of each pair, or put both into one split" in text
    assert not list((tmp_path / "cache").rglob("outcome.json"))


def test_pairs_are_counted_and_the_first_listed(leaking: Listing, tmp_path: Path) -> None:
    wave, _ = soundfile.read(leaking.clips[0].path)
    clips = list(leaking.clips)
    for take in range(2, 9):
        path = tmp_path / "dev" / f"{take}.wav"
        soundfile.write(path, wave * (0.1 * take), RATE)
        clips.append(Clip(path, "да", "dev", "dev"))
    listing = replace(leaking, clips=tuple(clips))
    with pytest.raises(DataError, match=r"^15 pairs of clips in two splits") as caught:
        decode(listing, FRONT_END, tmp_path / "cache", quiet)
    assert str(caught.value).count(" and /") == 5
    assert "\n  and 10 more\n" in str(caught.value)


def test_the_clip_nearer_to_train_is_left_out_where_asked(leaking: Listing, tmp_path: Path) -> None:
    listing = replace(leaking, near_copies="leave_out")
    corpus = decode(listing, FRONT_END, tmp_path / "cache", quiet)
    (rejected,) = corpus.rejected
    assert (rejected.path, rejected.reason) == (leaking.clips[0].path, "duplicate")
    assert rejected.detail == f"near-copy of {leaking.clips[-1].path} (да, test)"
    assert [len(corpus.splits[split]) for split in corpus.splits] == [1, 2, 2]
    kept, _ = soundfile.read(leaking.clips[1].path, dtype="int16")
    np.testing.assert_array_equal(corpus.waveforms("train"), kept[None])
    with pytest.raises(DataError, match="near-copies of one recording"):
        decode(leaking, FRONT_END, tmp_path / "cache", quiet)


def test_silence_may_be_cut_twice(leaking: Listing, tmp_path: Path) -> None:
    quietened = [replace(clip, label=SILENCE, speaker=None) for clip in leaking.clips[4:]]
    extra = [replace(quietened[0], split=split) for split in TWO]
    clips = (*leaking.clips[:4], *quietened, *extra)
    decode(Listing(("да", SILENCE), clips), FRONT_END, tmp_path / "cache", quiet)
