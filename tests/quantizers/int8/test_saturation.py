"""The count of saturating sums, against loops that emulate the instruction."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import helper

from edgekws.audio.reading import read_audio
from edgekws.quantizers.int8.mixed import QuantizedNetwork
from edgekws.quantizers.int8.saturation import (
    count_saturation,
    in_bits,
    layer_products,
    saturating_pairs,
)
from edgekws.runtime.front_end import FrontEnd, log_mel
from tests.quantizers.conftest import Case


def slowly(inputs: np.ndarray, weights: np.ndarray) -> int:
    """Count sums of two products that change when clipped to 16 bits."""
    count = 0
    for row in inputs.tolist():
        for output in weights.tolist():
            for at in range(0, len(row), 2):
                both = zip(row[at : at + 2], output[at : at + 2], strict=True)
                total = sum(x * w for x, w in both)
                count += total != int(np.clip(total, -(2**15), 2**15 - 1))
    return count


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 7).flatmap(
        lambda k: st.tuples(
            arrays.arrays(np.uint8, (3, k), elements=st.sampled_from([0, 1, 128, 254, 255])),
            arrays.arrays(np.int8, (2, k), elements=st.sampled_from([-128, -127, -65, 0, 64, 127])),
        )
    )
)
def test_it_counts_the_sums_that_the_instruction_would_clip(
    both: tuple[np.ndarray, np.ndarray],
) -> None:
    assert saturating_pairs(*both) == slowly(*both)


def test_the_edges_of_16_bits() -> None:
    assert (
        saturating_pairs(np.array([[255, 255]], np.uint8), np.array([[64, 64]], np.int8)) == 0
    )  # 32640
    assert (
        saturating_pairs(np.array([[255, 255]], np.uint8), np.array([[65, 64]], np.int8)) == 1
    )  # 32895
    assert saturating_pairs(np.array([[255, 255]], np.uint8), np.array([[-64, -64]], np.int8)) == 0
    assert saturating_pairs(np.array([[255, 255]], np.uint8), np.array([[-65, -64]], np.int8)) == 1
    assert saturating_pairs(np.array([[255, 255]], np.uint8), np.array([[127, -127]], np.int8)) == 0


@pytest.mark.parametrize(
    ("groups", "shape", "fields"),
    [
        (1, (4, 6, 3, 2), {"pads": [1, 0, 1, 2], "strides": [2, 1]}),
        (2, (4, 3, 1, 3), {"pads": [0, 1, 0, 1], "dilations": [1, 2]}),
        (1, (4, 6, 1, 1), {}),
    ],
)
def test_a_convolution_is_its_products(
    groups: int, shape: tuple[int, ...], fields: dict[str, Any]
) -> None:
    """Rows times weights, less the zero point, is the convolution that torch computes."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (2, 6, 7, 9)).astype(np.uint8)
    weight = rng.integers(-127, 128, shape).astype(np.int8)
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=groups, **fields)
    zero_point = 3
    parts = [
        (rows.astype(int) - zero_point) @ w.astype(int).T
        for rows, w in layer_products(node, x, weight, zero_point)
    ]
    top, left, bottom, right = fields.get("pads", [0, 0, 0, 0])
    padded = np.pad(x.astype(float) - zero_point, ((0, 0), (0, 0), (top, bottom), (left, right)))
    expected = torch.conv2d(
        torch.tensor(padded), torch.tensor(weight.astype(float)), None,
        fields.get("strides", [1, 1]), 0, fields.get("dilations", [1, 1]), groups,
    ).numpy()  # fmt: skip
    products = np.concatenate(parts, axis=1)
    expected = expected.transpose(0, 2, 3, 1).reshape(products.shape)
    np.testing.assert_array_equal(products, expected)


def test_neighbours_are_channels_and_depthwise_ones_do_not_count() -> None:
    x = np.zeros((1, 2, 1, 3), np.uint8)
    x[0, :, 0, 1] = 255
    weight = np.full((1, 2, 1, 3), 127, np.int8)
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    ((rows, weights),) = layer_products(node, x, weight, 0)
    assert rows.tolist() == [[0, 0, 255, 255, 0, 0]]
    assert saturating_pairs(rows, weights) == 1
    depthwise = helper.make_node("Conv", ["x", "w"], ["y"], group=2)
    assert list(layer_products(depthwise, x, weight.reshape(2, 1, 1, 3), 0)) == []


def test_dense_weights_of_either_layout() -> None:
    x, weight = np.array([[255, 255]], np.uint8), np.array([[127, 127]], np.int8)
    for layout, values in ((1, weight), (0, weight.T)):
        node = helper.make_node("Gemm", ["x", "w"], ["y"], transB=layout)
        ((rows, weights),) = layer_products(node, x, values, 0)
        assert saturating_pairs(rows, weights) == 1


def test_seven_bits_never_saturate_and_eight_do(
    network_of: Callable[[str, str], tuple[Case, QuantizedNetwork]], backend: str
) -> None:
    case, network = network_of(backend, "bottleneck")
    widths = {
        str(bits): {name: in_bits(floats.weight, bits) for name, floats in network.floats.items()}
        for bits in (8, 7)
    }
    rows = count_saturation(network.model(), case.clips, widths)
    assert [row["layer"] for row in rows] == list(network.layers)
    assert sum(row["7"] for row in rows) == 0
    shipped, again = (sum(row[column] for row in rows) for column in ("shipped", "8"))
    assert shipped > 100
    assert again == pytest.approx(shipped, rel=0.02)
    assert all(row["shipped"] <= row["pairs"] for row in rows)
    depthwise = {row["layer"]: row["pairs"] for row in rows}["3.body.3"]
    assert depthwise == 0


@pytest.fixture(scope="module")
def real_clips(shared_data: Path) -> np.ndarray:
    """Twelve real words as normalised log-mel `(12, n_mels, T)` of the small networks' size."""
    front_end = FrontEnd(n_mels=20, hop_length=320)
    with (shared_data / "asc" / "train.csv").open(encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file)][::97][:12]
    waves = [read_audio(shared_data / "asc" / name, 16_000) for name in names]
    waves = [np.pad(wave[:16_000], (0, max(0, 16_000 - len(wave)))) for wave in waves]
    features = np.stack([log_mel(wave, front_end) for wave in waves])
    return np.asarray((features - features.mean()) / features.std(), np.float32)


def test_reduce_range_on_real_speech(real_clips: np.ndarray, case_of: Callable[..., Case]) -> None:
    from tests.quantizers.conftest import BACKENDS, FRAMES, N_MELS

    case, backend = case_of("plain"), "onnxruntime"
    clips = np.ascontiguousarray(real_clips[:, :N_MELS, :FRAMES])
    assert clips.shape[1:] == (N_MELS, FRAMES)
    counts = []
    for narrow in (False, True):
        quantizer = BACKENDS[backend].model_copy(update={"reduce_range": narrow})
        model = quantizer.quantize(case.source(backend), clips, "minmax")
        counts.append(sum(row["shipped"] for row in count_saturation(model, clips, {})))
    assert counts[0] > 0
    assert counts[1] == 0
