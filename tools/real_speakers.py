"""Compare networks of one or more recipes on recordings of people, in pairs.

Each row of the comparison is `NAME=RECIPE:STEP`, a trained step of a recipe's chain, or
`NAME=RECIPE:STEP,STEP,…`, the same step with several seeds. The chains run as far as needed, and
each network is measured in FP32 on a Speech Commands folder with a table of `file` and `class`,
which nothing is trained on. Words that are no keywords are `_unknown_`.

    python tools/real_speakers.py REAL/train.csv --share 6 --output FILE.json \
        "labels alone=labels.toml:train" "with a teacher=taught.toml:seed_1,seed_2,seed_3"

`--share N` takes the clips of one speaker in N, to choose settings on; `--set KEY=VALUE` changes
all recipes. A row lists its difference from each row above, paired on the same clips.
"""

import argparse
import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.reading import read_audio
from edgekws.audio.waveforms import runner
from edgekws.core.contract import UNKNOWN
from edgekws.core.corpus import Examples
from edgekws.core.environment import cache_folder
from edgekws.core.events import Event
from edgekws.engine.chain import resolved, run_context
from edgekws.engine.chain_run import ChainRun
from edgekws.engine.data import Source
from edgekws.errors import UsageError
from edgekws.lowering import audio_graph, checkpoint, export, onnx_file, parity
from edgekws.metrics import graph
from edgekws.metrics.accuracy import accuracy
from edgekws.metrics.differences import System, difference, systems
from edgekws.recipe.load import load
from edgekws.runtime.detect import fit_window
from edgekws.runtime.front_end import log_mel

METRICS = ("accuracy", "macro_recall", "unknown_accepted")


@dataclass(frozen=True)
class Row:
    """A row of the comparison: `steps` differ in their seed alone."""

    name: str
    recipe: Path
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """What the networks of a row answer: `logits` are `(seeds, N, n_labels)`."""

    logits: NDArray[np.float32]
    params: int
    macs: int


