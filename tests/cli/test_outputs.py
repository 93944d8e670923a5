"""Every option that names a file to write: pipes, devices and links stay, nothing is left over."""

import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import soundfile
import typer
from typer.models import OptionInfo
from typer.testing import CliRunner
from typer.testing import Result as Ended

import edgekws.curation.source
import edgekws.evaluation.calibrate
import edgekws.evaluation.check
import edgekws.evaluation.evaluate
import edgekws.evaluation.evaluate_events
import edgekws.evaluation.profile
import edgekws.recipe.load
import edgekws.recipe.template
import edgekws.search.results
from edgekws.cli.app import app
from edgekws.core.events import quiet
from edgekws.core.measurement import Budget, Limit, Measurement
from edgekws.core.report import Report
from edgekws.evaluation.calibrate import calibrate
from edgekws.evaluation.evaluate_events import evaluate_events
from tests import profiles
from tests.cli.test_evaluate_commands import evaluated
from tests.tone_bundle import BURST_S, RATE, TONES, make, track

LOW, _ = TONES

OUTPUTS = {
    ("init", "--output"): ".toml",
    ("check", "--junit"): ".xml",
    ("report", "--picture"): ".svg",
    ("evaluate", "--output"): ".json",
    ("evaluate-events", "--output"): ".html",
    ("calibrate", "--page"): ".html",
    ("calibrate", "--output"): ".zip",
    ("profile", "--output"): ".html",
    ("predict", "--output"): ".csv",
    ("detect", "--output"): ".txt",
    ("sweep", "--output"): ".toml",
    ("export", "--output"): ".onnx",
    ("explore", "--output"): ".html",
}
"""The suffix of a file that the option takes."""

FOLDERS = {
    ("compress", "--runs"),
    ("compress", "--dist"),
    ("sweep", "--runs"),
    ("adapt", "--output"),
    ("adapt", "--runs"),
    ("record", "--output"),
    ("words", "--output"),
    ("augment", "--output"),
    ("synth", "--output"),
    ("detect", "--save-events"),
}
"""Options that name a folder to write."""

