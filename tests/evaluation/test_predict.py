"""Labels for unlabelled audio: order, tables, top-k, and going on after an interruption."""

import csv
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edgekws.audio.reading import read_audio
from edgekws.bundle import archive as whole
from edgekws.bundle.archive import write_zip
from edgekws.core.events import Event, quiet
from edgekws.core.partial_table import part_path
from edgekws.errors import DataError, UsageError
from edgekws.evaluation import predict as room
from edgekws.evaluation.predict import predict
from edgekws.runtime.detect import Classifier


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Return a folder with seven noises of several lengths."""
    folder = tmp_path / "записи"
    (folder / "b").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i, name in enumerate(
        ("z.wav", "a.wav", "b/x.flac", "b/a, b.wav", "c.wav", "d.wav", "e.WAV")
    ):
        soundfile.write(folder / name, 0.1 * rng.standard_normal(6000 + 4000 * i), 16_000)
    return folder


def rows(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.reader(text))


def test_rows_are_what_the_runtime_says_sorted_by_name(
    packed: Path, clips: Path, tmp_path: Path
) -> None:
    output = tmp_path / "new" / "l.csv"
    result = predict(packed, clips, output, quiet)
    assert (result.rows, result.unreadable) == (7, ())
    classifier = Classifier(packed)
    expected = [["file", "label", "score"]]
    for file in sorted(p for p in clips.rglob("*") if p.is_file()):
        label, score = classifier.classify(read_audio(file, 16_000))
        expected.append([file.relative_to(clips).as_posix(), label, f"{score:.6f}"])
    assert rows(output) == expected
    assert [path.name for path in output.parent.iterdir()] == ["l.csv"]


def test_the_next_best_labels_follow(packed: Path, clips: Path, tmp_path: Path) -> None:
    predict(packed, clips, tmp_path / "l.csv", quiet, top_k=4)
    head, *result = rows(tmp_path / "l.csv")
    more = [f"{name}_{k}" for k in (2, 3, 4) for name in ("label", "score")]
    assert head == ["file", "label", "score", *more]
    labels = Classifier(packed).labels
    for row in result:
        scores = [float(score) for score in row[2::2]]
        assert sorted(row[1::2]) == sorted(labels)
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1, abs=1e-5)
    for top_k in (0, 5):
        with pytest.raises(
            UsageError, match=rf"--top-k {top_k}: from 1 to the 4 labels of .*bundle"
        ):
            predict(packed, clips, tmp_path / "l.csv", quiet, top_k=top_k)


def test_a_zip_gives_the_same_table(packed: Path, clips: Path, tmp_path: Path) -> None:
    names = [p.relative_to(packed).as_posix() for p in packed.rglob("*") if p.is_file()]
    write_zip(packed, names, tmp_path / "b.zip")
    predict(packed, clips, tmp_path / "a.csv", quiet)
    predict(tmp_path / "b.zip", clips, tmp_path / "b.csv", quiet)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_a_zip_is_unpacked_once(
    packed: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "bundle.zip"
    write_zip(
        packed, [str(p.relative_to(packed)) for p in packed.rglob("*") if p.is_file()], archive
    )
    unpack, unpacked = whole._unpack, []

    def counted(zipped: zipfile.ZipFile, folder: Path) -> None:
        unpacked.append(folder)
        unpack(zipped, folder)

    monkeypatch.setattr(whole, "_unpack", counted)
    predict(archive, clips, tmp_path / "l.csv", quiet)
    assert len(unpacked) == 1
    assert not unpacked[0].exists()


def test_rows_of_a_table_keep_their_order_and_times(
    packed: Path, clips: Path, tmp_path: Path
) -> None:
    table = clips / "t.csv"
    table.write_text(
        'path,note,start_s,end_s\nz.wav,x,,\n"b/a, b.wav",,0.25,0.75\nz.wav,,0.1,\n', "utf-8"
    )
    predict(packed, table, tmp_path / "l.csv", quiet)
    head, *result = rows(tmp_path / "l.csv")
    assert head == ["file", "start_s", "end_s", "label", "score"]
    cells = [["z.wav", "", ""], ["b/a, b.wav", "0.25", "0.75"], ["z.wav", "0.1", ""]]
    assert [row[:3] for row in result] == cells
    classifier = Classifier(packed)
    parts = [(cell[0], float(cell[1] or 0), float(cell[2]) if cell[2] else None) for cell in cells]
    for row, (name, start, end) in zip(result, parts, strict=True):
        label, score = classifier.classify(read_audio(clips / name, 16_000, start, end))
        assert row[3:] == [label, f"{score:.6f}"]


def test_what_cannot_be_read_is_listed_and_has_no_row(
    packed: Path, clips: Path, tmp_path: Path
) -> None:
    (clips / "b" / "bad.wav").write_text("no audio")
    soundfile.write(clips / "nothing.wav", np.zeros(0), 16_000)
    events: list[Event] = []
    result = predict(packed, clips, tmp_path / "l.csv", events.append)
    assert [name for name, _ in result.unreadable] == ["b/bad.wav", "nothing.wav"]
    assert "cannot be read as audio" in result.unreadable[0][1]
    assert "holds no samples; record it again, or leave it out" in result.unreadable[1][1]
    assert [e.text for e in events if e.kind == "warning"] == [why for _, why in result.unreadable]
    assert len(rows(tmp_path / "l.csv")) == 8


def test_bad_data_of_one_file_does_not_stop_the_others(
    packed: Path, clips: Path, tmp_path: Path, shared_data: Path
) -> None:
    word = soundfile.read(min(shared_data.glob("asc/yes/*.flac")))[0]
    bad = {
        "1 integers.wav": (np.rint(word * 32768), "full scale is 1"),
        "2 huge.wav": (np.array([3e38, -3e38] * 100), "full scale is 1"),
        "3 upside down.wav": (np.stack([word, -word], 1), "channels cancel each other out"),
        "4 slow.wav": (word, "39 Hz; expected a rate from 1000 to 768000 Hz"),
    }
    for name, (samples, why) in bad.items():
        rate = 39 if "39 Hz" in why else 16_000
        soundfile.write(clips / name, samples, rate, subtype="DOUBLE")
    result = predict(packed, clips, tmp_path / "l.csv", quiet)
    assert result.rows == 7
    assert [name for name, _ in result.unreadable] == list(bad)
    for (name, reported), (_, why) in zip(result.unreadable, bad.values(), strict=True):
        assert name in reported
        assert why in reported


def test_a_missing_file_and_an_empty_part_of_a_table_are_named(
    packed: Path, clips: Path, tmp_path: Path
) -> None:
    (clips / "t.csv").write_text("file,start_s,end_s\nnone.wav,,\nz.wav,9,10\nz.wav,0,0.2\n")
    result = predict(packed, clips / "t.csv", tmp_path / "l.csv", quiet)
    assert [name for name, _ in result.unreadable] == ["none.wav", "z.wav (9–10 s)"]
    assert "no such file" in result.unreadable[0][1]


def test_not_one_readable_file_leaves_nothing_behind(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "bad.wav").write_text("no audio")
    with pytest.raises(DataError, match="clips: none of its 1 audio files can be read"):
        predict(packed, tmp_path / "clips", tmp_path / "l.csv", quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


class StopError(Exception):
    """What stops a test's run in the middle."""