def main() -> None:
    """Run the chains, measure, and write the results."""
    arguments = _parser().parse_args()
    measured: dict[str, Measured] = {}
    classes: set[tuple[str, ...]] = set()
    for recipe in dict.fromkeys(row.recipe for row in arguments.rows):
        rows = [row for row in arguments.rows if row.recipe == recipe]
        for name, found, examples, labels in _measured(recipe, rows, arguments):
            measured[name] = found
            classes.add(labels)
            if len(classes) > 1:
                raise UsageError(f"{recipe} has other labels than {arguments.rows[0].recipe}")
            print(json.dumps({"name": name, **_scores(found, examples, labels)}), flush=True)
    rows = _compared([row.name for row in arguments.rows], measured, examples, labels)
    result = {
        "table": arguments.table.name,
        "share": arguments.share,
        "set": arguments.set,
        "clips": len(examples),
        "speakers": len(set(examples.speakers.tolist())),
        "recipes": {
            row.recipe.name: row.recipe.read_text(encoding="utf-8") for row in arguments.rows
        },
        "rows": [
            {"recipe": row.recipe.name, "steps": row.steps, **found}
            for row, found in zip(arguments.rows, rows, strict=True)
        ],
    }
    arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("rows", type=_row, nargs="+", metavar="NAME=RECIPE:STEP,…")
    parser.add_argument("--share", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--output", type=Path, required=True)
    return parser


def _row(text: str) -> Row:
    name, is_row, rest = text.partition("=")
    recipe, has_steps, steps = rest.rpartition(":")
    if not (is_row and has_steps):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=RECIPE:STEP,…")
    return Row(name, Path(recipe), tuple(steps.split(",")))


def _measured(
    path: Path, rows: list[Row], arguments: argparse.Namespace
) -> Iterator[tuple[str, Measured, Examples, tuple[str, ...]]]:
    """Yield each row's name and networks, with the clips that they were measured on."""
    recipe = resolved(load(str(path), arguments.set).recipe)
    wanted = [step for row in rows for step in row.steps]
    missing = set(wanted) - {step.name for step in recipe.steps}
    if missing:
        raise UsageError(f"{path} has no step {', '.join(sorted(missing))}")
    source = Source(recipe, cache_folder(), show)
    labels = source.features.labels
    waves, examples = real_examples(arguments.table, arguments.share, source, set(labels))
    chain = ChainRun(run_context(source, recipe, cache_folder(), show))
    networks: dict[str, tuple[NDArray[np.float32], int, int]] = {}
    last = max(index for index, step in enumerate(recipe.steps) if step.name in wanted)
    for step in recipe.steps[: last + 1]:
        done = chain.run(step)
        if step.name in wanted:
            networks[step.name] = _network(done.artifact.path, step.gives, waves, examples, source)
    for row in rows:
        logits, params, macs = zip(*(networks[step] for step in row.steps), strict=True)
        yield row.name, Measured(np.stack(logits), params[0], macs[0]), examples, labels


def _network(
    path: Path, gives: str | None, waves: NDArray[np.float32], examples: Examples, source: Source
) -> tuple[NDArray[np.float32], int, int]:
    """Return the logits `(N, n_labels)` of a network, its parameters and its MACs."""
    if gives == "audio_teacher":
        embedding, layers = audio_graph.read(path)
        vectors = runner(embedding, source.front_end.sample_rate)(waves)
        model = onnx_file.load(path)[0]
        return audio_graph.logits(layers, vectors), graph.parameters(model), graph.macs(model)
    network, contract = checkpoint.load(path)
    logits = parity.torch_logits(network, examples.features, contract)
    model = export.export_lowered(network, contract)
    return logits, graph.parameters(model), graph.macs(model)


def _compared(
    names: list[str], measured: dict[str, Measured], examples: Examples, labels: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Return a row of figures for each name, with its differences from the rows above."""
    predicted = [list(measured[name].logits.argmax(axis=-1)) for name in names]
    counted = systems(predicted, examples, labels)
    return [
        {
            "name": name,
            "params": measured[name].params,
            "macs": measured[name].macs,
            **_scores(measured[name], examples, labels),
            "differences": {
                other: _difference(counted[i], counted[j]) for j, other in enumerate(names[:i])
            },
        }
        for i, name in enumerate(names)
    ]


def _difference(a: System, b: System) -> dict[str, Any]:
    found = difference(a, b)
    return {"value": found.value, "ci95": found.ci95, "p": found.p}


def _scores(found: Measured, examples: Examples, labels: tuple[str, ...]) -> dict[str, Any]:
    """Return the metrics of each seed, their means, and the recall of each label."""
    seeds = [
        {
            m.metric: {"value": m.value, "ci95": m.ci95}
            for m in accuracy(logits, examples, labels)
            if m.metric in METRICS
        }
        for logits in found.logits
    ]
    right = found.logits.argmax(axis=-1) == examples.targets  # (seeds, N)
    recall = {
        label: float(right[:, examples.targets == i].mean())
        for i, label in enumerate(labels)
        if (examples.targets == i).any()
    }
    means = {name: float(np.mean([seed[name]["value"] for seed in seeds])) for name in seeds[0]}
    return {"means": means, "seeds": seeds, "recall": recall}


def real_examples(
    table: Path, share: int, source: Source, words: set[str]
) -> tuple[NDArray[np.float32], Examples]:
    """Return the recordings of people as waveforms `(N, samples)` and as examples.

    Those of other words than `words` are `_unknown_`.
    """
    front_end, labels = source.front_end, source.features.labels
    with table.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if _number(_speaker(row)) % share == 0]
    waves = np.stack(
        [
            fit_window(
                read_audio(table.parent / row["file"], front_end.sample_rate),
                front_end.window_samples,
            )
            for row in rows
        ]
    )
    statistics = source.features.normalization
    mean, std = (np.array(part)[:, None] for part in (statistics.mean, statistics.std))
    features = np.stack([(log_mel(wave, front_end) - mean) / std for wave in waves])
    targets = [labels.index(r["class"] if r["class"] in words else UNKNOWN) for r in rows]
    speakers = np.array([_speaker(row) for row in rows])
    names = tuple(row["file"] for row in rows)
    return waves, Examples(features.astype(np.float32), np.array(targets), speakers, names)


def _speaker(row: dict[str, str]) -> str:
    return Path(row["file"]).name.partition("_")[0]


def _number(speaker: str) -> int:
    return int(hashlib.sha256(speaker.encode()).hexdigest(), 16)


def show(event: Event) -> None:
    """Print an event that is not about progress."""
    if event.kind != "progress":
        print(event.kind, event.text, flush=True)


if __name__ == "__main__":
    main()
