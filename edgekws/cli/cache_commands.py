"""The commands about the cache: what is in it, and how to make room."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekws.cli.commands import Json, view_for
from edgekws.errors import UsageError
from edgekws.report.shown import Shown

if TYPE_CHECKING:
    from edgekws.engine.cache import Entry
    from edgekws.report.tables import Table

GIB = 2**30
MIB = 2**20

cache = typer.Typer(
    name="cache",
    rich_markup_mode=None,
    invoke_without_command=True,
)


@cache.callback()
def show(ctx: typer.Context, json: Json = False) -> None:
    """Show what is in the cache, by kind and by recipe; `prune` makes room.

    EDGEKWS_CACHE moves the cache to another folder.

    \b
    Examples:
      edgekws cache
      edgekws cache prune --older-than 30
    """
    if ctx.invoked_subcommand is not None:
        return
    from edgekws.core.environment import cache_folder
    from edgekws.engine.cache import contents

    folder = cache_folder()
    entries = contents(folder)
    with view_for(json) as view:
        view.show(Shown("cache", (_record(folder, entries),), _tables(entries), (str(folder),)))


@cache.command()
def prune(
    older_than: Annotated[
        float | None,
        typer.Option("--older-than", min=0, metavar="DAYS", help="Entries not used for this long."),
    ] = None,
    max_size: Annotated[
        float | None,
        typer.Option(
            "--max-size",
            min=0,
            metavar="GIB",
            help="Least recently used entries, until the cache has this size.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", metavar="NAME", help="Entries that only this recipe has used."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be removed; remove nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Remove the cache entries that match all the given options.

    Removed entries are computed again when needed. Runs and bundles are not in the cache.

    \b
    Examples:
      edgekws cache prune --older-than 30 --dry-run
      edgekws cache prune --max-size 5
      edgekws cache prune --recipe quickstart
    """
    from edgekws.core.environment import cache_folder
    from edgekws.engine.cache import DAY_S, total
    from edgekws.engine.cache import prune as remove

    if older_than is None and max_size is None and recipe is None:
        raise UsageError("say what to remove: --older-than DAYS, --max-size GIB or --recipe NAME")
    folder = cache_folder()
    removed = remove(
        folder,
        older_than_s=None if older_than is None else older_than * DAY_S,
        most_bytes=None if max_size is None else round(max_size * GIB),
        recipe=recipe,
        dry_run=dry_run,
    )
    word = "would remove" if dry_run else "removed"
    line = f"{word} {_entries(len(removed))}, {_size(total(removed))}, from {folder}"
    with view_for(json) as view:
        record = {"dry_run": dry_run, **_record(folder, removed)}
        view.show(Shown("cache_pruned", (record,), (), (line,)))


def _record(folder: Path, entries: "Iterable[Entry]") -> dict[str, Any]:
    rows = [
        {
            "path": str(entry.path),
            "kind": entry.kind,
            "bytes": entry.size,
            "last_used": _date(entry.used),
            "recipes": list(entry.recipes),
            "complete": entry.complete,
        }
        for entry in entries
    ]
    return {"folder": str(folder), "bytes": sum(row["bytes"] for row in rows), "entries": rows}


def _tables(entries: "Iterable[Entry]") -> "tuple[Table, ...]":
    kinds: dict[str, list[Entry]] = defaultdict(list)
    recipes: dict[str, list[Entry]] = defaultdict(list)
    every: list[Entry] = []
    for entry in entries:
        every.append(entry)
        kinds[entry.kind].append(entry)
        for name in entry.recipes or ("(no recipe)",):
            recipes[name].append(entry)
    heads = ("entries", "size", "last used")
    rows = [*_rows(kinds), *_rows({"all": every} if every else {})]
    return (
        ("what is in the cache", ("kind", *heads), rows),
        ("which recipes use it (some share entries)", ("recipe", *heads), _rows(recipes)),
    )


def _rows(groups: "dict[str, list[Entry]]") -> list[tuple[str, str, str, str]]:
    from edgekws.engine.cache import total

    ordered = sorted(groups.items(), key=lambda group: -total(group[1]))
    return [
        (name, f"{len(group):,}", _size(total(group)), _date(max(entry.used for entry in group)))
        for name, group in ordered
    ]


def _entries(count: int) -> str:
    """Format a number of entries.

    >>> _entries(1), _entries(1200)
    ('1 entry', '1,200 entries')
    """
    return f"{count:,} {'entry' if count == 1 else 'entries'}"


def _size(size: int) -> str:
    """Format a number of bytes.

    >>> _size(3 * GIB // 2), _size(5 * MIB), _size(12_000)
    ('1.5 GiB', '5.0 MiB', '11.7 KiB')
    """
    for unit, name in ((GIB, "GiB"), (MIB, "MiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size / 1024:.1f} KiB"


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")
