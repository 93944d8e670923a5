from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from edgekws.backbones.mel_spanning import Backbone
from edgekws.core.protocols import BACKBONE
from tests.backbones.conftest import CountMacs


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"strided_blocks": (2,), "head": 0, "stem_stride": 1, "stem_kernel_size": 5},
        {"padding": "valid"},
        {"padding": "valid", "strided_blocks": (1,), "kernel_size": 5, "stem_kernel_size": 5},
        {"patches": {"bands": 8, "hop": 4, "channels": 5}},
        {"patches": {"bands": 10, "hop": 10}, "stem_stride": 1, "padding": "valid"},
    ],
    ids=["default", "other", "valid", "valid strided", "patches", "patches that do not overlap"],
)
def test_the_twin_computes_the_same(
    fields: dict[str, Any], macs: CountMacs, parameters: Callable[[nn.Module], int]
) -> None:
    torch.manual_seed(0)
    backbone = Backbone(**fields)
    table = backbone.twin()
    twin = BACKBONE.validate_python(table)
    assert twin.representation == "2d"
    three_d, two_d = backbone.build(40, 12), twin.build(40, 12)
    x = torch.randn(8, 40, 97)
    with torch.no_grad():
        three_d.train()(3 * x.unsqueeze(1) + 1)  # running statistics other than 0 and 1

    source, shapes = three_d.state_dict(), two_d.state_dict()
    assert list(source) == list(shapes)
    assert any(source[name].shape != shapes[name].shape for name in source)
    two_d.load_state_dict({name: source[name].reshape(shapes[name].shape) for name in source})

    with torch.no_grad():
        difference = three_d.eval()(x.unsqueeze(1)) - two_d.eval()(x)
    assert difference.abs().max() <= 1e-4
    assert parameters(three_d) == parameters(two_d)
    assert macs(three_d, (1, 1, 40, 97)) == macs(two_d, (1, 40, 97))


def test_a_height_of_one_is_left_after_the_stem() -> None:
    network: Any = Backbone().build(40, 12).eval()
    assert network.stem(torch.zeros(1, 1, 40, 97)).shape == (1, 16, 1, 49)
