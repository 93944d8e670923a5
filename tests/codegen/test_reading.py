"""The graph that onnxruntime runs, in the intermediate form: the same logits, bit for bit."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from edgekws.codegen.ir import Lookup, Network, reads, writes
from edgekws.codegen.memory_plan import plan
from edgekws.codegen.oracle import Oracle
from edgekws.codegen.reading import read
from edgekws.core.protocols import BACKBONE
from edgekws.errors import UnsupportedError
from edgekws.lowering import forms
from tests.codegen.network_program import BUILDS, build_program
from tests.codegen.networks import FRAMES, N_MELS, logits_of, lowered, quantized, quantized_network
from tests.codegen.networks import random_clips as clips_of

FAMILIES: dict[str, dict[str, Any]] = {
    "bcresnet": {},
    "conv2d_stem": {},
    "dscnn": {},
    "inverted_bottleneck": {},
    "matchboxnet": {"blocks": 1, "channels": 12, "outer_channels": 28},
    "mel_spanning": {},
    "mobilenet": {},
    "mobilenet1d": {},
    "plain": {},
    "resnet18": {"width": 0.125},
    "sparknet": {},
    "tcresnet": {},
    "tenet": {},
}


class Squeeze(torch.nn.Module):
    """Squeeze and excitation: channels weighted by a function of their means."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv1d(N_MELS, 12, 3, padding=1)
        self.gate = torch.nn.Sequential(
            *[torch.nn.AdaptiveAvgPool1d(1), torch.nn.Conv1d(12, 4, 1), torch.nn.ReLU()],
            *[torch.nn.Conv1d(4, 12, 1), torch.nn.Sigmoid()],
        )
        self.head = torch.nn.Sequential(
            torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten(), torch.nn.Linear(12, 5)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        result: torch.Tensor = self.head(x * self.gate(x))
        return result


def assert_equal_to_onnxruntime(model: onnx.ModelProto, n: int = 20) -> Network:
    network = read(model)
    oracle = Oracle(network)
    clips = clips_of(n)
    for clip, expected in zip(clips, logits_of(model, clips), strict=True):
        assert np.array_equal(oracle.run(clip), expected)
    return network


def test_every_family_is_tried() -> None:
    folder = Path(__file__).parents[2] / "edgekws" / "backbones"
    assert {path.stem for path in folder.glob("[!_]*.py")} == set(FAMILIES)


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_family_gives_the_logits_of_onnxruntime(kind: str) -> None:
    assert BACKBONE.validate_python({"kind": kind, **FAMILIES[kind]}).kind == kind
    network = assert_equal_to_onnxruntime(quantized(kind, **FAMILIES[kind]))
    assert (network.frames, network.n_mels) == (FRAMES, N_MELS)


def test_one_dimension_gives_the_logits_of_onnxruntime() -> None:
    """A mean over all frames has no kernel that tells its dimensions."""
    assert_equal_to_onnxruntime(forms.conv1d(quantized("inverted_bottleneck")))


def test_squeeze_and_excitation_gives_the_logits_of_onnxruntime() -> None:
    torch.manual_seed(0)
    assert_equal_to_onnxruntime(quantized_network(Squeeze(), (N_MELS, FRAMES)))


def test_the_other_quantizer_gives_the_logits_of_onnxruntime() -> None:
    assert_equal_to_onnxruntime(quantized("inverted_bottleneck", "neural_compressor"))


def test_bytes_that_change_their_scale_on_the_way_to_a_sum() -> None:
    model = onnx.ModelProto()
    model.CopyFrom(quantized("inverted_bottleneck", padding="valid", blocks=2))
    sliced = {node.output[0] for node in model.graph.node if node.op_type == "Slice"}
    rescaled = {
        name: f"{name} of a slice"
        for node in model.graph.node
        if node.op_type == "QuantizeLinear" and node.input[0] in sliced
        for name in node.input[1:2]
    }
    assert rescaled
    outputs = {n.output[0] for n in model.graph.node if n.input[0] in sliced}
    for node in model.graph.node:
        if node.input[0] in sliced | outputs and node.op_type.endswith("Linear"):
            node.input[1] = rescaled[node.input[1]]
    for tensor in [t for t in model.graph.initializer if t.name in rescaled]:
        scale = onnx.numpy_helper.to_array(tensor) * np.float32(1.3)
        model.graph.initializer.append(onnx.numpy_helper.from_array(scale, rescaled[tensor.name]))
    network = assert_equal_to_onnxruntime(model)
    assert any(isinstance(operator, Lookup) for operator in network.operators)


@pytest.mark.parametrize("name", ["gcc-plain", "gcc-integer"])
def test_c_gives_the_logits_of_onnxruntime(name: str, tmp_path: Path) -> None:
    model = quantized("bcresnet")
    clips = clips_of(10)
    build = next(build for build in BUILDS if build.name == name)
    program = build_program(read(model), build, tmp_path)
    expected = [logits.tobytes() for logits in logits_of(model, clips)]
    assert [logits for logits, _ in program.run(clips)] == expected


def test_a_layer_in_fp32_is_refused_by_its_name() -> None:
    model = quantized_network(
        torch.nn.Sequential(
            *[torch.nn.Conv1d(N_MELS, 8, 3), torch.nn.SELU(), torch.nn.AdaptiveAvgPool1d(1)],
            *[torch.nn.Flatten(), torch.nn.Linear(8, 5)],
        ),
        (N_MELS, FRAMES),
    )
    with pytest.raises(UnsupportedError, match=r"layer .*Selu.* has no form in C"):
        read(model)


def test_a_network_that_is_not_quantized_is_refused() -> None:
    torch.manual_seed(0)
    network = BACKBONE.validate_python({"kind": "plain"}).build(N_MELS, 5)
    with pytest.raises(UnsupportedError, match="features of this model are not quantized"):
        read(lowered(network.eval(), (N_MELS, FRAMES)))


def test_groups_of_several_channels_are_refused_by_name() -> None:
    model = quantized_network(
        torch.nn.Sequential(
            *[torch.nn.Conv1d(N_MELS, 8, 3, groups=2), torch.nn.AdaptiveAvgPool1d(1)],
            *[torch.nn.Flatten(), torch.nn.Linear(8, 5)],
        ),
        (N_MELS, FRAMES),
    )
    with pytest.raises(UnsupportedError, match=r"QLinearConv\) has no form in C: 2 groups for 40"):
        read(model)


def test_buffers_that_are_alive_together_do_not_overlap() -> None:
    network = read(quantized("bcresnet"))
    memory = plan(network)
    sizes = {buffer.name: buffer.size for buffer in network.buffers}
    assert memory.size < sum(sizes.values()) / 4
    touched = [
        {span.buffer for span in (*reads(operator), *writes(operator))}
        for operator in network.operators
    ]
    for number in range(len(touched)):
        before, after = (
            set[str]().union(*touched[: number + 1]),
            set[str]().union(*touched[number:]),
        )
        alive = sorted((memory.offsets[name], sizes[name]) for name in before & after)
        for (start, size), (following, _) in pairwise(alive):
            assert start + size <= following
