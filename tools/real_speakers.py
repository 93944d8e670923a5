"""Measure every network of a recipe's chain on recordings of people.

Runs the chain as far as its last trained step, and measures each trained network in FP32 on a
Speech Commands folder with a table of `file` and `class`, which nothing is trained on. Words that
are no keywords are `_unknown_`.

    python tools/real_speakers.py words.toml REAL/train.csv --share 6 --output FILE.json

`--share N` takes the clips of one speaker in N, to choose settings on; `--set KEY=VALUE` changes
the recipe.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.waveforms import runner
from edgekws.core.corpus import Examples
from edgekws.core.environment import cache_folder
from edgekws.engine.chain import resolved, run_context
from edgekws.engine.chain_run import ChainRun
from edgekws.engine.data import Source
from edgekws.lowering import audio_graph, checkpoint, parity
from edgekws.metrics.accuracy import accuracy
from edgekws.recipe.load import load
from tools.embedding_ablation import METRICS, real_examples, show

TRAINED = ("teacher", "embedding_teacher", "distill", "mine", "adapt")


def main() -> None:
    """Run the chain, measure, and write the results."""
    arguments = _parser().parse_args()
    recipe = resolved(load(arguments.recipe, arguments.set).recipe)
    source = Source(recipe, cache_folder(), show)
    labels = source.features.labels
    waves, examples = real_examples(arguments.table, arguments.share, source, set(labels))
    chain = ChainRun(run_context(source, recipe, cache_folder(), show))
    rows = []
    for step in recipe.steps:
        if step.kind in TRAINED:
            done = chain.run(step)
            logits = _logits(done.artifact.path, step.gives, waves, examples, source)
            rows.append({"step": step.name, **_row(logits, examples, labels)})
            print(json.dumps(rows[-1]), flush=True)
    result = {
        "recipe": Path(arguments.recipe).name,
        "set": arguments.set,
        "table": arguments.table.name,
        "share": arguments.share,
        "clips": len(examples),
        "speakers": len(set(examples.speakers.tolist())),
        "rows": rows,
    }
    arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipe")
    parser.add_argument("table", type=Path)
    parser.add_argument("--share", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--output", type=Path, required=True)
    return parser


def _logits(
    path: Path, gives: str, waves: NDArray[np.float32], examples: Examples, source: Source
) -> NDArray[np.float32]:
    if gives == "audio_teacher":
        embedding, layers = audio_graph.read(path)
        vectors = runner(embedding, source.front_end.sample_rate)(waves)
        return audio_graph.logits(layers, vectors)
    network, contract = checkpoint.load(path)
    return parity.torch_logits(network, examples.features, contract)


def _row(
    logits: NDArray[np.float32], examples: Examples, labels: tuple[str, ...]
) -> dict[str, Any]:
    predicted = logits.argmax(axis=1)
    recalls = {
        label: float((predicted[examples.targets == i] == i).mean())
        for i, label in enumerate(labels)
        if (examples.targets == i).any()
    }
    measured = accuracy(logits, examples, labels)
    row = {m.metric: {"value": m.value, "ci95": m.ci95} for m in measured if m.metric in METRICS}
    return {**row, "recall": recalls}


if __name__ == "__main__":
    main()
