"""Scratch memory of ESP-NN: no less than what its versions ask for."""

from collections.abc import Sequence

import pytest

from edgekws.tflite.esp_nn import scratch_bytes
from edgekws.tflite.graph import Graph, Operator, Tensor, Type

ASKED = [
    # code, input, kernel, output, stride, and the most that 1.1 and 1.2 ask for
    ("CONV_2D", (1, 9, 1, 40), (32, 5, 1, 40), (1, 2, 1, 32), 4, 2 * (6400 + 360) + 672),
    ("CONV_2D", (1, 1, 1, 48), (96, 1, 1, 48), (1, 1, 1, 96), 1, 48 * 96 + 32),
    ("CONV_2D", (1, 8, 1, 30), (7, 1, 1, 30), (1, 8, 1, 7), 1, 8 * 32 + 32 * 7 + 16 * 32 + 32),
    ("DEPTHWISE_CONV_2D", (1, 13, 1, 24), (1, 9, 1, 24), (1, 5, 1, 24), 1, 2 * 22 * 24 + 32),
]


def graph(code: str, shapes: Sequence[tuple[int, ...]], stride: int, kind: Type = "int8") -> Graph:
    tensors = {name: Tensor(name, shape, kind) for name, shape in zip("xky", shapes, strict=True)}
    operator = Operator(code, ("x", "k"), ("y",), {"strideH": stride, "strideW": 1})
    return Graph(tensors, (operator,), (), ("x",), "y")


@pytest.mark.parametrize(("code", "source", "kernel", "output", "stride", "asked"), ASKED)
def test_it_is_enough_and_not_far_more(
    code: str,
    source: tuple[int, ...],
    kernel: tuple[int, ...],
    output: tuple[int, ...],
    stride: int,
    asked: int,
) -> None:
    assert asked <= scratch_bytes(graph(code, [source, kernel, output], stride)) <= 3 * asked + 1024


def test_kernels_of_tflm_take_none() -> None:
    shapes = [(1, 1, 1, 48), (4, 1, 1, 48), (1, 1, 1, 4)]
    assert scratch_bytes(graph("CONV_2D", shapes, 1, "int16")) == 0
    assert scratch_bytes(graph("MEAN", shapes, 1)) == 0
