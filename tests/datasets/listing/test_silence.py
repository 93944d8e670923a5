"""Windows of `_silence_` lie inside their recordings, hold sound, and are drawn from the seed."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgekws.core.corpus import Split
from edgekws.datasets.listing.silence import noise_per_split, noise_recordings, silence_clips
from edgekws.errors import DataError


def recording(path: Path, seconds: float, level: float = 0.1, rate: int = 8000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name))
    soundfile.write(path, rng.standard_normal(int(seconds * rate)) * level * 0.2, rate)
    return path


def test_windows_lie_inside_and_come_again_from_the_same_seed(tmp_path: Path) -> None:
    noise = [recording(tmp_path / "a.wav", 5), recording(tmp_path / "шум.wav", 20)]
    clips = silence_clips(noise, 40, 1.0, "dev", seed=3)
    assert clips == silence_clips(noise, 40, 1.0, "dev", seed=3)
    assert clips != silence_clips(noise, 40, 1.0, "dev", seed=4)
    assert clips != [
        c.__class__(**{**vars(c), "split": "dev"})
        for c in silence_clips(noise, 40, 1.0, "train", seed=3)
    ]
    assert {c.label for c in clips} == {"_silence_"}
    for clip in clips:
        length_s = soundfile.info(clip.path).duration
        assert clip.end_s is not None
        assert 0 <= clip.start_s < clip.end_s <= length_s
        assert clip.end_s - clip.start_s == pytest.approx(1.0)
    assert len({c.start_s for c in clips}) > 30
    assert 20 < sum(c.path == noise[1] for c in clips) < 40


def test_a_recording_shorter_than_the_window_is_taken_whole(tmp_path: Path) -> None:
    (clip,) = silence_clips([recording(tmp_path / "a.wav", 0.4)], 1, 1.0, "train", 0)
    assert (clip.start_s, clip.end_s) == (0.0, None)


def test_windows_of_zeros_are_drawn_again(tmp_path: Path) -> None:
    path = tmp_path / "padded.wav"
    soundfile.write(path, np.concatenate([tone_burst(8000), np.zeros(24_000)]), 8000)
    clips = silence_clips([path], 10, 0.5, "train", 0)
    assert all(clip.start_s < 1.0 for clip in clips)


def tone_burst(samples: int) -> np.ndarray:
    return 0.1 * np.sin(np.arange(samples))


def test_recordings_without_sound_or_unreadable_are_refused(tmp_path: Path) -> None:
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(16_000), 8000)
    with pytest.raises(DataError, match=r"silent\.wav: 50 windows .* below -80 dBFS"):
        silence_clips([silent], 1, 1.0, "train", 0)
    empty = tmp_path / "empty.wav"
    soundfile.write(empty, np.zeros(0), 8000)
    with pytest.raises(DataError, match=r"empty\.wav: the noise recording is empty"):
        silence_clips([empty], 1, 1.0, "train", 0)
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(DataError, match=r"text\.wav: cannot be read as audio"):
        silence_clips([tmp_path / "text.wav"], 1, 1.0, "train", 0)


def test_recordings_are_found_in_folders_and_split_by_file(tmp_path: Path) -> None:
    written = {recording(tmp_path / name / f"{i}.wav", 1) for name in "ab" for i in range(10)}
    (tmp_path / "README.md").write_text("about")
    noise = noise_recordings(tmp_path, Counter())
    assert set(noise) == written
    per_split = noise_per_split(noise, seed=1, silence=True)
    assert {split: len(paths) for split, paths in per_split.items()} == {
        "train": 14, "dev": 3, "test": 3,
    }  # fmt: skip
    assert set().union(*per_split.values()) == written
    everything: dict[Split, tuple[Path, ...]] = noise_per_split(noise, seed=1, silence=False)
    assert everything == {"train": noise, "dev": (), "test": ()}


def test_no_recordings_or_fewer_than_splits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no noise recordings; fill it"):
        noise_recordings(tmp_path, Counter())
    two = (recording(tmp_path / "a.wav", 1), recording(tmp_path / "b.wav", 1))
    with pytest.raises(DataError, match=r"needs at least 3 noise recordings.* there are 2"):
        noise_per_split(two, seed=1, silence=True)
