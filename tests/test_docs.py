"""Every figure of README.md and of the pages in docs/ is that of its JSON file."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgekws.core import figures
from edgekws.core.measurement import METRICS
from edgekws.recipe.json_schema import properties, recipe_schema
from tools import reference_pages, render_docs
from tools.command_reference import every_command
from tools.networks_table import count
from tools.render_docs import PageError, bare_figures, numbers

ROOT = Path(__file__).parents[1]
TEMPLATES = sorted((ROOT / render_docs.TEMPLATES).rglob("*.jinja"))
DATA = sorted((ROOT / "docs" / "results").glob("*.json"))
REFERENCE = ROOT / "docs" / "reference"
FOLDER = re.compile(r"(?<![\w.*)}/])/\w+/\w")
"""How the path of a folder starts, and a path inside of `DIR` does not."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The pages, their templates and their data, to change."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "README.md", tmp_path)
    return tmp_path


def render(root: Path) -> dict[str, str]:
    return {page.name: text for page, text in render_docs.pages(root)}


def tool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "tools" / "render_docs.py"), *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def change(file: Path, value: Any, *keys: str | int) -> None:
    data = json.loads(file.read_text(encoding="utf-8"))
    inside = data
    for key in keys[:-1]:
        inside = inside[key]
    inside[keys[-1]] = value
    file.write_text(json.dumps(data), encoding="utf-8")


def test_pages_are_what_their_data_say() -> None:
    done = tool("--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_every_page_with_figures_has_a_template() -> None:
    pages = {ROOT / "README.md", *(ROOT / "docs").rglob("*.md")}
    rendered = dict(render_docs.pages())
    assert len(rendered) >= 7
    assert set(rendered) <= pages
    result = re.compile(r"(?<!Python )\d\.\d+|\d (%|points|µs|ms|KiB|MiB|GiB|×|[kMG])(?!\w)")
    written = {page for page in pages - set(rendered) if page.parent != REFERENCE}
    without = {page.name: page.read_text(encoding="utf-8") for page in written}
    for name, text in without.items():
        assert not result.findall(re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)), name


def test_hundreds_of_figures_come_from_data() -> None:
    printed = {page: len(numbers(text)) for page, text in render_docs.pages(ROOT)}
    assert sum(printed.values()) >= 1000, printed
    explanations = {page for page in printed if page.parent.name == "explanation"}
    assert min(printed[page] for page in set(printed) - explanations) >= 15, printed
    assert min(printed[page] for page in explanations) >= 5, printed


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_hold_no_figure_of_their_own(template: Path) -> None:
    assert bare_figures(template.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "gets 96.7 % right",
        "takes 34µs",
        "-0.15 points",
        "was 16th of them",
        "9,812 parameters",
        "five of the 60",
        "five of the clips",
        "two to three points",
        "takes twice as long",
        "a fifth longer",
        "0.41 × the time",
        "{{ 96 | share }}",
        "{{ run.x * 0.97 }}",
        "{{ 'takes 34 µs' }}",
        "{# a comment #} of 611",
        "{% if run %}5 points{% endif %}",
    ],
)
def test_a_figure_of_its_own_is_found(text: str) -> None:
    assert len(bare_figures(text)) >= 1


@pytest.mark.parametrize(
    "text",
    [
        "INT8, FP32, 2-D, Conv1d, arabic-40, an 8-channel layer",
        "`max_params = 10_000` in [arabic-5](arabic-5.md)",
        "```\n--epochs 20\n```",
        "{{ run.accuracy|share }} of {{ rows[:4]|length }}",
        "{{ holds(x < 0.5, 'a claim') }}",
        "{# settings\n60 epochs: of the recipe\n#}\ntrained for 60\nepochs",
    ],
)
def test_names_code_data_and_settings_are_no_figures_of_its_own(text: str) -> None:
    assert bare_figures(text) == []


def test_a_setting_that_the_text_does_not_have_is_found() -> None:
    assert bare_figures("{# settings\n9 epochs: gone\n#}\ntext") == [
        "no such setting in the text: 9 epochs"
    ]


def test_a_page_follows_its_data(copy: Path) -> None:
    before = render(copy)
    report = copy / "docs" / "results" / "arabic-5.json"
    change(report, 9876, "results", -1, "measurements", 0, "value")
    after = render(copy)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"README.md", "index.md", "arabic-5.md"}
    assert "9,876" in after["README.md"]


def test_a_page_that_is_not_current_is_reported_and_can_be_written(copy: Path) -> None:
    change(copy / "docs" / "results" / "latency.json", 0.5, "profile", 0, "ratios", 0, "ratio")
    done = tool("--check", "--root", str(copy))
    assert done.returncode == 1
    page = copy / "docs" / "results" / "latency.md"
    assert done.stderr == (f"{page} is not current; write it with: python tools/render_docs.py\n")
    assert tool("--root", str(copy)).returncode == 0
    assert tool("--check", "--root", str(copy)).returncode == 0
    assert "0.500 [" in page.read_text(encoding="utf-8")


def test_a_claim_that_the_data_no_longer_show_stops(copy: Path) -> None:
    change(copy / "docs" / "results" / "ablation.json", "helps", "effects", 0, "verdict")
    with pytest.raises(PageError, match="neither has a measurable effect"):
        render(copy)
    done = tool("--check", "--root", str(copy))
    assert done.returncode == 1
    assert "rewrite the text" in done.stderr


