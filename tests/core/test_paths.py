"""Paths that no file can have are refused by one function, whatever command is given them."""

from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperCommand
from typer.main import get_command
from typer.testing import CliRunner

from edgekws.cli.app import app
from edgekws.core.paths import read_regular, user_path
from edgekws.errors import UsageError

PROBLEMS = {
    "a" * 5000: "longer than a file system allows",
    "a\0b": "cannot hold the character NUL",
    "~nobody-has-this-name/x": "is not the home of a known user",
    "a\ud800": "half of a UTF-16 pair",
}


@pytest.mark.parametrize("path", PROBLEMS)
def test_a_path_that_no_file_can_have_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match=PROBLEMS[path]) as raised:
        user_path(path)
    assert len(str(raised.value)) < 200


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(UsageError, match="links form a loop"):
        user_path(tmp_path / "a" / "c")


def test_the_home_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert user_path("~/x") == Path("/somewhere/x")


def test_only_so_much_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_regular(tmp_path / "a", 5) == b"12345"
    with pytest.raises(ValueError, match="is larger than"):
        read_regular(tmp_path / "a", 4)


def test_every_command_looks_at_its_paths_first() -> None:
    group: Any = get_command(app)
    data = group.commands["data"].commands
    commands = {**group.commands, **data}
    del commands["data"]
    assert [n for n, c in commands.items() if type(c).invoke is TyperCommand.invoke] == []
    assert len(commands) >= 18


@pytest.mark.parametrize(
    "words",
    [
        ["report"],
        ["compress"],
        ["plan"],
        ["sweep"],
        ["verify"],
        ["compare", "--recipe", "quickstart", "x"],
        ["data", "explore"],
        ["data", "synth", "yes", "--output"],
        ["init", "--output"],
    ],
)
def test_a_command_refuses_it(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [*words, "a" * 5000])
    assert result.exit_code == 2
    assert "longer than a file" in " ".join(result.output.split())
