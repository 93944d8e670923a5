"""The FFT of the micro front end as ONNX nodes, with the steps of `runtime.micro_fft`."""

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.integer_graph import Array, IntegerGraph
from edgekws.runtime import micro_fft
from edgekws.runtime.micro_front_end import FRAME

_HALF = micro_fft.LENGTH // 2


def filtered_energies(graph: IntegerGraph, samples: str, filters: Array) -> str:
    """Return the filtered energies `(B, T, 40)` of the bins of frames `(B, T, 480)`."""
    points = _complex_spectrum(graph, samples)  # (B, T, 2, 256)
    k = np.arange(1, _HALF // 2 + 1)
    sign = np.array([[1.0], [-1.0]])
    front = graph.halved(graph.add("Gather", points, graph.indices(k), axis=3))
    back = graph.add("Gather", points, graph.indices(_HALF - k), axis=3)
    back = graph.halved(graph.wrapped(graph.add("Mul", back, graph.number(sign))))
    total, apart = graph.add("Add", front, back), graph.add("Sub", front, back)
    turned = graph.wrapped(_turned(graph, apart, -np.pi * (k / _HALF + 0.5)))
    lower = graph.floor(graph.add("Add", total, turned), 0.5)
    upper = graph.add("Mul", graph.add("Sub", total, turned), graph.number(sign))
    upper = graph.add("Slice", upper, graph.ints(0), graph.ints(len(k) - 1), graph.ints(3))
    upper = graph.floor(upper, 0.5)
    energies = [
        graph.add("MatMul", graph.add("Mul", part, part), graph.number(filters[:, bins].T))
        for part, bins in ((lower, k), (upper, _HALF - k[:-1]))
    ]
    return graph.add("ReduceSum", graph.add("Add", *energies), graph.ints(2), keepdims=0)


def _complex_spectrum(graph: IntegerGraph, samples: str) -> str:
    """Return the transform `(B, T, 2, 256)` of frames of 480 samples, in four rounds of radix 4."""
    padding = graph.ints(0, 0, 0, 0, 0, micro_fft.LENGTH - FRAME)
    points = graph.add("Pad", samples, padding, graph.number(0.0))
    order = np.arange(_HALF).reshape(4, 4, 4, 4).transpose(3, 2, 1, 0).ravel()
    places = np.stack([2 * order, 2 * order + 1])
    for size in (1, 4, 16, 64):
        groups = _HALF // (4 * size)
        quarters = graph.rounded(graph.add("Gather", points, graph.indices(places), axis=2), 8191)
        step = np.tile(np.repeat(np.arange(4), size) * np.tile(np.arange(size), 4) * groups, groups)
        plain = np.tile(np.repeat(np.arange(4) == 0, size), groups)
        parts = _turned(graph, quarters, -2 * np.pi * step / _HALF, plain)
        rows = graph.add("Reshape", parts, graph.ints(0, 0, 2, groups, 4, size))
        rows = graph.add("Transpose", rows, perm=[0, 1, 3, 5, 2, 4])
        rows = graph.add("Reshape", rows, graph.ints(0, 0, -1, 8))
        points = graph.wrapped(graph.add("MatMul", rows, graph.number(_butterfly())))
        points = graph.add("Reshape", points, graph.ints(0, 0, -1))
        # (groups, size, part, quarter) -> (part, groups, quarter, size)
        shape = (groups, size, 2, 4)
        places = np.arange(2 * _HALF).reshape(shape).transpose(2, 0, 3, 1).reshape(2, _HALF)
    return graph.add("Gather", points, graph.indices(places), axis=2)


def _butterfly() -> Array:
    """Return the sums `(8, 8)` of four points of real and imaginary part: each as a column."""
    q = np.arange(4)
    turns = np.rint(np.exp(-0.5j * np.pi * np.outer(q, q)))
    return np.block([[turns.real, turns.imag], [-turns.imag, turns.real]])


def _turned(
    graph: IntegerGraph, points: str, phases: Array, plain: NDArray[np.bool_] | None = None
) -> str:
    """Return points `(B, T, 2, n)` turned by phases `(n,)`, rounded; those of `plain` as is."""
    cosine, sine = (part / 2.0**15 for part in micro_fft.turns(phases))
    if plain is not None:
        cosine, sine = np.where(plain, 1.0, cosine), np.where(plain, 0.0, sine)
    swapped = graph.add("Gather", points, graph.indices(np.array([1, 0])), axis=2)
    along = graph.add("Mul", points, graph.number(cosine))
    across = graph.add("Mul", swapped, graph.number(np.stack([-sine, sine])))
    return graph.nearest(graph.add("Add", along, across))