def stopped_after(blocks: int, *arguments: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run until some blocks are written, then stop as a kill would: without any cleaning up."""
    done: list[Any] = []
    real = room._records

    def records(*given: Any) -> Any:
        if len(done) == blocks:
            raise StopError
        done.append(None)
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(room, "_records", records)
        with pytest.raises(StopError):
            predict(*arguments)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "BLOCK", 2)


@pytest.mark.usefixtures("small_blocks")
def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(
    packed: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clips / "a.wav").write_text("no audio")
    whole = predict(packed, clips, tmp_path / "whole.csv", quiet)
    output = tmp_path / "l.csv"
    stopped_after(2, packed, clips, output, quiet, monkeypatch=monkeypatch)
    assert not output.exists()
    with part_path(output).open("ab") as part:
        part.write(b'{"row": ["cut o')  # what a kill in the middle of a line leaves
    events: list[Event] = []
    result = predict(packed, clips, output, events.append)
    assert result == whole
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not part_path(output).exists()
    assert "4 of 7 are done already; resuming" in [event.text for event in events]
    assert [e.text for e in events if e.kind == "warning"] == [result.unreadable[0][1]]
    steps = [(event.done, event.total) for event in events if event.kind == "progress"]
    assert steps == [(0, 3), (2, 3), (3, 3)]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("change", ["bundle", "top_k", "file", "clips"])
def test_what_is_of_another_run_is_not_gone_on_from(
    bundle: Path,
    packed: Path,
    clips: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    output = tmp_path / "l.csv"
    stopped_after(2, packed, clips, output, quiet, monkeypatch=monkeypatch)
    used, top_k = packed, 1
    if change == "bundle":
        from edgekws.bundle import pack

        reported = json.loads((bundle / "manifest.json").read_text("utf-8"))
        reported["origin"]["recipe"] = "another"
        (bundle / "manifest.json").write_text(json.dumps(reported), "utf-8")
        pack.seal(bundle, "# card\n")
        used = bundle
    elif change == "top_k":
        top_k = 2
    elif change == "file":
        os.utime(clips / "a.wav", (1, 1))
    else:
        shutil.copy(clips / "a.wav", clips / "aa.wav")
    events: list[Event] = []
    predict(used, clips, output, events.append, top_k)
    notes = [event.text for event in events if event.kind == "note"]
    assert notes == ["starting over: the unfinished table is of another bundle, or of other clips"]
    predict(used, clips, tmp_path / "whole.csv", quiet, top_k)
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()


PROGRAM = """
import sys, time
from pathlib import Path
from edgekws.core.events import quiet
from edgekws.evaluation import predict as room
room.BLOCK = 1
real, done = room._records, []

def records(*given):
    done.append(None)
    if len(done) > 3:
        time.sleep(600)
    return real(*given)

room._records = records
room.predict(*map(Path, sys.argv[1:]), quiet)
"""


def test_a_killed_process_leaves_no_table_and_what_it_had_done(
    packed: Path, clips: Path, tmp_path: Path
) -> None:
    output = tmp_path / "l.csv"
    command = [sys.executable, "-c", PROGRAM, str(packed), str(clips), str(output)]
    part, ends = part_path(output), time.monotonic() + 120
    with subprocess.Popen(command) as process:
        while time.monotonic() < ends and process.poll() is None:
            if part.is_file() and part.read_bytes().count(b"\n") == 4:
                break
            time.sleep(0.02)
        process.kill()
    assert not output.exists()
    events: list[Event] = []
    predict(packed, clips, output, events.append)
    assert "3 of 7 are done already; resuming" in [event.text for event in events]
    predict(packed, clips, tmp_path / "whole.csv", quiet)
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()
