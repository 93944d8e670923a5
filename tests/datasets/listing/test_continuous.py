"""Windows as in continuous speech: how many, of what, labelled as what, and the same again."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgekws.audio.composition import rms
from edgekws.audio.reading import read_audio
from edgekws.audio.run_in import read_before
from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import Clip, Listing, Split
from edgekws.core.events import quiet
from edgekws.datasets.listing.continuous import Continuous, with_windows
from edgekws.runtime.front_end import FrontEnd

RATE = 16_000
FRONT_END = FrontEnd()
LOW, HIGH = 300.0, 2000.0


def tone(path: Path, hertz: float, seconds: float, size_s: float, level: float = 0.3) -> Path:
    """Write a tone in the middle of faint noise."""
    wave = 0.0005 * np.random.default_rng(0).standard_normal(round(size_s * RATE))
    count, start = round(seconds * RATE), round((size_s - seconds) / 2 * RATE)
    wave[start : start + count] += level * np.sin(np.arange(count) * 2 * np.pi * hertz / RATE)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, RATE)
    return path


def share_at(wave: np.ndarray, hertz: float) -> float:
    """Return the share of the power within 50 Hz of a frequency."""
    power = np.square(np.abs(np.fft.rfft(wave * np.hanning(len(wave)))))
    near = np.abs(np.fft.rfftfreq(len(wave), 1 / RATE) - hertz) < 50
    return float(power[near].sum() / power.sum())


@pytest.fixture
def listing(tmp_path: Path) -> Listing:
    """Return keywords of a low tone, and speech of a high one, of ten speakers a split."""
    clips, negatives = [], []
    splits: tuple[Split, ...] = ("train", "dev", "test")
    for split in splits:
        for n in range(10):
            word = tone(tmp_path / split / f"w{n}.wav", LOW, 0.4, 1.0)
            other = tone(tmp_path / split / f"o{n}.wav", HIGH, 0.4, 1.0)
            talk = tone(tmp_path / split / f"t{n}.wav", HIGH, 7.9, 8.0)
            clips += [Clip(word, "hey", f"{split}{n}", split)]
            clips += [Clip(other, UNKNOWN, f"{split}{n}", split)]
            negatives.append(Clip(talk, UNKNOWN, f"{split}{n}", split))
    labels = ("hey", UNKNOWN, SILENCE)
    return Listing(labels, tuple(clips), (), ("a note",), negatives=tuple(negatives))


def added(
    listing: Listing,
    folder: Path,
    wanted: dict[str, float],
    seed: int = 1,
    front_end: FrontEnd = FRONT_END,
) -> list[Clip]:
    made = with_windows(listing, Continuous(**wanted), front_end, seed, folder, quiet)
    assert made.clips[: len(listing.clips)] == listing.clips
    return list(made.clips[len(listing.clips) :])


def waves(clips: list[Clip]) -> list[np.ndarray]:
    found = [read_audio(c.path, RATE, c.start_s, c.end_s) for c in clips]
    assert {len(wave) for wave in found} == {RATE}
    return found


NOTHING = {"per_speech_second": 0.0, "partial": 0.0, "pairs": 0.0, "in_speech": 0.0}


def test_only_train_gets_windows_and_the_recordings_stay_listed(
    listing: Listing, tmp_path: Path
) -> None:
    made = with_windows(listing, Continuous(), FRONT_END, 1, tmp_path / "cache", quiet)
    new = made.clips[len(listing.clips) :]
    assert {clip.split for clip in new} == {"train"}
    assert Counter(clip.label for clip in new) == {"hey": 5, UNKNOWN: 40 + 4 + 1}
    assert {clip.speaker for clip in new} <= {f"train{n}" for n in range(10)}
    assert made.recordings == listing.clips
    assert made.notes == (
        "a note",
        "training windows as in continuous speech: 40 of speech, 4 with part of a keyword, 1 with "
        "parts of two, 5 with a keyword inside speech",
    )


def test_speech_is_speech(listing: Listing, tmp_path: Path) -> None:
    new = added(listing, tmp_path / "cache", NOTHING | {"per_speech_second": 1.5})
    assert len(new) == 120
    assert {clip.label for clip in new} == {UNKNOWN}
    assert all(share_at(wave, HIGH) > 0.9 for wave in waves(new))
    places = [(clip.path, clip.start_s) for clip in new]
    assert len(set(places)) == len(places)
    assert all(0 <= clip.start_s <= 7.001 for clip in new)


def test_part_of_a_keyword_is_unknown(listing: Listing, tmp_path: Path) -> None:
    new = added(listing, tmp_path / "cache", NOTHING | {"partial": 10})
    assert [clip.label for clip in new] == [UNKNOWN] * 100
    lengths = []
    for wave in waves(new):
        pieces = wave[: RATE - RATE % 160].reshape(-1, 160)
        low = [share_at(piece, LOW) > 0.4 and rms(piece) > 0.05 for piece in pieces]
        assert low[0] or low[-1] or low[1] or low[-2]
        lengths.append(sum(low) / 100)
    assert 0.08 <= min(lengths) < 0.14
    assert 0.18 < max(lengths) <= 0.26  # half of 0.4 s and its margins


def test_the_parts_of_two_stand_at_both_ends(listing: Listing, tmp_path: Path) -> None:
    new = added(listing, tmp_path / "cache", NOTHING | {"pairs": 2})
    assert [clip.label for clip in new] == [UNKNOWN] * 20
    for wave in waves(new):
        assert share_at(wave[:1500], LOW) > 0.8
        assert share_at(wave[-1500:], LOW) > 0.8
        assert rms(wave[7000:9000]) < 0.01


def test_a_keyword_inside_speech_is_whole_and_keeps_its_label(
    listing: Listing, tmp_path: Path
) -> None:
    new = added(listing, tmp_path / "cache", NOTHING | {"in_speech": 5})
    assert [clip.label for clip in new] == ["hey"] * 50
    for wave in waves(new):
        pieces = wave.reshape(-1, 160)
        low = sum(share_at(piece, LOW) > 0.3 and rms(piece) > 0.05 for piece in pieces)
        assert 0.37 <= low / 100 <= 0.45
        assert share_at(wave, HIGH) > 0.0002


def low_pieces(wave: np.ndarray) -> list[bool]:
    """Return which hundredths of a second hold the keyword."""
    pieces = wave[: len(wave) // 160 * 160].reshape(-1, 160)
    return [rms(piece) > 0.02 and share_at(piece, LOW) > 0.3 for piece in pieces]


def test_a_front_end_with_a_state_hears_what_comes_before(listing: Listing, tmp_path: Path) -> None:
    """The past is speech, and the rest of a keyword that the window cuts."""
    running = FrontEnd(mean="running")
    wanted = {"per_speech_second": 0.0, "in_speech": 2.0, "partial": 5.0, "pairs": 2.0}
    new = added(listing, tmp_path / "cache", wanted, front_end=running)
    pasts = [read_before(clip, 0, running) for clip in new]
    assert {len(past) for past in pasts} == {2 * RATE}
    kinds = Counter(clip.path.stem for clip in new)
    assert kinds == {"part": 50, "pair": 20, "word": 20}
    for clip, past, wave in zip(new, pasts, waves(new), strict=True):
        whole = low_pieces(np.concatenate([past, wave]))
        heard = sum(whole[200:])
        if clip.path.stem == "word":
            assert 37 <= heard <= 45
            assert not any(whole[:199])
            assert share_at(past, HIGH) > 0.9
        elif clip.path.stem == "pair":
            assert whole[198:202] == [True] * 4
            assert sum(whole[:200]) >= 19  # the first half of a keyword, at least
            assert not any(whole[:150])
        elif whole[200]:
            assert 37 <= sum(whole) <= 45
            assert share_at(past[: RATE // 2], HIGH) > 0.9 or rms(past[: RATE // 2]) < 0.01
        else:
            assert whole[-1] or whole[-2]
            assert not any(whole[:200])


def test_the_same_in_other_processes_and_other_windows_for_another_seed(
    listing: Listing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = added(listing, tmp_path / "a", {"in_speech": 1})
    with monkeypatch.context() as patch:
        patch.setattr("edgekws.audio.parallel.cores", lambda: 2)
        patch.setattr("edgekws.audio.parallel.MANY", 1)
        again = added(listing, tmp_path / "b", {"in_speech": 1})
    other = added(listing, tmp_path / "c", {"in_speech": 1}, seed=2)
    first, second, third = (np.stack(waves(clips)) for clips in (one, again, other))
    np.testing.assert_array_equal(first, second)
    assert (first != third).any()


def test_other_words_take_the_place_of_speech(listing: Listing, tmp_path: Path) -> None:
    new = added(replace(listing, negatives=()), tmp_path / "cache", {"in_speech": 1})
    assert Counter(clip.label for clip in new) == {"hey": 10, UNKNOWN: 4 + 1}


def test_nothing_is_added_where_it_cannot_be(listing: Listing, tmp_path: Path) -> None:
    closed = replace(
        listing,
        labels=("hey", SILENCE),
        clips=tuple(clip for clip in listing.clips if clip.label != UNKNOWN),
    )
    cut = replace(listing, recordings=listing.clips)
    for given in (closed, cut):
        assert with_windows(given, Continuous(), FRONT_END, 1, tmp_path / "cache", quiet) == given
    assert added(listing, tmp_path / "cache", NOTHING) == []
