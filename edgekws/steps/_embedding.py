"""Train a head on the vectors of an embedding."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from torch import Tensor, nn

from edgekws.core.contract import Contract
from edgekws.core.corpus import Examples, Split
from edgekws.core.embedding import Embedding
from edgekws.core.job import Audio, Data, Job, Output
from edgekws.lowering import audio_graph, onnx_file, parity
from edgekws.lowering.audio_graph import Layer
from edgekws.steps._derived_data import DerivedData
from edgekws.training.fit import fit
from edgekws.training.model import Model
from edgekws.training.options import CrossEntropyLoss, FocalLoss, Training

STD_FLOOR = 1e-3
"""Minimum standard deviation, so that a nearly constant value is not amplified."""


def train_head(
    graph: ModelProto,
    sample_rate: int,
    *,
    hidden: int,
    dropout: float,
    training: Training,
    loss: CrossEntropyLoss | FocalLoss,
    job: Job,
) -> Output:
    """Train a head on the vectors of `graph`, and write both as `teacher.onnx`.

    Raises:
        DataError, MachineError, MissingPartError, RecipeError: as `training.fit.fit`.
        ParityError: the exported head gives different logits.
    """
    assert job.audio is not None  # the engine sets it
    embedding = audio_graph.embedding_of(graph, sample_rate)
    vectors = Vectors(job.data, job.audio, embedding)
    torch.manual_seed(job.seed)
    network = head(embedding.size, hidden, len(job.data.labels), dropout)
    history = fit(Model(network, "2d"), training, loss, replace(job, data=vectors))
    layers = folded(network, *vectors.statistics)
    dev = job.audio.vectors(embedding, "dev")
    with torch.inference_mode():
        expected = network(torch.from_numpy(vectors.examples("dev").features)).numpy()
    # The standardization is folded into the weights, so the logits are rounded differently.
    parity.check(expected, audio_graph.logits(layers, dev), tolerance=1e-3, what="the head")
    path = job.workdir / "teacher.onnx"
    _save(audio_graph.with_head(graph, layers), embedding, job.data, path)
    return Output(path, {"vector_size": embedding.size, "history": history}, {"history": "history"})


def head(size: int, hidden: int, n_labels: int, dropout: float) -> nn.Sequential:
    """Return linear layers from vectors `(B, size, 1)` to logits `(B, n_labels)`."""
    layers: list[nn.Module] = [nn.Flatten()]
    for outputs in (hidden, n_labels) if hidden else (n_labels,):
        if len(layers) > 1:
            layers.append(nn.ReLU())
        layers += [nn.Dropout(dropout), nn.Linear(size, outputs)]
        size = outputs
    return nn.Sequential(*layers)


def folded(
    network: nn.Sequential, mean: NDArray[np.float32], std: NDArray[np.float32]
) -> tuple[Layer, ...]:
    """Return the layers of `network` for vectors that are not standardized."""
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    pairs = [(_array(layer.weight.T), _array(layer.bias)) for layer in linear]
    weight, bias = pairs[0]
    scaled = weight / std[:, None]
    pairs[0] = (scaled, bias - mean @ scaled)
    return tuple((w.astype(np.float32), b.astype(np.float32)) for w, b in pairs)


class Vectors(DerivedData):
    """The data of a job as standardized vectors, for `training.fit`.

    Training clips are those augmented for the first epoch: vectors of clean ones would take as
    long, and nothing is trained on them. `statistics` are their mean and standard deviation
    `(size,)`.
    """

    def __init__(self, data: Data, audio: Audio, embedding: Embedding) -> None:
        """Compute the vectors of the training clips, unless they are cached."""
        super().__init__(data)
        self._audio, self._embedding = audio, embedding
        first = audio.augmented_vectors(embedding, 0)
        self.statistics = first.mean(axis=0), np.maximum(first.std(axis=0), STD_FLOOR)

    def examples(self, split: Split) -> Examples:
        """Return the clips of `split` with their vectors `(N, size, 1)`."""
        vectors = (
            self._audio.augmented_vectors(self._embedding, 0)
            if split == "train"
            else self._audio.vectors(self._embedding, split)
        )
        return replace(self._data.examples(split), features=self._standardized(vectors))

    def augmented(self, epoch: int) -> NDArray[np.float16]:
        """Return the vectors of the training clips as augmented for `epoch`, `(N, size, 1)`."""
        vectors = self._audio.augmented_vectors(self._embedding, epoch)
        return self._standardized(vectors).astype(np.float16)

    def mask(
        self,
        features: NDArray[np.float32],
        clips: NDArray[np.int64],
        epoch: int,
        strength: float = 1.0,
    ) -> NDArray[np.float32]:
        """Return the batch unchanged: vectors are not masked."""
        return features

    def negatives(self) -> tuple[NDArray[np.float32], ...]:
        """Return none: vectors are of clips alone."""
        return ()

    def _standardized(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        mean, std = self.statistics
        return np.asarray((vectors - mean) / std)[:, :, None]


def _save(model: ModelProto, embedding: Embedding, data: Data, path: Path) -> None:
    contract = Contract(
        front_end=data.front_end,
        normalization=data.normalization,
        labels=data.labels,
        input_shape=(embedding.samples,),
        architecture={"kind": "embedding_teacher", "sample_rate": embedding.sample_rate},
    )
    onnx_file.save(model, contract, path)


def _array(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().double().numpy()
