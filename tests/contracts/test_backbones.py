"""What every backbone has to keep, whichever module it is."""

import copy
import subprocess
import sys
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from edgekws.core import family
from edgekws.core.fields import Fields
from edgekws.core.protocols import BACKBONE, Backbone

KINDS = family.kinds("Backbone")
MELS, FRAMES, LABELS = 40, 97, 12


def tables(kind: str) -> list[dict[str, Any]]:
    """Return the member's default table, and one for each other choice of its Literal fields."""
    found: list[dict[str, Any]] = [{"kind": kind}]
    for name, field in family.load("Backbone", kind).model_fields.items():
        if get_origin(field.annotation) is Literal and name != "kind":
            choices = get_args(field.annotation)
            found += [{"kind": kind, name: value} for value in choices if value != field.default]
    return found


TABLES = [table for kind in KINDS for table in tables(kind)]
every_backbone = pytest.mark.parametrize(
    "table", TABLES, ids=["-".join(map(str, table.values())) for table in TABLES]
)


def backbone(table: dict[str, Any]) -> Backbone:
    return BACKBONE.validate_python(table)


def build(table: dict[str, Any], seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return backbone(table).build(MELS, LABELS)


def features(table: dict[str, Any], batch: int, frames: int = FRAMES) -> Tensor:
    axes = (MELS,) if backbone(table).representation == "2d" else (1, MELS)
    generator = torch.Generator().manual_seed(batch)
    return torch.randn(batch, *axes, frames, generator=generator)


def test_all_members_are_seen() -> None:
    assert {"bcresnet", "inverted_bottleneck", "mel_spanning", "plain", "resnet18"} <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_class_says_what_it_is(kind: str) -> None:
    member: Any = family.load("Backbone", kind)
    assert issubclass(member, Fields)
    assert member.__name__ == "Backbone"
    assert member.__module__ == f"edgekws.backbones.{kind}"
    assert member.model_fields["kind"].annotation == Literal[kind]
    assert member().kind == kind
    assert member().representation in ("2d", "3d")
    undescribed = [n for n, f in member.model_fields.items() if n != "kind" and not f.description]
    assert not undescribed


def test_reading_a_recipe_imports_no_torch() -> None:
    code = (
        "import sys; from edgekws.core import family; "
        "[family.load('Backbone', k)() for k in family.kinds('Backbone')]; "
        "sys.exit(sorted({'torch', 'onnx', 'onnxruntime', 'scipy'} & set(sys.modules)) or 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@every_backbone
def test_a_table_survives_the_contract(table: dict[str, Any]) -> None:
    member = backbone(table)
    assert backbone(member.model_dump(mode="json")) == member


@every_backbone
def test_shapes(table: dict[str, Any]) -> None:
    network = build(table)
    for batch in (1, 3):
        assert network.train()(features(table, batch)).shape == (batch, LABELS)
        assert network.eval()(features(table, batch)).shape == (batch, LABELS)
    for frames in (90, 101):
        assert network(features(table, 2, frames)).shape == (2, LABELS)


@every_backbone
def test_every_parameter_learns(table: dict[str, Any]) -> None:
    network = build(table).train()
    loss = nn.functional.cross_entropy(network(features(table, 6)), torch.arange(6))
    torch.autograd.backward(loss)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert any(p.grad is not None and p.grad.any() for p in network.parameters())


@every_backbone
def test_eval_does_not_mix_the_clips_of_a_batch(table: dict[str, Any]) -> None:
    network, x = build(table).eval(), features(table, 3)
    with torch.no_grad():
        torch.testing.assert_close(network(x)[1:2], network(x[1:2]), rtol=1e-4, atol=1e-5)


@every_backbone
def test_the_seed_decides_the_weights(table: dict[str, Any]) -> None:
    first, again, other = (build(table, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@every_backbone
def test_weights_survive_safetensors(table: dict[str, Any]) -> None:
    state = build(table).state_dict()
    back = load(save(state))
    assert state.keys() == back.keys()
    assert all(torch.equal(state[name], back[name]) for name in state)


@every_backbone
def test_exports_with_a_free_batch(table: dict[str, Any]) -> None:
    network = build(table).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(
        network, (features(table, 2),), dynamic_shapes=({0: batch},), strict=False
    )
    x = features(table, 5)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(x), network(x), rtol=1e-4, atol=1e-5)


@every_backbone
def test_traces_with_fx(table: dict[str, Any]) -> None:
    network, x = build(table).eval(), features(table, 2)
    with torch.no_grad():
        torch.testing.assert_close(torch.fx.symbolic_trace(network)(x), network(x))


def height_1(module: nn.Module) -> nn.Module:
    """Return the Conv2d cousin of a module that runs over time."""
    if isinstance(module, nn.Conv1d):
        cousin: nn.Module = nn.Conv2d(
            module.in_channels,
            module.out_channels,
            (1, module.kernel_size[0]),
            stride=(1, module.stride[0]),
            padding=(0, int(module.padding[0])),
            dilation=(1, module.dilation[0]),
            groups=module.groups,
            bias=module.bias is not None,
        )
        state = module.state_dict()
        state["weight"] = state["weight"].unsqueeze(2)
        cousin.load_state_dict(state)
        return cousin
    if isinstance(module, nn.BatchNorm1d):
        cousin = nn.BatchNorm2d(module.num_features, eps=module.eps).eval()
        cousin.load_state_dict(module.state_dict())
        return cousin
    if isinstance(module, nn.MaxPool1d):
        assert isinstance(module.kernel_size, int)
        return nn.MaxPool2d((1, module.kernel_size))
    if isinstance(module, nn.AvgPool1d):
        assert isinstance(module.kernel_size, tuple)
        return nn.AvgPool2d((1, module.kernel_size[0]))
    if isinstance(module, nn.AdaptiveAvgPool1d):
        assert isinstance(module.output_size, int)
        return nn.AdaptiveAvgPool2d((1, module.output_size))
    return module


TWO_D = [table for table in TABLES if backbone(table).representation == "2d"]


def test_some_backbones_are_2d() -> None:
    assert len(TWO_D) >= 6


@pytest.mark.parametrize("table", TWO_D, ids=["-".join(map(str, t.values())) for t in TWO_D])
def test_a_2d_network_runs_at_height_1(table: dict[str, Any]) -> None:
    network = build(table)
    network.train()(features(table, 8))  # running statistics other than 0 and 1
    network.eval()
    lifted = copy.deepcopy(network)
    for name, module in list(lifted.named_modules()):
        if not list(module.children()):
            lifted.set_submodule(name, height_1(module))
    assert not any("1d" in type(m).__name__ for m in lifted.modules())
    x = features(table, 3)
    with torch.no_grad():
        torch.testing.assert_close(lifted(x.unsqueeze(2)), network(x), rtol=1e-4, atol=1e-5)
