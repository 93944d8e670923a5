"""The audio around events: whole, in time, and never over something else."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgekws.errors import UsageError
from edgekws.runtime.detect import Event
from edgekws.spotting.event_audio import AFTER_S, BEFORE_S, EventAudio

RATE = 1000


def ramp(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Samples that say where they are."""
    return (np.arange(round(seconds * RATE)) / 100_000).astype(np.float32)


def saved(folder: Path) -> list[np.ndarray]:
    return [soundfile.read(path)[0] for path in sorted(folder.glob("*.wav"))]


@pytest.mark.parametrize("pieces", [1, 7, 300])
def test_audio_around_each_event_whatever_the_pieces(tmp_path: Path, pieces: int) -> None:
    stream, events = ramp(30), [Event(4.0, 4.5, "да/нет", 0.9), Event(29.0, 29.8, "stop", 0.5)]
    recorder = EventAudio(tmp_path / "events", RATE)
    todo, heard = list(events), 0.0
    for block in recorder.through(np.array_split(stream, pieces)):
        heard += len(block) / RATE
        while todo and todo[0].end_s <= heard:
            recorder.add("talks/a.wav", todo.pop(0))
    recorder.end()
    for audio, event in zip(saved(tmp_path / "events"), events, strict=True):
        start = round((event.start_s - BEFORE_S) * RATE)
        end = round(min(event.end_s + AFTER_S, 30) * RATE)
        assert np.abs(audio - stream[start:end]).max() < 1 / 32768
    assert [path.name for path in sorted((tmp_path / "events").glob("*.wav"))] == [
        "00000_a_4.00s_да_нет_0.90.wav",
        "00001_a_29.00s_stop_0.50.wav",
    ]
    with (tmp_path / "events" / "events.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["keyword"], row["start_s"], row["source"]) for row in rows] == [
        ("да/нет", "4.000", "talks/a.wav"),
        ("stop", "29.000", "talks/a.wav"),
    ]
    assert all((tmp_path / "events" / row["file"]).is_file() for row in rows)


def test_a_folder_with_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("precious")
    with pytest.raises(UsageError, match="is not empty; name a new folder with --save-events"):
        EventAudio(tmp_path, RATE)
