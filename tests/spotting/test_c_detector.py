"""Events of a bundle's C beside those of its Python runtime."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekws.codegen import compiler
from edgekws.codegen.compiler import Compiler
from edgekws.core.events import quiet
from edgekws.core.verified import Verified
from edgekws.errors import MachineError, MissingPartError
from edgekws.runtime.detect import Detector, Event
from edgekws.spotting.c_detector import c_detector
from edgekws.spotting.spotter import load
from tests.int8_bundle import noise, pack_bundle, write_model


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("c-detector")
    write_model(folder)
    return pack_bundle(folder, folder / "bundle", streaming=True)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKWS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def lines(events: list[Event]) -> list[dict[str, str | float]]:
    """Return the events as they are printed."""
    return [event.line("-") for event in events]


def spotted(bundle: Path, samples: np.ndarray, piece: int) -> list[Event]:
    """Return the events of the Python API."""
    spotter = load(bundle)
    parts = np.split(samples, range(piece, len(samples), piece))
    return [event for part in parts for event in spotter.feed(part)] + spotter.flush()


def own_runtime(bundle: Path, samples: np.ndarray) -> list[dict[str, str | float]]:
    """Return the lines that the bundle's own `detect.py` prints for raw PCM on its input."""
    command = [sys.executable, "-I", str(bundle / "detect.py"), "--stream", "-"]
    done = subprocess.run(command, input=samples.tobytes(), capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_events_are_those_of_the_python_runtime_in_pieces_of_any_length(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    samples = noise(20).ravel()
    detector = Detector(bundle)
    expected = lines(detector.feed(samples) + detector.flush())
    assert len(expected) > 3
    assert lines(spotted(bundle, samples, 999)) == expected
    assert own_runtime(bundle, samples) == expected
    with c_detector(bundle, quiet) as compiled:
        for pieces in (1, 7, 501):
            parts = np.array_split(samples, pieces)
            events = [event for part in parts for event in compiled.feed(part)]
            assert compiled.heard_s == pytest.approx(20)
            assert lines(events + compiled.flush()) == expected
        compiled.feed(samples[:9_000])
        compiled.reset()
        assert compiled.heard_s == 0
        real = samples.astype(np.float32) / 32768
        assert lines(compiled.feed(real) + compiled.flush()) == expected
    monkeypatch.setattr(Compiler, "library", None)  # not compiled a second time
    with c_detector(bundle, quiet) as compiled:
        assert lines(compiled.feed(samples) + compiled.flush()) == expected


def test_an_entry_of_the_cache_is_for_one_bundle_and_one_version(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[Any]()

    def cached(sources: Any, *_: object) -> Path:
        asked.append(sources)
        raise MachineError("nothing is compiled here")

    monkeypatch.setattr("edgekws.spotting.c_detector.cached_library", cached)
    unchecked = Verified("", (), 0, 0, 0.0, ())
    monkeypatch.setattr("edgekws.spotting.c_detector.verify_folder", lambda folder: unchecked)
    other = Path(shutil.copytree(bundle, tmp_path / "other"))
    for change in ("", "", "\n"):
        with (other / "manifest.json").open("a") as manifest:
            manifest.write(change)
        with pytest.raises(MachineError), c_detector(other, quiet):
            pass
    monkeypatch.setattr("edgekws.spotting.c_detector.whole_package", lambda: "another")
    with pytest.raises(MachineError), c_detector(other, quiet):
        pass
    assert asked[0] == asked[1]
    assert asked[0] not in asked[2:]
    assert asked[2] != asked[3]
    assert asked[0][1:] == asked[2][1:]
    assert asked[2][0] == asked[3][0]


def test_without_a_compiler_the_error_says_how_to_get_one(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "COMPILERS", ("no-such-compiler",))
    monkeypatch.delenv("CC", raising=False)
    with (
        pytest.raises(MissingPartError, match="apt install gcc"),
        c_detector(bundle, quiet),
    ):
        pass
