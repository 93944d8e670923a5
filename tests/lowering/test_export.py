from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgekws.core.contract import Contract
from edgekws.errors import UnsupportedError
from edgekws.lowering.export import export_lowered, export_naive
from edgekws.lowering.parity import check, logits, torch_logits
from tests.lowering.conftest import NetworkOf


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("name", ["plain", "inverted", "relu_first", "relu_first_padded", "3d"])
def test_lowered_form(
    name: str,
    network_of: NetworkOf,
    contract_of: Callable[[str], Contract],
    features: NDArray[np.float32],
) -> None:
    network, contract = network_of(name), contract_of(name)
    model = export_lowered(network, contract)
    onnx.checker.check_model(model, full_check=True)
    expected = torch_logits(network, features, contract)
    check(expected, logits(model, features), 1e-5)
    check(expected[:1], logits(model, features[:1]), 1e-5)  # the batch is dynamic
    kept = 1 if name == "relu_first_padded" else 0  # its shift does not commute with the padding
    assert operators(model).count("BatchNormalization") == kept
    assert "ReduceMean" not in operators(model)
    weights = {i.name: list(i.dims) for i in model.graph.initializer}
    kernels = [weights[n.input[1]] for n in model.graph.node if n.op_type == "Conv"]
    assert kernels
    assert all(len(kernel) == 4 for kernel in kernels)
    assert model.graph.input[0].name == "features"
    assert model.graph.output[0].name == "logits"


def test_naive_form_keeps_conv1d(
    network_of: NetworkOf, contract_of: Callable[[str], Contract], features: NDArray[np.float32]
) -> None:
    network, contract = network_of("plain"), contract_of("plain")
    model = export_naive(network, contract)
    weights = {i.name: list(i.dims) for i in model.graph.initializer}
    kernels = [weights[n.input[1]] for n in model.graph.node if n.op_type == "Conv"]
    assert [len(kernel) for kernel in kernels] == [3, 3]
    check(torch_logits(network, features, contract), logits(model, features), 1e-5)


def test_names_are_those_of_the_network(
    network_of: NetworkOf, contract_of: Callable[[str], Contract]
) -> None:
    model = export_lowered(network_of("inverted"), contract_of("inverted"))
    names = [node.name for node in model.graph.node]
    assert names[:2] == ["unsqueeze_1", "0"]
    assert "3.body.3" in names
    assert {i.name for i in model.graph.initializer} >= {"0.weight", "0.bias", "3.body.3.weight"}
    assert len(set(names)) == len(names)


def test_same_network_same_bytes_and_nothing_on_the_terminal(
    network_of: NetworkOf, contract_of: Callable[[str], Contract], capfd: pytest.CaptureFixture[str]
) -> None:
    network, contract = network_of("plain"), contract_of("plain")
    first = export_lowered(network, contract).SerializeToString(deterministic=True)
    assert export_lowered(network, contract).SerializeToString(deterministic=True) == first
    assert b"site-packages" not in first
    assert capfd.readouterr() == ("", "")


class Eigenvalues(nn.Module):
    """A layer without an ONNX operator."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = torch.linalg.eigvals(x[:, 0, :4, :4]).real
        return values


def test_what_cannot_be_exported_is_an_error(
    contract_of: Callable[[str], Contract], capfd: pytest.CaptureFixture[str]
) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), Eigenvalues())
    with pytest.raises(UnsupportedError, match=r"'3d' cannot be exported to ONNX: .*linalg_eig"):
        export_lowered(network, contract_of("3d"))
    assert capfd.readouterr() == ("", "")


def test_unequal_windows_are_refused_by_name(contract_of: Callable[[str], Contract]) -> None:
    network = nn.Sequential(nn.Conv1d(12, 4, 1), nn.AdaptiveAvgPool1d(7), nn.Flatten())
    with pytest.raises(UnsupportedError, match=r"network\.1 averages 41 frames to 7"):
        export_lowered(network, contract_of("plain"))


@pytest.mark.parametrize("negative", [True, False])
def test_batch_norm_moves_through_a_max_pool_only_with_positive_scales(
    negative: bool, contract_of: Callable[[str], Contract], features: NDArray[np.float32]
) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(4)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, 2.0, -1.0 if negative else 1.0, 3.0]))
        norm.bias.copy_(torch.arange(4.0))
    network = nn.Sequential(
        nn.Conv1d(12, 4, 3), nn.ReLU(), norm, nn.MaxPool1d(3, padding=1), nn.Conv1d(4, 2, 3)
    )
    network = nn.Sequential(*network, nn.AdaptiveAvgPool1d(1), nn.Flatten()).eval()
    model = export_lowered(network, contract_of("plain"))
    assert operators(model).count("BatchNormalization") == int(negative)
    check(torch_logits(network, features, contract_of("plain")), logits(model, features), 1e-5)


def test_a_convolution_used_twice_keeps_both_normalisations(
    contract_of: Callable[[str], Contract], features: NDArray[np.float32]
) -> None:
    torch.manual_seed(0)
    shared = nn.Conv1d(12, 12, 3)
    norms = [nn.BatchNorm1d(12), nn.BatchNorm1d(12)]
    for norm in norms:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    network = nn.Sequential(
        shared, norms[0], nn.ReLU(), shared, norms[1], nn.AdaptiveAvgPool1d(1), nn.Flatten()
    ).eval()
    model = export_lowered(network, contract_of("plain"))
    expected = torch_logits(network, features, contract_of("plain"))
    check(expected, logits(model, features), 1e-5)
    assert np.abs(expected).max() > 0.1
