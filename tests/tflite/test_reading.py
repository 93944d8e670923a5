"""INT8 networks as TFLite, run in TFLM: each layer rounds by a step at most from the same input."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from edgekws.errors import ParityError, UnsupportedError
from edgekws.tflite.comparing import compare
from edgekws.tflite.graph import Graph
from edgekws.tflite.layers import _same
from edgekws.tflite.reading import read
from tests.codegen.networks import FRAMES, N_MELS, quantized, quantized_network, random_clips


class Mixed(torch.nn.Module):
    """Gates, a maximum with padding, leaky units and a mean of a part."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv1d(N_MELS, 12, 3, padding=1)
        self.gate = torch.nn.Sequential(
            *[torch.nn.AdaptiveAvgPool1d(1), torch.nn.Conv1d(12, 4, 1), torch.nn.ReLU()],
            *[torch.nn.Conv1d(4, 12, 1), torch.nn.Sigmoid()],
        )
        self.pools = torch.nn.Sequential(
            *[torch.nn.MaxPool1d(3, 2, padding=1), torch.nn.Conv1d(12, 12, 4, 2, padding=2)],
            *[torch.nn.LeakyReLU(0.1), torch.nn.AvgPool1d(2)],
        )
        self.head = torch.nn.Sequential(
            torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten(), torch.nn.Linear(12, 5)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        result: torch.Tensor = self.head(self.pools(x * self.gate(x)))
        return result


def codes(graph: Graph) -> set[str]:
    return {operator.code for operator in graph.operators}


def test_a_family_rounds_by_a_step_at_most() -> None:
    model = quantized("inverted_bottleneck", blocks=1)
    graph = read(model)
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MEAN", "PAD"} <= codes(graph)
    result = compare(model, graph, random_clips(2))
    assert (result.runs, result.labels_equal) == (2, 2)
    assert 0 < result.largest_logit < 0.1
    alone = sum(row.own_different for row in result.layers)
    assert 0 < alone < 0.01 * sum(row.values for row in result.layers)


def test_convolutions_over_mels_and_time() -> None:
    torch.manual_seed(0)
    layers: list[Any] = [torch.nn.Conv2d(1, 6, (5, 3), (2, 1), padding=(2, 1)), torch.nn.ReLU()]
    layers += [torch.nn.Conv2d(6, 6, 3, groups=6, dilation=(1, 2)), torch.nn.AdaptiveAvgPool2d(1)]
    layers += [torch.nn.Flatten(), torch.nn.Linear(6, 5)]
    model = quantized_network(torch.nn.Sequential(*layers), (1, N_MELS, FRAMES))
    graph = read(model)
    assert {"TRANSPOSE", "PAD", "CONV_2D", "DEPTHWISE_CONV_2D", "MEAN"} <= codes(graph)
    assert compare(model, graph, random_clips(2)).labels_equal == 2


def test_operators_that_families_have_rarely() -> None:
    torch.manual_seed(0)
    model = quantized_network(Mixed(), (N_MELS, FRAMES))
    graph = read(model)
    rare = {"LOGISTIC", "MUL", "LEAKY_RELU", "PADV2", "MAX_POOL_2D", "AVERAGE_POOL_2D"}
    assert rare <= codes(graph)
    assert compare(model, graph, random_clips(4)).labels_equal == 4


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads"), [(48, 3, 1, (1, 1)), (48, 3, 2, (0, 1))]
)
def test_the_padding_that_tflite_calls_same(
    size: int, kernel: int, stride: int, pads: tuple[int, int]
) -> None:
    assert _same(size, kernel, stride, 1) == pads


def test_a_layer_that_computes_something_else_is_no_export() -> None:
    model = quantized("inverted_bottleneck", blocks=1)
    graph = read(model)
    bias = graph.tensors["head.0/bias"]
    assert bias.data is not None
    graph.tensors["head.0/bias"] = replace(bias, data=bias.data + 4000)
    with pytest.raises(ParityError, match=r"layer head\.0 differs by \d+ steps in TFLite from the"):
        compare(model, graph, random_clips(1))


def test_a_layer_in_fp32_is_refused_by_its_name() -> None:
    layers: list[Any] = [torch.nn.Conv1d(N_MELS, 8, 3), torch.nn.SELU()]
    layers += [torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten(), torch.nn.Linear(8, 5)]
    model = quantized_network(torch.nn.Sequential(*layers), (N_MELS, FRAMES))
    with pytest.raises(UnsupportedError, match=r"layer .*Selu.* has no form in TFLite"):
        read(model)
