"""Every command on a page is run as it is shown, or is listed here with the reason why not."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import soundfile

from edgekws.codegen import wasm
from tests import guide, tone_bundle
from tests.guide import ROOT, blocks, commands, pages, programs
from tests.warm import Program

INSTALL = "sets up an environment: what `make test` does before it runs this"
MICROPHONE = "needs a microphone"
VOICE = "needs recordings of a person; tests/cli and tests/evaluation have tones instead"
SERVICE = "changes the machine: tests/exporters/test_c_service.py installs elsewhere"
MACHINE = "needs another machine"
CLUSTER = "needs a database or a cluster"
CORPUS = "needs a corpus, and trains for long"
RESULT = "needs the result of a command that trains for long"
BENCH = "measures for long"
ELSEWHERE_TESTED = "tests/exporters runs it, on a network that is not trained"
SERVER = "runs until it is stopped: tests/cli/test_serve_commands.py starts and stops it"
CROSS_COMPILER = "needs a cross compiler and an emulator; tests/targets counts bundles with them"
RELEASE = "writes what is committed; other tests check that it is current"

ELSEWHERE = {
    "make demo": INSTALL,
    "make test": INSTALL,
    "make docs": INSTALL,
    "make lint": INSTALL,
    "python3 -m venv .venv": INSTALL,
    ". .venv/bin/activate": INSTALL,
    "pip install": INSTALL,
    "apt install": INSTALL,
    "edgekws profile dist/lights --target cortex_m": CROSS_COMPILER,
    "edgekws detect dist/lights --microphone": MICROPHONE,
    "edgekws detect dist/calibrated --microphone": MICROPHONE,
    "arecord": MICROPHONE,
    "edgekws record lights music": MICROPHONE,
    "edgekws record lights --speaker anna": VOICE,
    "edgekws evaluate dist/lights --recordings anna": VOICE,
    "edgekws evaluate dist/lights dist/anna-lights": VOICE,
    "edgekws adapt lights.toml anna": VOICE,
    "sudo make -C lights-c install": SERVICE,
    "journalctl": SERVICE,
    "ssh": MACHINE,
    "scp": MACHINE,
    "edgekws plan pi.toml": MACHINE,
    "edgekws compress pi.toml": MACHINE,
    "edgekws sweep widths.toml --storage": CLUSTER,
    "edgekws sweep front-end-sweep": CLUSTER,
    "edgekws sweep best": RESULT,
    "edgekws compress arabic": CORPUS,
    "edgekws compress wake-words": CORPUS,
    "edgekws sweep ablation": CORPUS,
    "edgekws sweep backbones-sweep": CORPUS,
    "python tools/mutate.py": BENCH,
    "edgekws export dist/lights --to tflite": ELSEWHERE_TESTED,
    "edgekws export dist/lights --to esphome": ELSEWHERE_TESTED,
    "vela": INSTALL,
    "edgekws serve": SERVER,
    "sudo": MACHINE,
    "docker": MACHINE,
    "pip download": INSTALL,
}
"""How a command begins that is only read by the real command line, and why."""

ON_RESULTS = "commands with which figures of the page were measured, on corpora"
"""Why those in docs/results/ are only read."""

QUICK = " --set target.seconds=0.05 --set target.processes=2"
"""Latency measured for no longer than a test needs."""

SHORT = {
    "edgekws plan lights.toml": f"edgekws plan lights.toml{QUICK}",
    "edgekws plan own.toml": f"edgekws plan own.toml --set target.kind=host{QUICK}",
    "edgekws profile dist/lights --target c_host --seconds 1": "edgekws profile dist/lights"
    " --target c_host --seconds 0.05",
    "edgekws sweep widths.toml": "edgekws sweep widths.toml --dry-run",
    "edgekws sweep widths.toml --workers 2": "edgekws sweep widths.toml --workers 2 --dry-run",
    "edgekws compress own.toml": "edgekws compress own.toml --set augment.copies=1"
    " --set steps.teacher.training.epochs=1 --set steps.distill.training.epochs=1"
    " --set budget.min_macro_recall=0 --set budget.max_latency_p90_us=1000000"
    f" --set target.kind=host{QUICK}",
}
"""What trains for long, and what is run instead: counted only, or with little training."""

WHOLE = {"edgekws compress lights.toml": "trains for long; the page's run with fewer clips is run"}
"""Commands that are only read where nothing follows them, and why."""

FOREIGN = {"ssh", "scp", "ssh-copy-id", "arecord", "pytest", "python3", ".", "pip", "make"}
FOREIGN |= {"cc", "./hello", "./lights-c/kws", "vela", "docker", "sudo", "journalctl", "apt"}
"""Programs that are no part of edgekws."""

README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
TUTORIAL = ROOT / "docs" / "tutorial.md"
BUDGET = ROOT / "docs" / "how-to" / "budget-in-ci.md"
PORTABLE_C = ROOT / "docs" / "how-to" / "portable-c.md"
MICROCONTROLLERS = ROOT / "docs" / "how-to" / "microcontrollers.md"
WEB_PAGE = ROOT / "docs" / "how-to" / "web-page.md"
OWN_RECORDINGS = ROOT / "docs" / "how-to" / "own-recordings.md"
WAKE_WORDS = ROOT / "docs" / "how-to" / "wake-words.md"
NEW_BACKBONE = ROOT / "docs" / "how-to" / "new-backbone.md"
ALONE = (
    ROOT / "docs" / "how-to" / "raspberry-pi.md",
    ROOT / "docs" / "how-to" / "sweep.md",
    ROOT / "docs" / "troubleshooting.md",
)
"""Pages whose commands need nothing of another page."""

FOLLOWED = {
    README,
    CONTRIBUTING,
    TUTORIAL,
    BUDGET,
    PORTABLE_C,
    MICROCONTROLLERS,
    WEB_PAGE,
    OWN_RECORDINGS,
    WAKE_WORDS,
    NEW_BACKBONE,
    *ALONE,
}


def listed(page: Path, command: str) -> str | None:
    """Return why a command is only read, `None` where it is run."""
    if page.parent.name == "results":
        return ON_RESULTS
    if command in WHOLE:
        return WHOLE[command]
    return next((why for start, why in ELSEWHERE.items() if command.startswith(start)), None)


ALL = [(page, command) for page in pages() for command in commands(page)]
EDGEKWS = [
    pytest.param(part[1:], id=f"{page.stem}-{n}")
    for n, (page, command) in enumerate(ALL)
    for part in programs(command)
    if part and part[0] == "edgekws"
]


def test_the_pages_show_commands() -> None:
    assert len(ALL) >= 60
    assert len([1 for page, command in ALL if listed(page, command) is None]) >= 30


@pytest.mark.parametrize("arguments", EDGEKWS)
def test_the_command_line_takes_it(arguments: list[str]) -> None:
    guide.parse(arguments)


@pytest.mark.parametrize(
    "arguments", [["compres", "x"], ["compress", "x", "--sett", "a=1"], ["data", "sing"]]
)
def test_what_the_command_line_does_not_take_is_found(arguments: list[str]) -> None:
    with pytest.raises(Exception, match=r"compres|--sett|sing"):
        guide.parse(arguments)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_commands_in_sentences_exist(page: Path) -> None:
    for words in guide.inline(page):
        options = guide.options_of(words)
        assert options is not None, words
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert used <= options, words


@pytest.mark.parametrize(
    ("page", "command"), ALL, ids=[f"{p.stem}-{n}" for n, (p, _) in enumerate(ALL)]
)
def test_other_programs_are_known(page: Path, command: str) -> None:
    for program, *arguments in filter(None, programs(command)):
        if program.endswith("python") and arguments[0].endswith(".py"):
            script = re.sub(r"^.*detect\.py$", "edgekws/runtime/detect.py", arguments[0])
            source = (ROOT / script).read_text(encoding="utf-8")
            assert [a for a in arguments if a.startswith("--") and f'"{a}"' not in source] == []
        elif program == "make" and arguments[0] != "-C":
            assert f"\n{arguments[0]}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
        elif program == "pip" or program.endswith("/pip"):
            extras = set(re.findall(r"\.\[(\w+)\]", command))
            project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
            assert extras <= set(project["project"]["optional-dependencies"])
        else:
            assert program in FOREIGN | {"edgekws"}, command


def test_no_list_names_what_no_page_shows() -> None:
    shown = [command for _, command in ALL]
    stale = [start for start in ELSEWHERE if not any(one.startswith(start) for one in shown)]
    assert stale == []
    assert [command for command in (*SHORT, *WHOLE) if command not in shown] == []


def test_toml_on_the_pages_can_be_read() -> None:
    found = [block for page in pages() for block in blocks(page) if block.language == "toml"]
    assert len(found) >= 6
    for block in found:
        tomllib.loads(block.text)


class Reader:
    """Somebody who follows a page in an empty folder: saves its files, and types its commands."""

    def __init__(self, folder: Path, cache: Path, program: Program) -> None:
        self.folder = folder
        programs = folder.parent / f"{folder.name}-bin"
        programs.mkdir()
        (programs / "edgekws").symlink_to(program.executable)
        for name, arguments in {"python": "", "pytest": "-m pytest"}.items():
            script = f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n'
            (programs / name).write_text(script)
            (programs / name).chmod(0o755)
        paths = [os.environ.get("PYTHONPATH", ""), str(ROOT)]
        self.environment = os.environ | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "EDGEKWS_CACHE": str(cache),
            "OMP_NUM_THREADS": "1",
            "NO_COLOR": "1",
            "BROWSER": "true",
        }

    def follow(self, page: Path) -> list[str]:
        """Return the commands that were run."""
        assert page in FOLLOWED
        done = []
        for block in blocks(page):
            if block.file:
                file = self.folder / block.file
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text, encoding="utf-8")
            for command in block.commands:
                if listed(page, command) is None:
                    self.type(SHORT.get(command, command))
                    done.append(command)
        assert done, page
        return done

    def type(self, command: str) -> None:
        """Run a command as a shell does."""
        if command.startswith("edgekws compress lights.toml --set"):
            command += QUICK
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def reader(tmp_path: Path, cache: Path, program: Program) -> Reader:
    folder = tmp_path / "page"
    folder.mkdir()
    return Reader(folder, cache, program)


def test_tutorial_and_the_pages_that_build_on_it(reader: Reader) -> None:
    reader.follow(TUTORIAL)
    reader.follow(BUDGET)
    if shutil.which("cc") and shutil.which("make"):
        reader.follow(PORTABLE_C)
        reader.follow(MICROCONTROLLERS)
    if not wasm.missing():
        reader.follow(WEB_PAGE)
    verdicts = (reader.folder / "budget.jsonl").read_text(encoding="utf-8")
    assert all(json.loads(line) for line in verdicts.splitlines())
    assert (reader.folder / "lights.zip").is_file()


def test_own_recordings(reader: Reader) -> None:
    bundles = reader.folder / "dist"
    bundles.mkdir()
    (bundles / "own-before").symlink_to(bundles / "own")
    reader.follow(OWN_RECORDINGS)
    assert (reader.folder / "labels.csv").is_file()
    assert (reader.folder / "more" / "manifest.csv").is_file()


def test_wake_words(reader: Reader) -> None:
    sentences(reader.folder)
    reader.follow(WAKE_WORDS)
    assert (reader.folder / "labels.txt").is_file()
    assert list((reader.folder / "events").iterdir())


def sentences(folder: Path) -> None:
    """Write what a run of `wake-words` leaves: a bundle that hears tones, and a table of them."""
    made = tone_bundle.make(folder, streaming=True)
    (folder / "dist").mkdir()
    made.rename(folder / "dist" / "wake-words")
    run = folder / "runs" / "wake-words" / "latest"
    run.mkdir(parents=True)
    low, high = tone_bundle.TONES
    rows = ["file,label,speaker,split,start_s,end_s"]
    for n, split in enumerate(["dev"] * 3 + ["test"] * 3):
        said = {0.7: low, 3.1: high}
        soundfile.write(run / f"{n}.wav", tone_bundle.track(5.0, said, seed=n), tone_bundle.RATE)
        rows += [f"{n}.wav,{w},s{n},{split},{t},{t + tone_bundle.BURST_S}" for t, w in said.items()]
    (run / "clips.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for name in ("talk/a/1.wav", "talk/b/1.wav", "recording.wav", "recording.flac"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, tone_bundle.track(6.0, {}, seed=9), tone_bundle.RATE)


@pytest.mark.parametrize("page", ALONE, ids=lambda page: page.stem)
def test_pages_that_need_nothing_before(reader: Reader, page: Path) -> None:
    reader.follow(page)


def test_readme(reader: Reader, packed: Path) -> None:
    shutil.copytree(packed, reader.folder / "dist" / "quickstart")
    reader.follow(README)


def test_new_backbone(reader: Reader) -> None:
    for part in ("edgekws", "tests", "tools", "docs", "recipes"):
        unneeded = shutil.ignore_patterns("__pycache__", "results")
        shutil.copytree(ROOT / part, reader.folder / part, ignore=unneeded)
    shutil.copy(ROOT / "pyproject.toml", reader.folder)
    before = (ROOT / "docs" / "recipe.schema.json").read_text(encoding="utf-8")
    reader.environment["PYTHONPATH"] = str(reader.folder)
    reader.follow(NEW_BACKBONE)
    reader.follow(CONTRIBUTING)
    after = (reader.folder / "docs" / "recipe.schema.json").read_text(encoding="utf-8")
    assert "two_kernels" in after
    assert "two_kernels" not in before
    reference = (reader.folder / "docs" / "reference" / "recipe.md").read_text(encoding="utf-8")
    assert "### Backbone two_kernels" in reference


def test_every_page_with_commands_to_run_is_followed() -> None:
    assert {page for page, command in ALL if listed(page, command) is None} == FOLLOWED
