"""What every dataset keeps to; a new one is tested once it has sample fields here."""

import subprocess
import sys
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import soundfile
from pydantic import ValidationError

from edgekws.core.corpus import SPLITS
from edgekws.core.events import quiet
from edgekws.core.family import kinds, load
from edgekws.core.fields import Fields
from edgekws.runtime.front_end import FrontEnd

KINDS = kinds("Dataset")

SAMPLE_FIELDS: dict[str, dict[str, Any]] = {
    "folder": {"root": "words"},
    "manifest": {"path": "words/clips.csv", "columns": {"path": "file"}, "keywords": ["left"]},
    "speech_commands": {"root": "commands"},
    "synthetic": {
        "keywords": ["stop"],
        "language": "en-us",
        "unknown_words": ["water"],
        "clips_per_keyword": 2,
        "dev_clips_per_keyword": 1,
        "test_clips_per_keyword": 1,
        "speech_minutes": 0.1,
        "dev_speech_minutes": 0.1,
        "test_speech_minutes": 0.1,
    },
}
"""Fields of a small instance, made in a folder where `words` holds two words of four speakers
and a table of them, and `commands` a small Speech Commands."""


def small(kind: str) -> Any:
    return load("Dataset", kind).model_validate({"kind": kind, **SAMPLE_FIELDS[kind]})


def record(path: Path, pitch: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(4000) * 0.1 * pitch), 16_000)


def record_commands(folder: Path) -> None:
    """Speakers 1, 0 and 2 are of train, dev and test, by the hash of their names."""
    for word in ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "bed"):
        for speaker in range(3):
            record(folder / word / f"{speaker:08x}_nohash_0.wav", speaker + len(word))
    for noise in range(3):
        record(folder / "_background_noise_" / f"{noise}.wav", noise + 20)


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = ["file,label"]
    for word in ("left", "right"):
        for speaker in range(4):
            record(tmp_path / "words" / word / f"s{speaker}_1.wav", speaker + len(word))
            rows.append(f"{word}/s{speaker}_1.wav,{word}")
    (tmp_path / "words" / "clips.csv").write_text("\n".join(rows))
    record_commands(tmp_path / "commands" / "SpeechCommands" / "speech_commands_v0.02")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_dataset_has_sample_fields() -> None:
    assert set(SAMPLE_FIELDS) == set(KINDS)
    assert {"folder", "manifest", "speech_commands", "synthetic"} <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_class_is_frozen_closed_and_described(kind: str) -> None:
    member = load("Dataset", kind)
    assert issubclass(member, Fields)
    assert member.__name__ == "Dataset"
    assert get_args(get_type_hints(member)["kind"]) == (kind,)
    assert member.model_fields["kind"].default == kind
    assert member.__doc__
    undescribed = [
        name for name, f in member.model_fields.items() if name != "kind" and not f.description
    ]
    assert not undescribed
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        member.model_validate({**SAMPLE_FIELDS[kind], "no_such_field": 1})
    with pytest.raises(ValidationError, match="Instance is frozen"):
        small(kind).kind = kind


@pytest.mark.parametrize("kind", KINDS)
def test_the_fields_survive_json(kind: str) -> None:
    dataset = small(kind)
    assert type(dataset).model_validate_json(dataset.model_dump_json()) == dataset


def test_importing_and_fingerprinting_do_not_import_torch() -> None:
    code = (
        "import sys; from edgekws.core.family import kinds, load\n"
        "for kind in kinds('Dataset'): load('Dataset', kind)\n"
        "load('Dataset', 'synthetic')(keywords=['stop']).fingerprint()\n"
        "print(sorted({'torch', 'onnx', 'onnxruntime', 'scipy'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_listing_is_whole_and_repeatable(kind: str, words: Path) -> None:
    dataset, cache = small(kind), words / "cache"
    fingerprint = dataset.fingerprint()
    labels = dataset.labels()
    listing = dataset.list_clips(FrontEnd(), 7, cache, quiet)
    assert listing.labels == labels
    assert listing == dataset.list_clips(FrontEnd(), 7, cache, quiet)
    assert dataset.fingerprint() == fingerprint
    assert len(set(listing.labels)) == len(listing.labels)
    assert {clip.label for clip in listing.clips} == set(listing.labels)
    assert {(c.split, c.label) for c in listing.clips} == {
        (split, label) for split in SPLITS for label in listing.labels
    }
    assert all(clip.path.is_file() for clip in listing.clips)
    assert all(path.is_file() for path in listing.noise)
    assert listing.notes
    speakers = [{c.speaker for c in listing.clips if c.split == s} - {None} for s in SPLITS]
    assert sum(map(len, speakers)) == len(set().union(*speakers)) >= 3
