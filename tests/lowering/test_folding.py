from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from edgekws.backbones.blocks.branches import Branches
from edgekws.core import family
from edgekws.core.contract import Contract, Normalization
from edgekws.core.protocols import BACKBONE
from edgekws.errors import UnsupportedError
from edgekws.lowering import checkpoint
from edgekws.lowering.export import export_lowered
from edgekws.lowering.folding import folded
from edgekws.metrics import graph
from edgekws.runtime.front_end import FrontEnd

TENET = {"kind": "tenet", "channels": 8, "stages": 2, "squeeze": 3, "head": 10}


def contract_of(architecture: dict[str, Any], shape: tuple[int, ...] = (20, 41)) -> Contract:
    return Contract(
        FrontEnd(n_mels=20),
        Normalization((0.0,) * 20, (1.0,) * 20),
        ("yes", "no", "_silence_"),
        shape,
        architecture,
    )


def drawn(network: nn.Module) -> Any:
    """Draw scales (also negative), shifts and statistics of every BatchNorm, far from 1 and 0."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            assert module.num_batches_tracked is not None
            nn.init.normal_(module.weight, 0.5, 0.7)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.01, 3.0)
            module.num_batches_tracked.fill_(17)
    return network.eval()


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / a.abs().max())


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 6])
@pytest.mark.parametrize(
    "kernels", [[(3,), (5,), (7,), (9,)], [(9,), (1,)], [(5,)], [(3, 1), (1, 5), (3, 3)]]
)
def test_a_sum_of_branches_is_one_convolution(
    kernels: list[tuple[int]] | list[tuple[int, int]], groups: int, stride: int
) -> None:
    torch.manual_seed(0)
    branches = drawn(Branches(6, 12, kernels, stride=stride, groups=groups))
    folded = branches.folded()
    assert [conv.kernel_size for conv, _ in folded.branches] == [
        tuple(map(max, zip(*kernels, strict=True)))
    ]
    for length in (16, 17, 18):
        x = torch.randn(4, 6, *(length,) * len(kernels[0]))
        with torch.no_grad():
            assert relative(branches(x), folded(x)) <= 1e-6
    assert not folded.training


def test_the_fold_keeps_the_statistics() -> None:
    """If the branches see independent values, the folded BatchNorm has their mean and variance."""
    torch.manual_seed(0)
    branches = drawn(Branches(4, 4, [(1,), (1,)], groups=4))
    with torch.no_grad():
        means = [conv(torch.ones(1, 4, 1))[0, :, 0] for conv, _ in branches.branches]
        for (_, norm), mean in zip(branches.branches, means, strict=True):
            norm.running_mean.copy_(2 * mean)  # as if every input had a mean of 2
        ((conv, norm),) = branches.folded().branches
        torch.testing.assert_close(norm.running_mean, 2 * conv(torch.ones(1, 4, 1))[0, :, 0])
    spread = sum(n.weight.square() for _, n in branches.branches)
    torch.testing.assert_close(norm.running_var, spread.detach())
    assert norm.num_batches_tracked == 17


@pytest.mark.parametrize(
    "fields", [{}, {"kernels": [3, 3]}, {"kernels": [1, 11], "stem_stride": 2}], ids=str
)
def test_a_network_is_folded_exactly(fields: dict[str, Any]) -> None:
    torch.manual_seed(0)
    contract = contract_of({**TENET, **fields})
    network = drawn(checkpoint.build(contract))
    result, new = folded(network, contract)
    assert new == replace(contract, architecture=new.architecture)
    assert new.architecture["kernels"] == [max(fields.get("kernels", [9]))]
    assert not result.training
    x = torch.randn(32, 20, 41)
    with torch.no_grad():
        assert relative(network(x), result(x)) <= 1e-5
        assert network(x).std() > 0.01


def test_a_folded_network_is_unchanged() -> None:
    contract = contract_of(TENET)
    result, new = folded(checkpoint.build(contract), contract)
    again, same = folded(result, new)
    assert again is result
    assert same is new
    plain = contract_of({"kind": "plain"})
    network = checkpoint.build(plain)
    assert folded(network, plain) == (network, plain)


def test_every_folded_backbone_does_not_fold_again() -> None:
    folding = []
    for kind in family.kinds("Backbone"):
        backbone: Any = BACKBONE.validate_python({"kind": kind})
        table = backbone.folded() if hasattr(backbone, "folded") else None
        if table is not None:
            folding.append(kind)
            single: Any = type(backbone).model_validate(table)
            assert single.folded() is None
            assert single.representation == backbone.representation
            torch.manual_seed(0)
            network = drawn(backbone.build(40, 4))
            shape = (40, 97) if backbone.representation == "2d" else (1, 40, 97)
            contract = replace(
                contract_of(backbone.model_dump(mode="json"), shape), labels=("a", "b", "c", "d")
            )
            x = torch.randn(8, *shape)
            with torch.no_grad():
                assert relative(network(x), folded(network, contract)[0](x)) <= 1e-5
    assert "tenet" in folding


def test_what_is_counted_is_the_single_branch() -> None:
    contract = contract_of({"kind": "tenet", "channels": 8, "stages": 1, "blocks": 1})
    counted = export_lowered(*folded(checkpoint.untrained(contract), contract))
    stem, wide, depthwise, narrow, down = 20 * 8 * 3, 8 * 24, 24 * 9, 24 * 8, 8 * 8
    biases = 8 + 24 + 24 + 8 + 8
    weights = stem + wide + depthwise + narrow + down + 8 * 3
    assert graph.parameters(counted) == weights + biases + 3
    by_layer = 41 * (stem + wide) + 21 * (depthwise + narrow + down)
    assert graph.macs(counted) == by_layer + 8 * 3


def test_a_folded_backbone_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    member = family.load("Backbone", "tenet")
    monkeypatch.setattr(member, "folded", lambda self: {**TENET, "kernels": (7,)})
    contract = contract_of(TENET)
    with pytest.raises(UnsupportedError, match=r"backbone tenet: its folded weights do not fit"):
        folded(checkpoint.build(contract), contract)
