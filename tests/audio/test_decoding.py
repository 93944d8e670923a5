"""Clips are read once, audited, and kept; nothing leaks and nothing is lost without a word."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgekws.audio import audit, decoding
from edgekws.audio.decoding import decode, to_float32, to_int16
from edgekws.audio.reading import read_audio
from edgekws.core.corpus import SPLITS, Clip, Listing
from edgekws.core.events import Event, quiet
from edgekws.errors import DataError, MachineError
from edgekws.runtime.detect import fit_window
from edgekws.runtime.front_end import FrontEnd


def _with(listing: Listing, *clips: Clip) -> Listing:
    return replace(listing, clips=(*listing.clips, *clips))


def test_arrays_hold_the_clips_in_order(listing: Listing, small: FrontEnd, tmp_path: Path) -> None:
    corpus = decode(listing, small, tmp_path / "cache", quiet)
    assert {split: len(corpus.splits[split]) for split in SPLITS} == {
        "train": 9,
        "dev": 3,
        "test": 3,
    }
    for split in SPLITS:
        waves = corpus.waveforms(split)
        assert waves.shape == (len(corpus.splits[split]), 4_000)
        for clip, wave in zip(corpus.splits[split], waves, strict=True):
            expected = fit_window(read_audio(clip.path, 8_000, clip.start_s, clip.end_s), 4_000)
            np.testing.assert_array_equal(to_float32(wave), expected)
    assert [len(noise) for noise in corpus.noise] == [12_000, 12_000]
    np.testing.assert_array_equal(corpus.noise[1], read_audio(listing.noise[1], 8_000))
    assert (corpus.rejected, corpus.notes) == ((), ("made for a test",))


def test_second_time_reads_no_audio(
    listing: Listing, small: FrontEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []
    first = decode(listing, small, tmp_path / "cache", events.append)
    assert {event.text for event in events} == {
        "reading audio",
        "searching for copies",
        "reading noise",
    }
    assert events[-1].done == events[-1].total
    monkeypatch.setattr(decoding, "read_audio", None)
    again = decode(listing, small, tmp_path / "cache", quiet)
    assert again.fingerprint == first.fingerprint
    np.testing.assert_array_equal(again.waveforms("train"), first.waveforms("train"))


def test_fingerprint_is_that_of_content(listing: Listing, small: FrontEnd, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(tmp_path / "audio", moved)

    def move(path: Path) -> Path:
        return moved / path.relative_to(tmp_path / "audio")

    other = Listing(
        listing.labels,
        tuple(replace(clip, path=move(clip.path)) for clip in listing.clips),
        tuple(move(path) for path in listing.noise),
    )
    cache = tmp_path / "cache"
    fingerprint = decode(listing, small, cache, quiet).fingerprint
    assert decode(other, small, cache, quiet).fingerprint == fingerprint
    wave, _ = soundfile.read(other.clips[0].path, dtype="int16")
    wave[100] += 1
    soundfile.write(other.clips[0].path, wave, 8_000)
    assert decode(other, small, cache, quiet).fingerprint != fingerprint
    assert decode(replace(listing, noise=()), small, cache, quiet).fingerprint != fingerprint


def test_a_touched_file_is_read_again(listing: Listing, small: FrontEnd, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    before = decode(listing, small, cache, quiet)
    os.utime(listing.clips[0].path, ns=(0, 0))
    after = decode(listing, small, cache, quiet)
    assert after.folder != before.folder
    assert after.fingerprint == before.fingerprint


def test_bad_clips_are_left_out_and_told(
    listing: Listing, small: FrontEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MAX_UNREADABLE", 0.2)
    audio, first = tmp_path / "audio", listing.clips[0]
    soundfile.write(audio / "silent.wav", np.full(4_000, 5e-4), 8_000)
    shutil.copy(first.path, audio / "copy.wav")
    (audio / "broken.wav").write_text("no audio")
    bad = _with(
        listing,
        Clip(audio / "silent.wav", "no", "speaker 0", "train"),
        Clip(first.path, "no", "speaker 0", "train", 5.0, 6.0),
        Clip(audio / "broken.wav", "no", "speaker 0", "train"),
        Clip(audio / "copy.wav", "yes", "speaker 5", "test"),
        Clip(audio / "silent.wav", "_silence_", None, "train"),
        listing.clips[-3],
    )
    events: list[Event] = []
    corpus = decode(bad, small, tmp_path / "cache", events.append)
    assert [(r.reason, r.path.name, r.split) for r in corpus.rejected] == [
        ("duplicate", "0.wav", "train"),  # the one in test stays
        ("silent", "silent.wav", "train"),
        ("empty", "0.wav", "train"),
        ("unreadable", "broken.wav", "train"),
    ]
    assert "copy.wav (yes, test)" in corpus.rejected[0].detail
    warning = "4 clips of 3 recordings left out: 1 duplicate, 1 silent, 1 empty, 1 unreadable"
    assert [event.text for event in events if event.kind == "warning"] == [warning]
    assert len(corpus.splits["train"]) == 8 + 2
    for clip, wave in zip(corpus.splits["train"], corpus.waveforms("train"), strict=True):
        expected = fit_window(read_audio(clip.path, 8_000, clip.start_s, clip.end_s), 4_000)
        np.testing.assert_array_equal(wave, to_int16(expected))


def test_too_many_unreadable(listing: Listing, small: FrontEnd, tmp_path: Path) -> None:
    path = tmp_path / "audio" / "gone.wav"
    message = r"1 of 16 clips cannot be read .*\n.*gone\.wav: no such file"
    with pytest.raises(DataError, match=message):
        decode(_with(listing, Clip(path, "no", None, "train")), small, tmp_path / "cache", quiet)
    left = list((tmp_path / "cache" / "waveforms").iterdir())
    assert [path.suffix for path in left] == [".lock"]


def _leak(listing: Listing) -> Listing:
    return _with(listing, replace(listing.clips[2], split="test"))


def _no_dev(listing: Listing) -> Listing:
    clips = tuple(c for c in listing.clips if (c.label, c.split) != ("yes", "dev"))
    return replace(listing, clips=clips)


def _unlisted(listing: Listing) -> Listing:
    return replace(listing, labels=("no", "_silence_"))


def _empty_noise(listing: Listing) -> Listing:
    path = listing.noise[0].with_name("empty.wav")
    soundfile.write(path, np.zeros(0), 8_000)
    return replace(listing, noise=(*listing.noise, path))


def _only_silent_dev(listing: Listing) -> Listing:
    path = listing.noise[0].with_name("zeros.wav")
    soundfile.write(path, np.zeros(4_000), 8_000)
    return _with(_no_dev(listing), Clip(path, "yes", "speaker 4", "dev"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_leak, r"speaker 1 is in two splits: .*1\.wav in train, .*1\.wav in test; keep all"),
        (_no_dev, r"no usable clip for yes \(dev\); add recordings"),
        (_only_silent_dev, r"no usable clip for yes \(dev\); add recordings"),
        (_unlisted, r"0\.wav: label yes is not one of"),
        (_empty_noise, r"empty\.wav: holds no audio; leave it out of the noise"),
    ],
)
def test_refused(
    spoil: Callable[[Listing], Listing],
    message: str,
    listing: Listing,
    small: FrontEnd,
    tmp_path: Path,
) -> None:
    with pytest.raises(DataError, match=message):
        decode(spoil(listing), small, tmp_path / "cache", quiet)


def test_cache_that_cannot_be_written(listing: Listing, small: FrontEnd, tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(MachineError, match="EDGEKWS_CACHE"):
        decode(listing, small, tmp_path / "cache", quiet)


def test_int16_is_lossless_for_16_bit_files() -> None:
    every = np.arange(-32768, 32768).astype(np.int16)
    np.testing.assert_array_equal(to_int16(to_float32(every)), every)
    assert to_int16(np.array([2.0, -2.0], np.float32)).tolist() == [32767, -32768]
