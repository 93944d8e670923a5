"""The best of a sweep as a recipe file."""

import json
from pathlib import Path
from typing import Any

from edgekws.core.output import write_text
from edgekws.errors import DataError, UsageError


def write_best(folder: Path, output: Path) -> None:
    """Write the recipe that a sweep found best: its base, and the values that were chosen.

    What the sweep's `[set]` shortened is not in it.

    Raises:
        UsageError: there are no results in `folder`.
        DataError: they cannot be read, or no trial came to its end.
        MachineError: `output` cannot be written.
    """
    told = _read(folder / "results.json")
    best = told["best"]
    if best is None:
        raise DataError(f"{folder}: no trial came to its end, so that there is no best one")
    bounds = ", ".join(f"{100 * bound:.1f}" for bound in best["ci95"] or ())
    interval = f" [{bounds}]" if bounds else ""
    score = f"{told['objective']} {100 * best['value']:.1f} %{interval} on dev"
    head = [f"# The best of the sweep {told['name']}: {score}, in the sweep's own short training."]
    head += [f"#   {text}" for text in best["overrides"]]
    write_text(output, "\n".join([*head, best["recipe"]]))


def _read(file: Path) -> dict[str, Any]:
    try:
        told: Any = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(told, dict) and {"best", "objective", "name"} <= told.keys():
            return told
    except OSError as error:
        raise UsageError(
            f"{file} is not there; name a folder that sweep wrote under runs/sweeps"
        ) from error
    except ValueError as error:
        raise DataError(f"{file} is no JSON; run the sweep again, which trains nothing") from error
    raise DataError(f"{file} is not the result of a sweep")
