"""The C of a bundle beside its Python runtime; `tools/c_on_speech.py` takes hours of recordings."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import soundfile

from edgekws.runtime.detect import Detector
from tests.int8_bundle import noise, pack_bundle, write_model
from tools import c_on_speech


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    return pack_bundle(folder, folder / "bundle", streaming=True)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("recordings")
    soundfile.write(folder / "long.wav", noise(20).ravel(), 16_000)
    for number, window in enumerate(noise(2)):
        soundfile.write(folder / f"{number}.wav", window, 16_000)
    return c_on_speech.recordings([folder])


def test_labels_that_differ_are_counted_and_no_others_do(
    bundle: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ("gcc", "make"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    classified = c_on_speech.classified

    def planted(*given: Any) -> Any:
        levels, labels = classified(*given)
        return levels, [labels[0], (labels[1] + 1) % 4, labels[2]]

    monkeypatch.setattr(c_on_speech, "classified", planted)
    monkeypatch.setattr(c_on_speech, "CFLAGS", "-O1")
    result = c_on_speech.compare_labels(bundle, paths)
    assert (result["clips"], result["labels_differing"]) == (3, 1)
    assert [row["recording"] for row in result["differing"]] == [f"{paths[1].parent.name}/1.wav"]
    assert 0 < result["rms_error"] < 0.0003
    assert result["rms_error"] < result["largest_error"] < 0.02


def test_events_that_differ_are_counted_and_no_others_do(
    bundle: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = partial(Detector, bundle)

    @contextmanager
    def compiled(*_: object) -> Iterator[Detector]:
        yield detector()

    monkeypatch.setattr(c_on_speech, "c_detector", compiled)
    same = c_on_speech.compare_events(bundle, paths, 1)
    assert same["recordings"] == 3
    assert same["hours"] == pytest.approx(22 / 3600)
    assert same["events"] == same["events_in_c"] > 3
    assert same["pieces"] > 100
    assert same["events_differing"] == same["keywords_differing"] == len(same["differing"]) == 0
    detector = partial(Detector, bundle, threshold=1.0)
    other = c_on_speech.compare_events(bundle, paths, 1)
    assert other["events"] == other["events_differing"] == same["events"]
    assert other["events_in_c"] == 0
    assert other["keywords_differing"] == len(other["differing"]) > 0
