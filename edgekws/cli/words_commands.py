"""The command from typed words to a bundle: it writes a recipe, plans it and runs it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekws.cli.commands import Json, view_for
from edgekws.core.events import Event
from edgekws.core.output import write_text
from edgekws.errors import BudgetError, UsageError

if TYPE_CHECKING:
    from edgekws.recipe.template import Answers


def words(
    keywords: Annotated[list[str], typer.Argument(metavar="WORD…", help="Words or phrases.")],
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Folder for all results.")
    ],
    language: Annotated[
        str, typer.Option("--language", help="Language of the words: en, en-us, de, ar, …")
    ] = "en",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the recipe and show its plan; do not train.")
    ] = False,
    json: Json = False,
) -> None:
    """Build a spotter from typed words: no recordings, one command.

    Every installed engine that has the language speaks the words; with the extra
    edgekws[embedding], a pre-trained speech embedding is the teacher. The recipe is written to DIR,
    the report to its runs/ and the bundle to its dist/. To resume an interrupted run, repeat the
    command; to change more than the words, edit the recipe first.

    \b
    Examples:
      edgekws words "turn on" "turn off" --output lamp
      edgekws words "licht an" "licht aus" --language de --output licht --dry-run
    """
    from edgekws import api
    from edgekws.recipe.template import recipe_text, words_answers

    recipe = output / f"{output.absolute().name}.toml"
    answers = words_answers(tuple(keywords), language)
    with view_for(json) as view:
        if recipe.exists():
            voices = _voices_of(recipe, answers)
        else:
            voices = answers.voices
            write_text(recipe, recipe_text(answers, recipe))
        view.emit(Event("note", f"recipe: {recipe}; voices: {', '.join(voices)}"))
        planned = api.plan(recipe, emit=view.emit)
        view.show(planned.shown)
        if not planned.ok:
            raise BudgetError(planned.shown.problem)
        if dry_run:
            return
        result = api.compress(
            recipe,
            keep_going=True,
            runs=output / "runs",
            dist=output / "dist",
            emit=view.emit,
        )
        view.show(result.shown)
    if not result.ok:
        raise BudgetError(result.shown.problem)


def _voices_of(recipe: Path, answers: "Answers") -> tuple[str, ...]:
    """Return the engines of an existing recipe; refuse one for other words."""
    from edgekws.recipe.load import load

    dataset = load(recipe).recipe.dataset
    there = getattr(dataset, "keywords", ()), getattr(dataset, "language", None)
    if there != (answers.keywords, answers.language):
        raise UsageError(
            f"{recipe} is there already, for {', '.join(there[0])} ({there[1]}); "
            "--output names another folder"
        )
    return tuple(dict.fromkeys(engine.kind for engine in getattr(dataset, "voices", ())))
