"""Misses at several rates of false alarms an hour: a table over bundles and their recipes.

    python tools/continuous_table.py NAME=RECIPE:BUNDLE ... [--set dataset.root=DIR ...]
        [--rates 0.5 2 10] [--output docs/results/continuous.json]

Each bundle runs once, by the runtime of this version, over the dev and the test streams of its
recipe. For every rate, thresholds, smoothing and refractory time are chosen on dev as the step
`calibrate` chooses them; what they give on test is the table. The bundle's own settings are the
last row of each. Streams and scores are kept in the user's cache.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgekws.bundle.members import MANIFEST
from edgekws.core.environment import cache_folder
from edgekws.core.events import quiet
from edgekws.core.output import write_text
from edgekws.engine.data import Source
from edgekws.engine.listening import hear
from edgekws.recipe.load import load
from edgekws.runtime import detect
from edgekws.spotting.calibration import calibrate_on
from edgekws.spotting.results import EventEvaluation, evaluate_settings
from edgekws.spotting.scores import TOLERANCE_S, Scores, read_scores

RUNTIME = Path(detect.__file__)


def scores_of(bundle: Path, recipe: str, overrides: list[str]) -> tuple[Scores, Scores]:
    """Return the bundle's scores of the recipe's dev and test streams."""
    source = Source(load(recipe, overrides).recipe, cache_folder(), quiet)
    dev, test = (
        read_scores(hear(bundle, RUNTIME, split, source, cache_folder(), quiet))
        for split in ("dev", "test")
    )
    return dev, test


def figures(evaluation: EventEvaluation) -> dict[str, Any]:
    """Return misses and false alarms an hour of all keywords together, with 95 % intervals."""
    total = evaluation.total
    return {
        "keywords": total.labels,
        "misses": total.misses,
        "miss_rate": {"value": total.miss_rate, "ci95": total.miss_rate_ci95},
        "hours": evaluation.keyword_free_s / 3600,
        "false_alarms": total.false_alarms,
        "false_alarms_per_hour": {
            "value": total.false_alarms_per_hour,
            "ci95": total.false_alarms_per_hour_ci95,
        },
    }


def rows(bundle: Path, dev: Scores, test: Scores, rates: list[float]) -> Iterator[dict[str, Any]]:
    """Yield the figures for each rate, and those of the settings that the bundle ships."""
    for rate in rates:
        settings, on_dev = calibrate_on(dev, rate, TOLERANCE_S, quiet, {})
        on_test = evaluate_settings(test, settings, TOLERANCE_S)
        yield {"allowed_per_hour": rate, "dev": figures(on_dev), "test": figures(on_test)}
    settings = json.loads((bundle / MANIFEST).read_text("utf-8"))["detection"]
    shipped = (evaluate_settings(scores, settings, TOLERANCE_S) for scores in (dev, test))
    yield {"allowed_per_hour": "as shipped"} | dict(
        zip(("dev", "test"), map(figures, shipped), strict=True)
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="+", metavar="NAME=RECIPE:BUNDLE")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--rates", nargs="+", type=float, default=[0.5, 2, 10])
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    table = {}
    for argument in options.bundles:
        name, _, place = argument.partition("=")
        recipe, _, folder = place.partition(":")
        bundle = Path(folder)
        dev, test = scores_of(bundle, recipe, options.set)
        table[name] = list(rows(bundle, dev, test, options.rates))
        for row in table[name]:
            rate, false_alarms = row["test"]["miss_rate"], row["test"]["false_alarms_per_hour"]
            print(
                f"{name}, {row['allowed_per_hour']}/h allowed on dev: test misses "
                f"{rate['value']:.1%}, {false_alarms['value']:.1f} false alarms/h", flush=True
            )  # fmt: skip
    if options.output:
        known = json.loads(options.output.read_text("utf-8")) if options.output.is_file() else {}
        text = json.dumps(known | table, ensure_ascii=False, indent=1)
        write_text(options.output, f"{text}\n")


if __name__ == "__main__":
    main()
