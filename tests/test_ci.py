"""What runs elsewhere names what is here: make's targets, scripts, versions, hooks."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def jobs(workflow: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return found


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_what_a_workflow_runs_is_there(workflow: Path) -> None:
    runs = [
        step["run"] for job in jobs(workflow).values() for step in job["steps"] if "run" in step
    ]
    assert runs
    for run in runs:
        for target in re.findall(r"\bmake (\w+)", run):
            assert f"\n{target}:" in MAKEFILE
        for script in re.findall(r"^\.[\w/.]+\.sh", run, re.MULTILINE):
            assert os.access(ROOT / script, os.X_OK)


def test_every_python_that_the_package_names_is_tested() -> None:
    matrix = jobs(ROOT / ".github" / "workflows" / "tests.yml")["tests"]["strategy"]["matrix"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert set(named) <= set(matrix["python"])
    assert any(row["os"].endswith("-arm") for row in matrix["include"])


def test_hooks_check_what_make_lint_checks() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    hooks = yaml.safe_load(text)["repos"][0]["hooks"]
    programs = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in hooks}
    assert programs == set(re.findall(r"^\t\$\(BIN\)/(\w+)", _rule("lint"), re.MULTILINE))


def test_the_demo_installs_the_package_alone_and_the_tests_all_they_need() -> None:
    assert _rule("demo").startswith("demo: .venv/.installed\n")
    assert _rule("lint").startswith("lint: .venv/.installed-dev\n")
    assert "\t$(PIP) .\n" in _rule(".venv/.installed")
    assert "\t$(PIP) '.[dev]'\n" in _rule(".venv/.installed-dev")
    assert " --no-compile " in re.findall(r"^PIP := .*", MAKEFILE, re.MULTILINE)[0]
    assert "\tPYTHONDONTWRITEBYTECODE= $(BIN)/edgekws compress " in _rule("demo")
    needed_by_tests_alone = {"ray", "mypy", "playwright", "pytest", "sphinx"}
    plain = {re.split(r"[\[><=]", one)[0] for one in PROJECT["dependencies"]}
    assert not needed_by_tests_alone & plain


def test_every_package_of_the_docs_is_pinned() -> None:
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower()
    for requirement in PROJECT["optional-dependencies"]["docs"]:
        assert f"\n{re.split('[><=]', requirement)[0]}==" in pinned


def _rule(target: str) -> str:
    """Return a rule of the Makefile, its recipe included."""
    (rule,) = re.findall(rf"^{re.escape(target)}:.*\n(?:\t.*\n)*", MAKEFILE, re.MULTILINE)
    return str(rule)
