"""Which layers are most sensitive to quantization, and what keeping them in FP32 gains."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgekws.metrics import graph
from edgekws.quantizers.int8.mixed import QuantizedNetwork

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Fidelity:
    """Accuracy on dev; share of clips labelled as by FP32; mean |Δlogit| against FP32."""

    accuracy: float
    agreement: float
    mean_abs_diff: float


@dataclass(frozen=True)
class Sensitivity:
    """The cost of one layer: as the only quantized one, and as the only one in FP32."""

    layer: str
    macs_share: float
    only_this: Fidelity
    all_but_this: Fidelity


@dataclass(frozen=True)
class Point:
    """A model with these layers in FP32: `drop` is accuracy lost, `kept` marks the shipped one."""

    layers: tuple[str, ...]
    coverage: float
    accuracy: float
    drop: float
    size_kib: float
    kept: bool = False


class Judge:
    """Fidelity models on the dev split, against the logits of the FP32 model."""

    def __init__(
        self, logits: Callable[[onnx.ModelProto], NDArray[np.float32]], source: onnx.ModelProto,
        targets: NDArray[Any],
    ) -> None:  # fmt: skip
        """Set the function that computes logits, the FP32 model, and the true labels `(N,)`."""
        self._logits, self._targets = logits, targets
        self._float = logits(source)
        self.float_accuracy = float((self._float.argmax(axis=1) == targets).mean())

    def scores(self, model: onnx.ModelProto) -> Fidelity:
        """Score a model."""
        logits = self._logits(model)
        best = logits.argmax(axis=1)
        return Fidelity(
            float((best == self._targets).mean()),
            float((best == self._float.argmax(axis=1)).mean()),
            float(np.abs(logits.astype(np.float64) - self._float).mean()),
        )


def sensitivities(
    network: QuantizedNetwork, judge: Judge, progress: Progress
) -> tuple[Sensitivity, ...]:
    """Score each layer of a network, in the order of the graph."""
    shares = _macs_shares(network)
    result = []
    for done, layer in enumerate(network.layers):
        progress(done, len(network.layers))
        others = [name for name in network.layers if name != layer]
        alone = judge.scores(network.model(others))
        rest = judge.scores(network.model([layer]))
        result.append(Sensitivity(layer, shares[layer], alone, rest))
    return tuple(result)


def _macs_shares(network: QuantizedNetwork) -> dict[str, float]:
    macs = {layer.name: layer.macs for layer in graph.layers(network.model())}
    total = sum(macs.values())
    return {name: macs[name] / total for name in network.layers}


def order(rows: Iterable[Sensitivity], min_coverage: float) -> tuple[str, ...]:
    """Return the layers in the order in which they are returned to FP32.

    Greedy: the most sensitive first, by the mean |Δlogit| of that layer alone (accuracy changes in
    whole clips and does not separate most layers); layers that would exceed the coverage limit
    come last.
    """
    room = 1 - min_coverage + 1e-9
    fitting, late = [], []
    for row in sorted(rows, key=lambda row: -row.only_this.mean_abs_diff):
        if row.macs_share <= room:
            room -= row.macs_share
            fitting.append(row.layer)
        else:
            late.append(row.layer)
    return (*fitting, *late)


def frontier(
    network: QuantizedNetwork,
    layers: Sequence[str],
    judge: Judge,
    size_kib: Callable[[onnx.ModelProto], float],
    progress: Progress,
) -> tuple[Point, ...]:
    """Return the points with the first 0, 1, 2, … of `layers` in FP32."""
    points = []
    for n in range(len(layers) + 1):
        progress(n, len(layers) + 1)
        model = network.model(layers[:n])
        accuracy = judge.scores(model).accuracy
        points.append(
            Point(
                tuple(layers[:n]),
                graph.int8_coverage(model),
                accuracy,
                judge.float_accuracy - accuracy,
                size_kib(model),
            )
        )
    return tuple(points)


def choose(points: Sequence[Point], max_drop: float, min_coverage: float) -> Point:
    """Return the point to ship: within both limits, the one of the highest coverage.

    If every drop exceeds `max_drop`, the point of the smallest drop; if no point reaches
    `min_coverage`, the first, which has no layer in FP32.

    >>> a, b, c = (Point((), c, 0, d, 0) for c, d in ((1.0, 0.03), (0.996, 0.01), (0.9, 0.0)))
    >>> [choose((a, b, c), drop, 0.99) is b for drop in (0.01, 0.005, 0.03)]
    [True, True, False]
    """
    covering = [point for point in points if point.coverage >= min_coverage] or [points[0]]
    good = [point for point in covering if point.drop <= max_drop]
    if good:
        return max(good, key=lambda point: (point.coverage, -len(point.layers)))
    return min(covering, key=lambda point: (point.drop, len(point.layers)))


def rows(points: Iterable[Point], kept: Point) -> list[dict[str, Any]]:
    """Return the rows of the frontier for the report."""
    marked = (replace(point, kept=point is kept) for point in points)
    return [{**asdict(point), "layers": list(point.layers)} for point in marked]
