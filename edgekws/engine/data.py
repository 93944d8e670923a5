"""The recipe's dataset: its identity without reading audio, its features on first use."""

import json
import shutil
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekws.core.canonical import sha256_of
from edgekws.core.corpus import SPLITS, Clip, Listing, Rejected, Split, count_clips
from edgekws.core.environment import library_versions
from edgekws.core.events import Emit
from edgekws.core.source_code import closure, modules_of
from edgekws.core.store import build_folder
from edgekws.core.table import csv_text
from edgekws.datasets.listing.continuous import with_windows
from edgekws.errors import writing
from edgekws.recipe.model import Recipe
from edgekws.runtime.front_end import FrontEnd

if TYPE_CHECKING:
    from edgekws.audio.decoding import Corpus
    from edgekws.audio.effective_speakers import Speakers
    from edgekws.audio.features import Features
    from edgekws.audio.waveforms import Waveforms


_MODULES = {
    "edgekws.audio.decoding",
    "edgekws.audio.effective_speakers",
    "edgekws.audio.features",
    "edgekws.audio.waveforms",
    "edgekws.datasets.listing.continuous",
}


class Source:
    """The data of one recipe. Everything but `key` and `front_end` is built on first use."""

    def __init__(
        self, recipe: Recipe, cache: Path, emit: Emit, *, features_in: Path | None = None
    ) -> None:
        """Take the recipe; no data is read yet.

        The features are cached in `features_in`, if given, so that they can be removed separately.
        """
        self._recipe, self._cache, self._emit = recipe, cache, emit
        self._features_in = features_in or cache

    @property
    def front_end(self) -> FrontEnd:
        """The front end's parameters."""
        return self._recipe.front_end.front_end()

    @cached_property
    def key(self) -> str:
        """Identity of everything that the features depend on."""
        recipe = self._recipe
        modules = modules_of(recipe.dataset) | _MODULES
        return sha256_of(
            {
                "dataset": recipe.dataset.model_dump(mode="json"),
                "fingerprint": recipe.dataset.fingerprint(),
                "front_end": self.front_end.to_dict(),
                "augment": recipe.augment.model_dump(mode="json"),
                "continuous": recipe.continuous.model_dump(mode="json"),
                "seed": recipe.seed,
                "versions": library_versions(),
                "source": closure(modules),
            }
        )

    @cached_property
    def listing(self) -> Listing:
        """Every clip, before any audio is read."""
        recipe = self._recipe
        listing: Listing = recipe.dataset.list_clips(
            self.front_end, recipe.seed, self._cache, self._emit
        )
        return with_windows(
            listing, recipe.continuous, self.front_end, recipe.seed, self._cache, self._emit
        )

    @cached_property
    def corpus(self) -> "Corpus":
        """Every clip, decoded."""
        from edgekws.audio.decoding import decode

        return decode(self.listing, self.front_end, self._cache, self._emit)

    @cached_property
    def features(self) -> "Features":
        """The features of the corpus; implements `core.job.Data`."""
        from edgekws.audio.features import Features

        recipe = self._recipe
        return Features(
            self.corpus, self.front_end, recipe.augment, recipe.seed, self._features_in, self._emit
        )

    @cached_property
    def audio(self) -> "Waveforms":
        """The corpus as audio; implements `core.job.Audio`."""
        from edgekws.audio.waveforms import Waveforms

        recipe = self._recipe
        return Waveforms(
            self.corpus,
            self.front_end,
            recipe.augment,
            recipe.seed,
            lambda: self.features.normalization,
            self._features_in,
            self._emit,
        )

    def streams_key(self, split: Split) -> str:
        """Return the identity of the streams of a split."""
        return sha256_of([self.key, split, closure(["edgekws.spotting.held_out"])])

    def streams(self, split: Split) -> Path:
        """Return the folder of the streams of a split, written on first use."""

        def build(folder: Path) -> None:
            from edgekws.spotting.held_out import write_streams

            rate = self.front_end.sample_rate
            write_streams(self.corpus, self.listing, split, rate, folder, self._emit)

        return build_folder(self._cache / "streams" / self.streams_key(split), build, self._emit)

    def write_clips(self, path: Path) -> None:
        """Write a table of the clips and their splits: `file`, `label`, `speaker`, ….

        For windows, the source recordings are listed with the position of the word; recordings
        without a keyword are listed as `_unknown_`.
        """

        def build(folder: Path) -> None:
            _write_table(self.listing.recordings or self.listing.clips, folder / "clips.csv")

        folder = build_folder(self._cache / "clips" / self.key, build, self._emit)
        with writing(path, "name a folder with --runs"):
            shutil.copyfile(folder / "clips.csv", path)

    def summary(self) -> dict[str, Any]:
        """Return the report's summary of the data: counts, rejected clips, notes."""

        from edgekws.audio.effective_speakers import count_speakers, describe, encoder_identity

        def build(folder: Path) -> None:
            clips = self.listing.recordings or self.listing.clips
            counted = count_speakers(clips, self._cache, self._emit)
            summary = _summary(self.corpus) | _test_of(self.listing) | _speakers(counted)
            summary["notes"] += filter(None, [describe(counted)])
            (folder / "summary.json").write_text(json.dumps(summary))

        key = sha256_of([self.key, encoder_identity()])
        folder = build_folder(self._cache / "data" / key, build, self._emit)
        summary: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        return summary


def _write_table(clips: Sequence[Clip], path: Path) -> None:
    rows: list[tuple[Any, ...]] = [("file", "label", "speaker", "split", "start_s", "end_s")]
    for clip in clips:
        end_s = "" if clip.end_s is None else clip.end_s
        start_s = clip.start_s or ("" if clip.end_s is None else 0)
        file = str(clip.path.absolute())
        rows.append((file, clip.label, clip.speaker or "", clip.split, start_s, end_s))
    path.write_text(csv_text(rows), "utf-8", "backslashreplace", newline="")


def _summary(corpus: "Corpus") -> dict[str, Any]:
    clips = corpus.splits
    return {
        "counts": {
            split: {label: sum(c.label == label for c in clips[split]) for label in corpus.labels}
            for split in SPLITS
        },
        "speakers": {split: len({c.speaker for c in clips[split]} - {None}) for split in SPLITS},
        "rejected": _rejected(corpus),
        "fingerprint": corpus.fingerprint,
        "notes": [*_left_out(corpus), *corpus.notes],
    }


def _speakers(counted: "dict[str, Speakers]") -> dict[str, Any]:
    return {"effective_speakers": {split: one.to_dict() for split, one in counted.items()}}


def _test_of(listing: Listing) -> dict[str, Any]:
    """Return the kind of test, and the caveats with which to read it."""
    return {"kind_of_test": listing.kind_of_test, "test_caveats": list(listing.test_caveats)}


def _left_out(corpus: "Corpus") -> list[str]:
    """Return a note per reason, with the number of clips and of their recordings."""
    reasons: dict[str, list[Rejected]] = defaultdict(list)
    for clip in corpus.rejected:
        reasons[clip.reason].append(clip)
    return [f"left out as {reason}: {count_clips(of)}" for reason, of in sorted(reasons.items())]


def _rejected(corpus: "Corpus") -> list[dict[str, Any]]:
    """Return a row per recording and reason; `detail` is that of its first clip."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for clip in corpus.rejected:
        key = {"path": str(clip.path), "label": clip.label, "split": clip.split}
        key["reason"] = clip.reason
        row = rows.setdefault(tuple(key.values()), {**key, "clips": 0, "detail": clip.detail})
        row["clips"] += 1
    return list(rows.values())
