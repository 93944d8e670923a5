"""The dataset as normalised log-mel, computed on first use and cached."""

import json
from collections.abc import Callable
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgekws.audio import augmentation, front_ends, long_features
from edgekws.audio.augmentation import Augment
from edgekws.audio.decoding import Corpus, identity
from edgekws.audio.parallel import in_parallel, spread
from edgekws.audio.rendering import augmented, clean
from edgekws.core.canonical import sha256_of
from edgekws.core.contract import Normalization
from edgekws.core.corpus import Clip, Examples, Split
from edgekws.core.events import Emit
from edgekws.core.output import in_utf8
from edgekws.core.source_code import fingerprint
from edgekws.core.store import allocate, build_folder, read_array
from edgekws.runtime.front_end import FrontEnd

R = TypeVar("R")

BLOCK = 32
"""Clips per batch of the front end."""

STD_FLOOR = 1e-2
"""Minimum standard deviation, so that a nearly constant band is not amplified."""


class Features:
    """Implements `core.job.Data` for a decoded corpus; arrays are mapped from the cache.

    torch is imported only if something has to be computed.
    """

    def __init__(
        self,
        corpus: Corpus,
        front_end: FrontEnd,
        augment: Augment,
        seed: int,
        cache: Path,
        emit: Emit,
    ) -> None:
        """Use the decoded clips; `cache` is the folder that contains `features`."""
        self._corpus = corpus
        self._front_end = front_end
        self._augment = augment
        self._seed = seed
        self._cache = cache
        self._emit = emit
        self._code = fingerprint(__name__)
        self._examples: dict[Split, Examples] = {}

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names, in the order of the logits."""
        return self._corpus.labels

    @property
    def front_end(self) -> FrontEnd:
        """The front end's parameters."""
        return self._front_end

    @cached_property
    def normalization(self) -> Normalization:
        """Mean and standard deviation of each band over all frames of the clean training clips.

        A front end with a fixed scale has 0 and 1.
        """
        folder = self._folder("train", self._write_train, {})
        written = json.loads((folder / "normalization.json").read_text())
        return Normalization(tuple(written["mean"]), tuple(written["std"]))

    def waveforms(self, split: Split) -> NDArray[np.int16]:
        """Return the clips of `split`, `(N, window_samples)` int16."""
        return self._corpus.waveforms(split)

    def examples(self, split: Split) -> Examples:
        """Return the clips of `split`, without augmentation.

        Raises:
            MachineError: the cache cannot be written.
        """
        if split not in self._examples:
            self._examples[split] = self._make_examples(split)
        return self._examples[split]

    def augmented(self, epoch: int) -> NDArray[np.float16]:
        """Return the training clips of epoch `epoch` with waveform augmentation, `(N, n_mels, T)`.

        Epoch `e` uses copy `e % copies`; with `copies = 0`, the original clips.

        Raises:
            MachineError: the cache cannot be written.
        """
        fields: dict[str, Any] = {"normalization": self._normalization_key}
        if self._augment.copies:
            copy = epoch % self._augment.copies
            waveform_fields = self._augment.model_dump(exclude={"spec_augment", "copies"})
            fields |= {"augment": waveform_fields, "seed": self._seed, "copy": copy}
            folder = self._folder("augmented", lambda f: self._write_augmented(f, copy), fields)
        else:
            folder = self._folder("half", self._write_half, fields)
        return read_array(folder / "features.f16", np.float16, self._shape("train"))

    def mask(
        self,
        features: NDArray[np.float32],
        clips: NDArray[np.int64],
        epoch: int,
        strength: float = 1.0,
    ) -> NDArray[np.float32]:
        """Return a batch `(B, n_mels, T)` with SpecAugment, seeded by (seed, epoch, clip).

        `strength` scales the widest mask of the recipe's `[augment]`.
        """
        spec = self._augment.spec_augment
        if spec is None:
            return features
        return augmentation.mask(features, spec, self._seed, epoch, clips, strength)

    def negatives(self) -> tuple[NDArray[np.float32], ...]:
        """Return the keyword-free training recordings at full length, `(n_mels, T)` each.

        Raises:
            DataError: a recording cannot be read.
        """
        clips = [clip for clip in self._corpus.negatives if clip.split == "train"]
        front_end = self._front_end
        fields = {"normalization": self._normalization_key, "clips": identity(clips)}
        write = partial(long_features.write, clips, front_end, self.normalization, self._emit)
        return long_features.read(self._folder("negatives", write, fields), front_end.n_mels)

    def calibration(self, n: int) -> NDArray[np.int64]:
        """Return the sorted indices of `n` training clips, stratified by label.

        Shares are rounded by largest remainder; with fewer than `n` clips, all are returned.
        """
        targets = self.examples("train").targets
        if n >= len(targets):
            return np.arange(len(targets))
        counts = np.bincount(targets, minlength=len(self.labels))
        shares = _largest_remainder(counts, n)
        random = np.random.default_rng([self._seed, len(targets), n])
        chosen = [
            random.choice(np.flatnonzero(targets == label), share, replace=False)
            for label, share in enumerate(shares)
        ]
        return np.sort(np.concatenate(chosen)).astype(np.int64)

    @property
    def _normalization_key(self) -> str:
        return self._key("train", {})

    def _make_examples(self, split: Split) -> Examples:
        if split == "train":
            folder = self._folder("train", self._write_train, {})
        else:
            fields = {"normalization": self._normalization_key}
            folder = self._folder(split, lambda f: self._write_clean(f, split), fields)
        clips = self._corpus.splits[split]
        index = {label: i for i, label in enumerate(self.labels)}
        heard = {clip.word for clip in self._corpus.splits["train"]}
        unheard = np.array([clip.word is not None and clip.word not in heard for clip in clips])
        return Examples(
            read_array(folder / "features.f32", np.float32, self._shape(split)),
            np.array([index[clip.label] for clip in clips], np.int64),
            np.array([clip.speaker or "" for clip in clips], np.str_),
            tuple(_name(clip) for clip in clips),
            unheard if unheard.any() else None,
        )

    def _shape(self, split: Split) -> tuple[int, int, int]:
        n_clips = len(self._corpus.splits[split])
        return n_clips, self._front_end.n_mels, self._front_end.n_frames

    def _key(self, what: str, fields: dict[str, Any]) -> str:
        return sha256_of(
            {
                "what": what,
                "corpus": self._corpus.fingerprint,
                "front_end": self._front_end.to_dict(),
                "versions": {name: version(name) for name in ("torch", "torchaudio", "numpy")},
                "code": self._code,
                **fields,
            }
        )

    def _folder(self, what: str, build: Callable[[Path], None], fields: dict[str, Any]) -> Path:
        target = self._cache / "features" / self._key(what, fields)
        return build_folder(target, build, self._emit)

    def _write_train(self, folder: Path) -> None:
        out = allocate(folder / "features.f32", np.float32, self._shape("train"))

        def write(part: slice, features: NDArray[np.float32]) -> NDArray[np.float64]:
            out[part] = features
            exact = features.astype(np.float64)
            return np.stack([exact.sum(axis=(0, 2)), np.square(exact).sum(axis=(0, 2))])

        render = partial(clean, self._corpus, "train")
        sums = self._in_blocks(len(out), render, write, "features")
        mean, square = np.sum(sums, axis=0) / (out.shape[0] * out.shape[2])
        std = np.maximum(np.sqrt(np.maximum(square - mean**2, 0)), STD_FLOOR)
        if fixed := front_ends.fixed_normalization(self._front_end):
            mean, std = np.array(fixed.mean), np.array(fixed.std)
        for part in _blocks(len(out)):
            out[part] = normalised(out[part], mean, std)
        written = {"mean": mean.tolist(), "std": std.tolist()}
        (folder / "normalization.json").write_text(json.dumps(written))

    def _write_clean(self, folder: Path, split: Split) -> None:
        out = allocate(folder / "features.f32", np.float32, self._shape(split))
        self._write_normalised(out, partial(clean, self._corpus, split), f"{split} features")

    def _write_augmented(self, folder: Path, copy: int) -> None:
        out = allocate(folder / "features.f16", np.float16, self._shape("train"))
        rate = self._front_end.sample_rate
        render = partial(augmented, self._corpus, self._augment, self._seed, copy, sample_rate=rate)
        text = f"augmentation {copy + 1} of {self._augment.copies}"
        with spread(render, len(out)) as render_part:
            self._write_normalised(out, render_part, text)

    def _write_half(self, folder: Path) -> None:
        out = allocate(folder / "features.f16", np.float16, self._shape("train"))
        clean = self.examples("train").features
        for part in _blocks(len(out)):
            out[part] = clean[part]

    def _write_normalised(
        self, out: NDArray[Any], render: Callable[[slice], list[NDArray[np.float32]]], text: str
    ) -> None:
        mean, std = np.array(self.normalization.mean), np.array(self.normalization.std)

        def write(part: slice, features: NDArray[np.float32]) -> None:
            out[part] = normalised(features, mean, std)

        self._in_blocks(len(out), render, write, text)

    def _in_blocks(
        self,
        count: int,
        render: Callable[[slice], list[NDArray[np.float32]]],
        write: Callable[[slice, NDArray[np.float32]], R],
        text: str,
    ) -> list[R]:
        """Pass `count` clips from `render` through the front end to `write`, on all cores."""
        import torch

        parts = _blocks(count)

        def block(i: int) -> R:
            return write(parts[i], front_ends.features(render(parts[i]), self._front_end))

        threads = torch.get_num_threads()
        # Blocks run in parallel with one thread each, so that the sums, and therefore the features,
        # do not depend on the number of cores.
        torch.set_num_threads(1)
        try:
            return in_parallel(block, len(parts), self._emit, text, step=4, unit="blocks")
        finally:
            torch.set_num_threads(threads)


def _blocks(count: int) -> list[slice]:
    return [slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]


def normalised(
    features: NDArray[np.float32], mean: NDArray[np.float64], std: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Normalise log-mel `(B, n_mels, T)` by band."""
    scale, offset = (1 / std).astype(np.float32), (-mean / std).astype(np.float32)
    return features * scale[:, None] + offset[:, None]


def _largest_remainder(counts: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Divide `n` in proportion to `counts`; remainders go to the largest fractions."""
    exact = counts * n / counts.sum()
    shares: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    order = np.argsort(shares - exact, kind="stable")
    shares[order[: n - shares.sum()]] += 1
    return shares


def _name(clip: Clip) -> str:
    """Return a readable name: the file with its folder, and the start of the clip in it."""
    start = f"@{clip.start_s:g}" if clip.start_s else ""
    return in_utf8(f"{clip.path.parent.name}/{clip.path.name}{start}")
