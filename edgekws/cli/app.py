"""The application: global options and error handling."""

import math
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from edgekws.about import version as installed_version
from edgekws.cli import (
    adapt_commands,
    bundle_commands,
    cache_commands,
    calibrate_commands,
    commands,
    data_commands,
    evaluate_commands,
    process,
    profile_commands,
    record_commands,
    search_commands,
    serve_commands,
    setup_commands,
    stream_commands,
    words_commands,
)
from edgekws.cli.process import encode_plainly, write_line
from edgekws.core.paths import UNUSABLE, user_path
from edgekws.errors import EdgekwsError, UsageError, reason

_AGAIN = "interrupted; run the same command again to resume"


class _Group(TyperGroup):
    """Turns errors into a message and the exit code of their cause."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except EdgekwsError as error:
            _fail(f"error: {error}", error.exit_code, debug=ctx.params.get("debug"))
        except ModuleNotFoundError as error:
            from edgekws.engine.parts import missing_part

            part = missing_part(error)
            if part is None:
                raise
            _fail(f"error: {part}", part.exit_code, debug=ctx.params.get("debug"))
        except KeyboardInterrupt:
            _fail(_AGAIN, 130, debug=False)
        except MemoryError:
            text = "error: this machine has not enough memory; close other programs and try again"
            _fail(text, 1, debug=ctx.params.get("debug"))
        except OSError as error:
            if error.errno in UNUSABLE:
                name = str(error.filename)[:80]
                _fail(f"error: {name}: {UNUSABLE[error.errno]}", 2, debug=ctx.params.get("debug"))
            _fail(f"error: {reason(error)}", 1, debug=ctx.params.get("debug"))
        except typer.Exit:
            raise
        except BaseException:
            if not process.INTERRUPTED.is_set():
                raise
            _fail(_AGAIN, 130, debug=ctx.params.get("debug"))


class _Command(TyperCommand):
    """Refuses impossible paths and infinite numbers, for every command.

    It also expands the `~` of paths.
    """

    def invoke(self, ctx: Any) -> Any:
        options = {param.name: param.opts[0] for param in self.params}
        for name, value in ctx.params.items():
            if isinstance(value, float) and math.isinf(value):
                raise UsageError(f"{options[name]} {value}: expected a finite number")
            if isinstance(value, Path):
                ctx.params[name] = user_path(value)
            elif isinstance(value, list | tuple):
                paths = [user_path(v) if isinstance(v, Path) else v for v in value]
                ctx.params[name] = paths
        return super().invoke(ctx)


def _fail(text: str, exit_code: int, *, debug: bool | None) -> None:
    from edgekws.cli.console import show_error

    if debug:
        traceback.print_exc()
    if process.INTERRUPTED.is_set():  # in an import, say, which torch then takes for a failure
        text, exit_code = _AGAIN, 130
    show_error(text)
    raise typer.Exit(exit_code)


def show_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Report an unexpected exception in one line; --debug adds the traceback."""
    from edgekws.cli.console import show_error

    if "--debug" in sys.argv[1:]:
        traceback.print_exception(kind, error, trace)
    lines = str(error).strip().splitlines() or [""]
    show_error(f"a bug: {kind.__name__}: {lines[0]}; run again with edgekws --debug … to see where")


app = typer.Typer(
    name="edgekws",
    cls=_Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        write_line(f"edgekws {installed_version()}")
        raise typer.Exit


@app.callback()
def edgekws(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; before the command.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Turn a recipe into a keyword spotter that fits an edge device, and prove that it fits.

    \b
    Examples:
      edgekws init --list            recipes to start from
      edgekws words "turn on" --output lamp    from words to a bundle
      edgekws plan quickstart        predict size, MACs and latency
      edgekws compress quickstart    train, compress, measure, pack
      edgekws report runs/quickstart --open

    \b
    Exit codes: 0 done, 1 a bug or the machine failed, 2 bad recipe or usage,
    3 budget not met, 4 parity broken, 5 bad data, 6 missing dependency, 130 interrupted.
    """


for _command in (
    commands.compress,
    commands.plan,
    commands.check,
    profile_commands.profile,
    evaluate_commands.evaluate,
    evaluate_commands.compare,
    evaluate_commands.predict,
    record_commands.record,
    adapt_commands.adapt,
    stream_commands.detect,
    serve_commands.serve,
    calibrate_commands.calibrate,
    calibrate_commands.evaluate_events,
    search_commands.sweep,
    commands.report,
    bundle_commands.export,
    bundle_commands.verify,
    setup_commands.init,
    words_commands.words,
    setup_commands.doctor,
):
    app.command()(_command)
_groups = (data_commands.data, cache_commands.cache)
for _group in _groups:
    app.add_typer(_group)
_in_groups = (command for group in _groups for command in group.registered_commands)
for _registered in (*app.registered_commands, *_in_groups):
    _registered.cls = _Command


def main() -> None:
    """Run the command line."""
    sys.excepthook = show_bug
    encode_plainly(sys.stdout, sys.stderr)
    typer.main.get_command(app)(prog_name="edgekws")
