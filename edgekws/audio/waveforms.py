"""The dataset as audio: vectors of a pre-trained embedding, and recordings without labels."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import DTypeLike, NDArray

from edgekws.audio.augmentation import Augment
from edgekws.audio.decoding import Corpus, to_float32
from edgekws.audio.front_ends import clip_features
from edgekws.audio.parallel import in_parallel
from edgekws.audio.rendering import augmented
from edgekws.audio.run_in import run_in_samples
from edgekws.audio.unlabelled import Windows, recordings, refuse_held_out, write
from edgekws.core.canonical import file_state, sha256_of
from edgekws.core.contract import Normalization
from edgekws.core.corpus import Split
from edgekws.core.embedding import Embedding
from edgekws.core.events import Emit
from edgekws.core.source_code import fingerprint
from edgekws.core.store import allocate, build_folder, read_array
from edgekws.runtime.front_end import FrontEnd

BLOCK = 32
"""Clips per task."""

Waves = Sequence[NDArray[np.float32]] | NDArray[np.float32]

Render = Callable[[slice], Waves]
"""Returns the clips of a part as waveforms `(samples,)`."""

Compute = Callable[[Waves], NDArray[Any]]
"""Computes a row for each of the waveforms `(samples,)`."""


class Waveforms:
    """Implements `core.job.Audio` for a decoded corpus; arrays are mapped from the cache."""

    def __init__(
        self,
        corpus: Corpus,
        front_end: FrontEnd,
        augment: Augment,
        seed: int,
        normalization: Callable[[], Normalization],
        cache: Path,
        emit: Emit,
    ) -> None:
        """Use the decoded clips; `normalization` is that of their features."""
        self._corpus, self._front_end, self._augment = corpus, front_end, augment
        self._seed, self._normalization = seed, normalization
        self._cache, self._emit = cache, emit

    def vectors(self, embedding: Embedding, split: Split) -> NDArray[np.float32]:
        """Return the vectors of the clips of `split`, `(N, size)`, without augmentation.

        Raises:
            MachineError: the cache cannot be written.
        """
        waves = self._corpus.waveforms(split)
        key = {"corpus": self._corpus.fingerprint, "split": split}
        return self._embedded(embedding, lambda part: to_float32(waves[part]), len(waves), key)

    def augmented_vectors(self, embedding: Embedding, epoch: int) -> NDArray[np.float32]:
        """Return the vectors of the training clips as augmented for `epoch`, `(N, size)`.

        The waveforms are those of `Features.augmented`: epoch `e` uses copy `e % copies`.
        """
        if not self._augment.copies:
            return self.vectors(embedding, "train")
        copy = epoch % self._augment.copies
        key = {
            "corpus": self._corpus.fingerprint,
            "augment": self._augment.model_dump(exclude={"spec_augment", "copies"}),
            "seed": self._seed,
            "copy": copy,
        }
        rate = self._front_end.sample_rate

        def render(part: slice) -> NDArray[np.float32]:
            waves = augmented(self._corpus, self._augment, self._seed, copy, part, rate)
            return np.stack([wave[-self._corpus.window_samples :] for wave in waves])

        count = len(self._corpus.splits["train"])
        return self._embedded(embedding, render, count, key)

    def refuse_held_out(self, paths: Sequence[Path]) -> None:
        """Refuse recordings of dev and test, and copies of them, as something to learn from.

        Raises:
            DataError: one of `paths` is held out by the dataset.
        """
        refuse_held_out(paths, self._corpus)

    def unlabelled(self, sources: Sequence[Path]) -> NDArray[np.float16]:
        """Return the windows of the recordings in `sources`, `(U, n_mels, T)`, normalised.

        Raises:
            DataError: a source is missing, empty or silent, or is held out by the dataset.
        """
        windows, key = self._windows(sources)
        front_end, statistics = self._front_end, self._normalization()
        mean, std = (np.array(part)[:, None] for part in (statistics.mean, statistics.std))
        shape = (len(windows), front_end.n_mels, front_end.n_frames)

        def features(waves: Waves) -> NDArray[np.float64]:
            return np.stack([(clip_features(wave, front_end) - mean) / std for wave in waves])

        key = key | {"normalization": [statistics.mean, statistics.std]}
        render = partial(windows.stretches, run_in=run_in_samples(front_end))
        return self._computed("unlabelled", lambda: features, render, shape, key, np.float16)

    def unlabelled_vectors(
        self, embedding: Embedding, sources: Sequence[Path]
    ) -> NDArray[np.float32]:
        """Return the vectors of the windows of `unlabelled`, `(U, size)`.

        Raises:
            DataError: as `unlabelled`.
        """
        windows, key = self._windows(sources)
        return self._embedded(embedding, windows.waveforms, len(windows), key)

    def _windows(self, sources: Sequence[Path]) -> tuple[Windows, dict[str, Any]]:
        """Return the windows of `sources`, and their identity."""
        paths = recordings(sources)
        refuse_held_out(paths, self._corpus)
        key = {
            "files": [file_state(path) for path in paths],
            "front_end": self._front_end.to_dict(),
        }

        def build(folder: Path) -> None:
            write(paths, self._front_end, folder, self._emit)

        folder = self._folder("unlabelled", key, build)
        return Windows(folder, self._front_end.window_samples), key

    def _embedded(
        self, embedding: Embedding, render: Render, count: int, key: dict[str, Any]
    ) -> NDArray[np.float32]:
        rate = self._front_end.sample_rate
        key = key | {"embedding": embedding.sha256, "rates": [rate, embedding.sample_rate]}
        return self._computed(
            "vectors",
            lambda: runner(embedding, rate),
            render,
            (count, embedding.size),
            key,
            np.float32,
        )

    def _computed(
        self,
        what: str,
        start: Callable[[], Compute],
        render: Render,
        shape: tuple[int, ...],
        key: dict[str, Any],
        dtype: DTypeLike,
    ) -> NDArray[Any]:
        """Return an array of `shape`, computed block by block from waveforms, on all cores."""

        def build(folder: Path) -> None:
            out, compute = allocate(folder / "array", dtype, shape), start()
            starts = range(0, shape[0], BLOCK)

            def block(i: int) -> None:
                part = slice(starts[i], min(starts[i] + BLOCK, shape[0]))
                out[part] = compute(render(part))

            in_parallel(block, len(starts), self._emit, what, step=4, unit="blocks")

        return read_array(self._folder(what, key | {"shape": shape}, build) / "array", dtype, shape)

    def _folder(self, what: str, key: dict[str, Any], build: Callable[[Path], None]) -> Path:
        libraries = {name: version(name) for name in ("numpy", "onnxruntime", "soxr", "soundfile")}
        identity = {"what": what, "versions": libraries, "code": fingerprint(__name__), **key}
        return build_folder(self._cache / what / sha256_of(identity), build, self._emit)


def runner(embedding: Embedding, sample_rate: int) -> Compute:
    """Return a function from waveforms `(B, samples)` at `sample_rate` to vectors `(B, size)`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # its warnings bypass Python's streams
    session = onnxruntime.InferenceSession(
        embedding.model, options, providers=["CPUExecutionProvider"]
    )

    def run(waves: Waves) -> NDArray[np.float32]:
        # one at a time: an embedding may use statistics of its whole input, such as its peak
        rows = [_at_rate(wave, sample_rate, embedding) for wave in waves]
        return np.concatenate([session.run(None, {"audio": row[None]})[0] for row in rows])

    return run


def _at_rate(wave: NDArray[np.float32], sample_rate: int, embedding: Embedding) -> Any:
    """Return a waveform at the embedding's rate, with exactly its number of samples."""
    if sample_rate != embedding.sample_rate:
        wave = soxr.resample(wave, sample_rate, embedding.sample_rate)
    filled = np.zeros(embedding.samples, np.float32)
    length = min(len(wave), embedding.samples)
    filled[:length] = wave[:length]
    return filled