def test_a_bare_figure_stops(copy: Path) -> None:
    page = copy / "docs" / "pages" / "results" / "ablation.md.jinja"
    with page.open("a", encoding="utf-8") as file:
        file.write("It takes 34 µs.\n")
    with pytest.raises(PageError, match="34 µs"):
        render(copy)


def test_more_seeds_are_told_with_their_mean(copy: Path) -> None:
    path = copy / "docs" / "results" / "arabic-40-seed-2.json"
    shutil.copy(copy / "docs" / "results" / "arabic-40.json", path)
    accuracy = [m["metric"] for m in json.loads(path.read_text())["results"][-1]["measurements"]]
    at = accuracy.index("accuracy")
    first = json.loads(path.read_text())["results"][-1]["measurements"][at]["value"]
    change(path, first - 0.1, "results", -1, "measurements", at, "value")
    mean = figures.share(first - 0.05)
    pages = render(copy)
    assert f"{mean} (mean of 2 seeds)" in pages["index.md"]
    assert f"**{mean}**" in pages["arabic-40.md"]


def test_a_metric_is_shown_as_soon_as_it_is_measured(copy: Path) -> None:
    path = copy / "docs" / "results" / "arabic-5.json"
    measurements = json.loads(path.read_text())["results"][-1]["measurements"]
    measurements = [one for one in measurements if one["metric"] != "keyword_recall"]
    change(path, measurements, "results", -1, "measurements")
    assert "words together" not in render(copy)["arabic-5.md"]
    more = {"metric": "keyword_recall", "value": 0.5, "ci95": None, "speakers": 3}
    change(path, [*measurements, more], "results", -1, "measurements")
    shown = r"- keyword clips, all words together: \S+( %)? \(3 speakers\) correct\n"
    assert re.search(shown, render(copy)["arabic-5.md"])


def strings(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield from (key, *strings(value))
    elif isinstance(data, list):
        for value in data:
            yield from strings(value)
    elif isinstance(data, str):
        yield data


@pytest.mark.parametrize("path", DATA, ids=lambda path: path.stem)
def test_data_name_no_folder_of_the_machine_they_are_from(path: Path) -> None:
    found = list(strings(json.loads(path.read_text(encoding="utf-8"))))
    assert len(found) > 10
    assert [text for text in found if FOLDER.search(text)] == []


def test_a_folder_of_a_machine_is_found() -> None:
    names = (
        "/home/me/data",
        "up to 1.7 s in /data/x/a.wav",
        "DIR/wuw2/a.wav",
        "a/b/c.wav",
        "× / s",
    )
    assert [bool(FOLDER.search(name)) for name in names] == [True, True, False, False, False]


def test_the_table_of_networks_is_what_is_counted() -> None:
    data = json.loads((ROOT / "docs" / "results" / "networks.json").read_text(encoding="utf-8"))
    one = next(row for row in data["networks"] if row["network"] == "conv1dnet")
    assert one["2d"] == count("conv1dnet", "2d")


def reference(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "tools" / "reference_pages.py"), *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_reference_pages_are_what_the_code_says() -> None:
    done = reference("--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert {page.name for page in REFERENCE.iterdir()} == set(reference_pages.PAGES)


def test_a_reference_page_that_is_not_current_is_reported(tmp_path: Path) -> None:
    folder = shutil.copytree(REFERENCE, tmp_path / "reference")
    page = folder / "metrics.md"
    page.write_text(page.read_text(encoding="utf-8").replace("KiB", "MiB"), encoding="utf-8")
    done = reference("--check", "--folder", str(folder))
    assert done.returncode == 1
    told = f"{page} is not current; write it with: python tools/reference_pages.py\n"
    assert done.stderr == told
    assert reference("--folder", str(folder)).returncode == 0
    assert reference("--check", "--folder", str(folder)).returncode == 0


def test_every_key_of_a_recipe_is_in_the_reference() -> None:
    text = (REFERENCE / "recipe.md").read_text(encoding="utf-8")
    keys = [key for table, key, _ in properties(recipe_schema()) if table != "budget"]
    assert len(keys) >= 190
    assert [key for key in keys if key != "kind" and f"| `{key}` |" not in text] == []


def test_every_command_and_every_option_is_in_the_reference() -> None:
    sections = (REFERENCE / "commands.md").read_text(encoding="utf-8").split("\n## edgekws ")
    assert len(sections) - 1 == len(list(every_command()))
    options = 0
    for name, command in every_command():
        (section,) = [one for one in sections if one.startswith(f"{name}\n")]
        for parameter in command.params:
            for option in parameter.opts if parameter.opts[0].startswith("-") else ():
                options += 1
                assert re.search(rf"`{option}[ `]", section), (name, option)
    assert options >= 80


def test_every_metric_and_every_exit_code_is_in_the_reference() -> None:
    assert set(reference_pages.MEANINGS) == set(METRICS)
    codes = (REFERENCE / "exit-codes.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| (\d+) \|", codes, re.MULTILINE)
    assert told == [str(code) for code in (*range(7), 130)]


def test_every_environment_variable_is_described_and_read() -> None:
    read = reference_pages.variables()
    assert read == set(reference_pages.READ) | set(reference_pages.SET)


def test_messages_in_troubleshooting_are_those_of_the_program() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    shown = re.findall(r"\*\*`([^`]+)`\*\*", page)
    assert len(shown) >= 15
    assert [text for text in shown if not any(text in one for one in said())] == []


def said() -> Iterator[str]:
    """Yield every text in the source of the package; of an f-string its parts."""
    for path in (ROOT / "edgekws").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
