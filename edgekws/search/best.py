"""Write the best recipe of a sweep to a file."""

import json
from pathlib import Path
from typing import Any

from edgekws.core import figures
from edgekws.core.output import write_text
from edgekws.errors import DataError, UsageError


def write_best(folder: Path, output: Path) -> None:
    """Write the best recipe of a sweep: its base with the chosen values, without `[set]`.

    Raises:
        UsageError: there are no results in `folder`.
        DataError: they cannot be read, or no trial was completed.
        MachineError: `output` cannot be written.
    """
    results = _read(folder / "results.json")
    best = results["best"]
    if best is None:
        raise DataError(f"{folder}: no trial was completed, so there is no best one")
    score = figures.estimate(results["objective"], best["value"], best["ci95"])
    head = [
        f"# The best of the sweep {results['name']}: {results['objective']} {score} on dev, "
        "in the sweep's own short training."
    ]
    head += [f"#   {text}" for text in best["overrides"]]
    write_text(output, "\n".join([*head, best["recipe"]]))


def _read(file: Path) -> dict[str, Any]:
    try:
        results: Any = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(results, dict) and {"best", "objective", "name"} <= results.keys():
            return results
    except OSError as error:
        raise UsageError(
            f"{file} is not there; name a folder that sweep wrote under runs/sweeps"
        ) from error
    except ValueError as error:
        raise DataError(f"{file} is not JSON; run the sweep again, which trains nothing") from error
    raise DataError(f"{file} is not the result of a sweep")