INPUTS = {
    "--budget", "--data", "--from", "--negatives", "--positives", "--recordings", "--room",
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the commands read."""
    folder = tmp_path_factory.mktemp("место")
    make(folder, streaming=True)
    (folder / "clips").mkdir()
    soundfile.write(folder / "clips" / "s.wav", track(3.0, {0.7: LOW}), RATE)
    (folder / "t.csv").write_text(
        f"file,keyword,start_s,end_s\nclips/s.wav,{LOW},0.7,{0.7 + BURST_S}\n", "utf-8"
    )
    best: dict[str, Any] = {"ci95": None, "value": 0.9, "overrides": [], "recipe": 'name = "x"\n'}
    (folder / "results.json").write_text(
        json.dumps({"best": best, "objective": "accuracy", "name": "n"})
    )
    Report("demo", "", {}, {}, (), ok=True).save(folder / "report.json")
    random = np.random.default_rng(0)
    for word in ("да", "нет"):
        (folder / "words" / word).mkdir(parents=True)
        for n in range(4):
            name = folder / "words" / word / f"s{n}_nohash_0.wav"
            soundfile.write(name, random.normal(0, 0.05, 8_000), RATE)
    return folder


@pytest.fixture(scope="module")
def heard(place: Path) -> Any:
    """What the engine finds of the bundle in continuous audio, computed once."""
    return evaluate_events(place / "bundle", place / "t.csv", (), quiet, {}, 0.25)


@pytest.fixture(scope="module")
def calibrated(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A bundle with other settings, made once."""
    output = tmp_path_factory.mktemp("b") / "b"
    settings: Any = {"max_fa_per_hour": 2.0, "where": {}, "tolerance_s": 0.25}
    return calibrate(place / "bundle", place / "t.csv", (), output, quiet, **settings)


@pytest.fixture
def engine(
    monkeypatch: pytest.MonkeyPatch, heard: Any, calibrated: Any, request: pytest.FixtureRequest
) -> None:
    """Results at once, where they cost time."""
    if "--page" in request.node.name:  # otherwise the bundle is to be written
        monkeypatch.setattr(edgekws.evaluation.calibrate, "calibrate", lambda *_, **__: calibrated)
    params = (Measurement("params", 1),)
    found = (params, Budget((Limit("params", "max", 2),)).check(params))
    recipe = type("Loaded", (), {"recipe": type("Recipe", (), {"name": "r", "limits": None})})
    for module, name, result in (
        (edgekws.evaluation.evaluate, "evaluate", [evaluated("m")]),
        (edgekws.evaluation.profile, "profile", profiles.profile()),
        (edgekws.evaluation.evaluate_events, "evaluate_events", heard),
        (edgekws.evaluation.check, "check", found),
        (edgekws.recipe.load, "load", recipe),
    ):
        monkeypatch.setattr(module, name, lambda *_, result=result, **options: result)


def arguments(place: Path, of: tuple[str, str], output: Path, scratch: Path) -> list[object]:
    command, option = of
    bundle, table = place / "bundle", ("--positives", place / "t.csv")
    rest: dict[str, tuple[object, ...]] = {
        "init": ("init", "--keywords", "a", "--force"),
        "check": ("check", "m", "--recipe", "r"),
        "report": ("report", place),
        "evaluate": ("evaluate", "m", "--recipe", "r"),
        "evaluate-events": ("evaluate-events", bundle, *table),
        "calibrate": ("calibrate", bundle, *table, "--max-fa-per-hour", "2"),
        "profile": ("profile", "m"),
        "predict": ("predict", bundle, place / "clips"),
        "detect": ("detect", bundle, place / "clips" / "s.wav"),
        "sweep": ("sweep", "best", place),
        "export": ("export", bundle, "--to", "waveform"),
        "explore": ("data", "explore", place / "words"),
    }
    also = ("--output", scratch / "calibrated") if option == "--page" else ()
    return [*rest[command], *also, option, output]


def run(place: Path, of: tuple[str, str], output: Path, tmp_path: Path) -> Ended:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return CliRunner().invoke(app, [str(one) for one in arguments(place, of, output, scratch)])


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _options(commands: typer.Typer) -> Iterator[tuple[str, str]]:
    """Yield the command and the name of every option that is a path."""
    for one in commands.registered_commands:
        assert one.callback is not None
        for hint in get_type_hints(one.callback, include_extras=True).values():
            for option in getattr(hint, "__metadata__", ()):
                if isinstance(option, OptionInfo) and "Path" in str(hint.__origin__):
                    # in an annotation the first name stands in the place of the default
                    yield one.callback.__name__.replace("_", "-"), str(option.default)
    for group in commands.registered_groups:
        assert group.typer_instance is not None
        yield from _options(group.typer_instance)


def test_every_option_that_names_a_file_is_tried_here() -> None:
    found = set(_options(app))
    assert len(found) > 20
    assert {one for one in found if one[1] not in INPUTS} == OUTPUTS.keys() | FOLDERS


each = pytest.mark.parametrize("of", OUTPUTS, ids=" ".join)


@each
@pytest.mark.usefixtures("engine")
def test_a_pipe_is_written_to(place: Path, of: tuple[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    pipe = folder / f"pipe{OUTPUTS[of]}"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    done = run(place, of, pipe, tmp_path)
    reader.join(20)
    assert done.exit_code == 0, done.output
    assert len(read[0]) > 20
    assert pipe.is_fifo()
    assert left(folder) == [pipe.name]


@each
@pytest.mark.usefixtures("engine")
def test_a_device_and_a_link_stay(
    place: Path, of: tuple[str, str], tmp_path: Path, device: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    link, file = folder / f"link{OUTPUTS[of]}", folder / f"file{OUTPUTS[of]}"
    link.symlink_to(file.name)
    named = device.rename(device.with_name(f"null{OUTPUTS[of]}"))
    for output in (named, link, link):
        done = run(place, of, output, tmp_path)
        assert done.exit_code == 0, done.output
    assert named.is_char_device()
    assert left(device.parent) == [named.name]
    assert link.is_symlink()
    assert file.stat().st_size > 20
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~mask
    assert left(folder) == [file.name, link.name]


@each
@pytest.mark.usefixtures("engine")
def test_what_cannot_be_written_is_named(
    place: Path, of: tuple[str, str], tmp_path: Path, unwritable: Path
) -> None:
    folder, suffix = tmp_path / "out", OUTPUTS[of]
    (folder / "file").mkdir(parents=True)
    (folder / "plain").touch()
    for output in (unwritable / f"a{suffix}", folder / "plain" / f"a{suffix}"):
        done = run(place, of, output, tmp_path)
        assert done.exit_code == 1, done.output
        assert f"error: {output}: cannot be written (" in done.stderr
        assert f"; name another {of[1]}" in done.stderr
    assert left(folder) == ["file", "plain"]


@each
@pytest.mark.usefixtures("engine")
def test_a_missing_folder_is_made(place: Path, of: tuple[str, str], tmp_path: Path) -> None:
    output = tmp_path / "new" / "er" / f"a{OUTPUTS[of]}"
    done = run(place, of, output, tmp_path)
    assert done.exit_code == 0, done.output
    assert left(output.parent) == [output.name]
    assert output.is_file()


@pytest.mark.parametrize(
    "of",
    [of for of in OUTPUTS if of[0] not in ("evaluate", "evaluate-events", "profile", "explore")],
)
@pytest.mark.usefixtures("engine")
def test_a_folder_is_no_file(place: Path, of: tuple[str, str], tmp_path: Path) -> None:
    folder = tmp_path / f"folder{OUTPUTS[of]}"
    (folder / "inside").mkdir(parents=True)
    done = run(place, of, folder, tmp_path)
    assert done.exit_code == 2, done.output
    assert str(folder) in done.stderr
    assert left(folder) == ["inside"]


@pytest.mark.usefixtures("engine")
def test_a_picture_has_the_name_that_was_given(place: Path, tmp_path: Path) -> None:
    done = run(place, ("report", "--picture"), tmp_path / "n", tmp_path)
    assert done.exit_code == 2
    assert "n: --picture is a file that ends in .png, .svg or .pdf" in done.stderr
    assert left(tmp_path) == ["scratch"]
