"""The commands before the first run: init writes a recipe, doctor checks the machine."""

import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekws.cli.commands import Json, view_for
from edgekws.core.output import is_stream, write_text
from edgekws.errors import MissingPartError, UsageError
from edgekws.report.shown import Shown, recipe_result

if TYPE_CHECKING:
    from edgekws.engine.doctor import Check

_LIMITS = {
    "max_params": "Parameters, at most",
    "max_macs": "MACs for one second of audio, at most",
    "max_size_kib": "Size in KiB, at most",
}

Given = dict[str, Any]
"""Options and answers; `None` where there is none."""


def init(
    keywords: Annotated[
        str | None,
        typer.Option("--keywords", metavar="WORDS", help="Words to spot, separated by commas."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Recordings, as <DIR>/<word>/<recording>."),
    ] = None,
    negatives: Annotated[
        list[Path] | None,
        typer.Option(
            "--negatives",
            metavar="PATH",
            help="With --data, speech without a keyword: folder, recording or table; repeatable. "
            "Without it, sentences are synthesized.",
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            "--language", help="Language of the synthesizer (en); no effect with --negatives."
        ),
    ] = None,
    max_params: Annotated[
        int | None, typer.Option("--max-params", min=1, help="Maximum parameters (10000).")
    ] = None,
    max_macs: Annotated[
        int | None,
        typer.Option("--max-macs", min=1, help="Maximum MACs per second of audio (1000000)."),
    ] = None,
    max_size_kib: Annotated[
        int | None, typer.Option("--max-size-kib", min=1, help="Maximum size in KiB (40).")
    ] = None,
    target: Annotated[
        str, typer.Option("--target", help="Where latency is measured: host, or ssh with --host.")
    ] = "host",
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="USER@MACHINE", help="The machine of --target ssh."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="The recipe to write.")
    ] = Path("recipe.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="Show the built-in recipes.")] = False,
    json: Json = False,
) -> None:
    """Write a commented recipe to start from.

    On a terminal, init asks for missing options; elsewhere they take their defaults.
    Without --keywords, every word folder of --data is a keyword.

    \b
    Examples:
      edgekws init --list
      edgekws init --keywords lights,music --output lights.toml
      edgekws init --data recordings --keywords yes,no --negatives talk --max-params 8000
    """
    if listing:
        _list(json=json)
        return
    if output.exists() and not is_stream(output) and not force:
        raise UsageError(f"{output} is there already; --output names another, --force replaces it")
    limits = {"max_params": max_params, "max_macs": max_macs, "max_size_kib": max_size_kib}
    source = {"keywords": keywords, "data": data, "negatives": negatives, "language": language}
    given: Given = source | limits
    if sys.stdin is not None and sys.stdin.isatty() and not json:
        given = _ask(given)
    write_text(output, _recipe(given | {"target": target, "host": host}, output))
    with view_for(json) as view:
        view.show(recipe_result(output))


def doctor(json: Json = False) -> None:
    """Check this machine: what is installed, what is missing, and how to get it.

    The exit code is 6 if something required is missing.

    \b
    Examples:
      edgekws doctor
      edgekws doctor --json
    """
    from edgekws.engine.doctor import examine

    checks = tuple(examine())
    with view_for(json) as view:
        view.show(_doctor_result(checks))
    if missing := [check for check in checks if check.status == "missing"]:
        raise MissingPartError(
            "missing: " + "; ".join(f"{check.name} ({check.advice})" for check in missing)
        )


def _doctor_result(checks: "Sequence[Check]") -> Shown:
    """Return a line per check, followed by advice where something is wrong."""
    from dataclasses import asdict

    ok = all(check.status != "missing" for check in checks)
    widest = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{check.status:<8}{check.name:<{widest}}  {check.detail}")
        lines += [f"{'':<{widest + 10}}{check.advice}"] if check.advice else []
    record = {"ok": ok, "checks": [asdict(check) for check in checks]}
    return Shown("doctor", (record,), (), lines, marked=True)


def _list(*, json: bool) -> None:
    from edgekws.recipe.load import builtin_sweeps, builtins

    ready = builtins() | builtin_sweeps()
    widest = max(map(len, ready), default=0)
    about = {name: _first_comment(path) for name, path in ready.items()}
    records = [
        {"name": name, "description": about[name], "path": str(path)}
        for name, path in ready.items()
    ]
    folders = sorted({str(path.parent) for path in ready.values()})
    lines = [f"{name:<{widest}}  {text}" for name, text in about.items()]
    lines += [f"in {folder}" for folder in folders]
    with view_for(json) as view:
        view.show(Shown("recipe", records, (), lines))


def _first_comment(path: Path) -> str:
    line = path.read_text(encoding="utf-8").partition("\n")[0]
    return line.lstrip("# ") if line.startswith("#") else ""


def _ask(given: Given) -> Given:
    """Ask for what is missing; an empty answer takes the default."""
    from edgekws.recipe.template import Answers

    try:
        if given["keywords"] is None and given["data"] is None:
            given |= {"keywords": _prompt("Words to spot, separated by commas", "lights, music")}
            folder = _prompt("Folder of recordings (empty: spoken by a synthesizer)", "")
            given |= {"data": Path(folder) if folder else None}
        if not given["negatives"] and given["language"] is None:
            given |= {"language": _prompt("Language of the synthesizer", Answers.language)}
        asked = {
            key: _prompt(question, getattr(Answers, key))
            for key, question in _LIMITS.items()
            if given[key] is None
        }
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    return given | asked


def _prompt(question: str, default: str | int) -> Any:
    return typer.prompt(question, default=default, err=True)


def _recipe(given: Given, output: Path) -> str:
    from edgekws.recipe.template import Answers, recipe_text

    composed = unicodedata.normalize("NFC", given["keywords"] or "")
    words = tuple(word.strip() for word in composed.split(",") if word.strip())
    if not words and given["data"] is None:
        raise UsageError("init needs --keywords WORDS, or --data DIR with a folder for each word")
    if given["negatives"] and given["language"] is not None:
        raise UsageError("--language is the synthesizer's; it has no effect with --negatives")
    if given["data"] is None and given["negatives"]:
        raise UsageError("--negatives has no effect without --data: sentences are spoken instead")
    answers = {key: value for key, value in given.items() if value is not None}
    lists = {"keywords": words, "negatives": tuple(given["negatives"] or ())}
    return recipe_text(Answers(**(answers | lists)), output)
