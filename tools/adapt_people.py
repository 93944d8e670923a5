"""What `adapt` is worth to people that training never heard: misses before and after.

Each speaker of the test split with enough clips of every keyword is adapted to with the first
`--tune` clips of each, and judged on the others, in FP32. Nothing is chosen on these speakers.

    python tools/adapt_people.py RECIPE --checkpoint FILE --tune 5 --least 10 --output FILE.json

`--people TABLE`, with columns file, keyword, speaker, start_s and end_s, names other people: those
of a recipe whose words are spoken by synthesizers.
The checkpoint is that of the last step before quantization, as a run holds it. It gets features in
its own normalization. Misses are counted twice: of clips whose label is not the best, and of clips
whose posterior is below the threshold at which `--rate` of the clips without a keyword, of other
people, are accepted; that threshold is found for each network by itself.
"""

import argparse
import csv
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgekws.audio.reading import read_audio
from edgekws.core.canonical import sha256_file
from edgekws.core.contract import SILENCE, UNKNOWN, Normalization
from edgekws.core.corpus import Clip, Examples, Split
from edgekws.core.environment import cache_folder
from edgekws.core.events import quiet
from edgekws.core.job import Data, Job
from edgekws.datasets.listing.labels import letters
from edgekws.engine.data import Source
from edgekws.lowering import checkpoint
from edgekws.metrics.differences import difference, systems
from edgekws.recipe.load import load
from edgekws.runtime.detect import fit_window
from edgekws.steps._adapting import Adapter, Amounts, Weights
from edgekws.steps._person import Person, features
from edgekws.steps.adapt import Step
from edgekws.training.model import Model

Array = NDArray[np.float32]


class Normalized:
    """The data of a recipe in the normalization of a checkpoint; implements `core.job.Data`."""

    def __init__(self, data: Data, normalization: Normalization) -> None:
        """Take the data; its own normalization is undone."""
        self._data, self.normalization = data, normalization
        self.labels, self.front_end = data.labels, data.front_end
        old, new = data.normalization, normalization
        scale = np.array(old.std) / np.array(new.std)
        shift = (np.array(old.mean) - np.array(new.mean)) / np.array(new.std)
        self._scale, self._shift = (part[:, None].astype(np.float32) for part in (scale, shift))

    def examples(self, split: Split) -> Examples:
        """Return the clips of `split`."""
        clips = self._data.examples(split)
        return replace(clips, features=clips.features * self._scale + self._shift)

    def augmented(self, epoch: int) -> NDArray[np.float16]:
        """Return the augmented training clips."""
        clips = self._data.augmented(epoch).astype(np.float32)
        return np.asarray(clips * self._scale + self._shift, np.float16)

    def mask(
        self,
        features: Array,
        clips: NDArray[np.int64],
        epoch: int,
        strength: float = 1.0,
    ) -> Array:
        """Return a batch with SpecAugment applied."""
        return self._data.mask(features, clips, epoch, strength)

    def negatives(self) -> tuple[Array, ...]:
        """Return nothing: `adapt` does not need them."""
        return ()

    def calibration(self, n: int) -> NDArray[np.int64]:
        """Return indices of training clips."""
        return self._data.calibration(n)


def main() -> None:
    """Adapt to every speaker, judge, and write the results."""
    arguments = _parser().parse_args()
    recipe = load(arguments.recipe, arguments.set).recipe
    checkpoint_sha256 = sha256_file(arguments.checkpoint)  # a run in progress may move it
    source = Source(recipe, cache_folder(), quiet)
    network, contract = checkpoint.load(arguments.checkpoint)
    data = Normalized(source.features, contract.normalization)
    step = Step.model_validate({"kind": "adapt", "recordings": "."})
    bench = _Bench(source, data, network.state_dict(), contract, step, arguments)
    rows = [bench.row(speaker) for speaker in bench.speakers]
    result = {
        "recipe": recipe.name,
        "checkpoint_sha256": checkpoint_sha256,
        "tuned_per_word": arguments.tune,
        "least": arguments.least,
        "rate": arguments.rate,
        "seed": arguments.seed,
        "step": step.model_dump(mode="json", exclude={"recordings", "room", "name", "budget"}),
        "speakers": len(rows),
        "clips": sum(row["clips"] for row in rows),
        "totals": {key: _total(rows, key) for key in rows[0] if isinstance(rows[0][key], dict)},
        "recall_gain": bench.gain(),
        "rows": rows,
    }
    arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipe")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--people", type=Path)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--tune", type=int, default=5)
    parser.add_argument("--least", type=int, default=10)
    parser.add_argument("--rate", type=float, default=0.005)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--output", type=Path, required=True)
    return parser


class _Bench:
    """People, one network, and what it gets right before and after it is adapted to each."""

    def __init__(
        self,
        source: Source,
        data: Normalized,
        start: Weights,
        contract: Any,
        step: Step,
        arguments: argparse.Namespace,
    ) -> None:
        self._data, self._start, self._contract = data, start, contract
        self._step, self._arguments = step, arguments
        self._fillers = [i for i, n in enumerate(data.labels) if n in (UNKNOWN, SILENCE)]
        people = arguments.people
        self._clips = _table(people, data) if people else _keyword_clips(source, data)
        self._windows = np.stack([_window(clip, data) for clip in self._clips])
        self._targets = np.array([data.labels.index(clip.label) for clip in self._clips])
        self._people = np.array([clip.speaker for clip in self._clips])
        test = data.examples("test")
        self._test = test
        self._without = np.isin(test.targets, self._fillers)
        self._heard = features(self._windows, data.front_end, contract.normalization)
        self._judged: list[tuple[NDArray[np.int64], Array, Array]] = []

    @property
    def speakers(self) -> list[str]:
        """The speakers with enough clips of every keyword that anyone says."""
        return [
            person
            for person in np.unique(self._people).tolist()
            if all(
                np.count_nonzero((self._people == person) & (self._targets == keyword))
                >= self._arguments.least
                for keyword in np.unique(self._targets)
            )
        ]

    def row(self, speaker: str) -> dict[str, Any]:
        """Adapt to a speaker, and count."""
        own = np.flatnonzero(self._people == speaker)
        takes = _takes(self._targets[own])
        tune, judge = own[takes < self._arguments.tune], own[takes >= self._arguments.tune]
        tuned, part, seconds = self._adapted(tune, takes[takes < self._arguments.tune])
        logits = [self._logits(weights, self._heard) for weights in (self._start, tuned)]
        answers = [part.argmax(axis=1) for part in logits]
        self._judged.append((judge, logits[0][judge], logits[1][judge]))
        on_test = [self._logits(w, self._test.features) for w in (self._start, tuned)]
        others = self._people != speaker
        theirs = self._without & (self._test.speakers == speaker)
        rest = self._without & (self._test.speakers != speaker)
        row = {
            "speaker": speaker,
            "clips": len(judge),
            "misses": _counts(len(judge), [a[judge] != self._targets[judge] for a in answers]),
            "misses_at_rate": _counts(
                len(judge),
                [
                    self._missed(a[judge], b[rest], judge)
                    for a, b in zip(logits, on_test, strict=True)
                ],
            ),
            "own_other_words": self._accepted(on_test, theirs),
            "others_without_keyword": self._accepted(on_test, rest),
            "others_misses": _counts(
                int(others.sum()), [a[others] != self._targets[others] for a in answers]
            ),
            "part": part,
            "cpu_seconds": round(seconds, 1),
        }
        print(
            {key: row[key] for key in ("speaker", "misses", "misses_at_rate", "part")}, flush=True
        )
        return row

    def gain(self) -> dict[str, Any]:
        """Return the gain in recall over all judged clips, with its interval over speakers."""
        judged = np.concatenate([clips for clips, _, _ in self._judged])
        answers = [
            np.concatenate([part[k] for part in self._judged]).argmax(axis=1) for k in (2, 1)
        ]
        examples = Examples(
            self._heard[judged], self._targets[judged], self._people[judged], ("",) * len(judged)
        )
        after, before = systems([[part] for part in answers], examples, self._data.labels)
        found = difference(after, before)
        return {"value": found.value, "ci95": found.ci95}

    def _adapted(
        self, clips: NDArray[np.int64], takes: NDArray[np.int64]
    ) -> tuple[Weights, float, float]:
        """Return weights, the part of the way, and the seconds of CPU."""
        person = Person(self._windows[clips], self._targets[clips], takes, ())
        amounts = Amounts(self._step.replay, self._step.copies, self._step.share)
        with tempfile.TemporaryDirectory() as folder:
            job = Job(self._data, self._arguments.seed, "cpu", 1, Path(folder), quiet)
            started = time.process_time()
            adapter = Adapter(self._start, self._contract, person, amounts, job)
            every = np.arange(len(person))
            tuned = adapter.tuned(every, self._step.training, self._step.loss, Path(folder, "t"))
            return tuned.weights, tuned.part, time.process_time() - started

    def _missed(self, logits: Array, rest: Array, judge: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which clips score below the threshold at which the rate of `rest` is accepted."""
        keywords = [i for i in range(logits.shape[1]) if i not in self._fillers]
        highest = _posteriors(rest)[:, keywords].max(axis=1)
        threshold = np.quantile(highest, 1 - self._arguments.rate)
        own = _posteriors(logits)[np.arange(len(judge)), self._targets[judge]]
        return np.asarray(own <= threshold)

    def _accepted(self, logits: list[Array], chosen: NDArray[np.bool_]) -> dict[str, int]:
        accepted = [~np.isin(part[chosen].argmax(axis=1), self._fillers) for part in logits]
        return _counts(int(chosen.sum()), accepted)

    @torch.no_grad()
    def _logits(self, weights: Weights, clips: Array) -> Array:
        network = checkpoint.build(self._contract)
        network.load_state_dict(weights)
        model = Model.of(network.eval(), self._contract)
        return np.asarray(model.logits(torch.from_numpy(clips)).numpy())


def _keyword_clips(source: Source, data: Normalized) -> list[Clip]:
    """Return the clips of a keyword in test; of windows, the words that they were cut from."""
    listing = source.listing
    return [
        clip
        for clip in listing.recordings or listing.clips
        if clip.split == "test" and clip.label in data.labels and clip.label[:1] != "_"
    ]


def _table(path: Path, data: Normalized) -> list[Clip]:
    """Return the clips of a keyword in a table, whatever joins the words of a phrase there."""
    labels = {letters(label): label for label in data.labels}
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Clip(
                path.parent / row["file"],
                labels[letters(row["keyword"])],
                row["speaker"],
                "test",
                float(row["start_s"]),
                float(row["end_s"]),
            )
            for row in csv.DictReader(file)
            if letters(row["keyword"]) in labels
        ]


def _window(clip: Clip, data: Normalized) -> Array:
    """Return the clip, or the window with the word in its middle."""
    front_end = data.front_end
    start_s, end_s = clip.start_s, clip.end_s
    if end_s is not None:
        middle, half = (start_s + end_s) / 2, front_end.window_samples / front_end.sample_rate / 2
        start_s, end_s = max(0.0, middle - half), middle + half
    wave = read_audio(clip.path, front_end.sample_rate, start_s, end_s)
    return np.asarray(fit_window(wave, front_end.window_samples), np.float32)


def _takes(targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the clips of each label from 0."""
    takes = np.empty(len(targets), np.int64)
    for label in np.unique(targets):
        takes[targets == label] = np.arange(np.count_nonzero(targets == label))
    return takes


def _posteriors(logits: Array) -> NDArray[np.float64]:
    odds = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _counts(of: int, hits: list[NDArray[np.bool_]]) -> dict[str, int]:
    before, after = (int(np.count_nonzero(part)) for part in hits)
    return {"of": of, "before": before, "after": after}


def _total(rows: list[dict[str, Any]], key: str) -> dict[str, int]:
    return {name: sum(row[key][name] for row in rows) for name in rows[0][key]}


if __name__ == "__main__":
    main()
