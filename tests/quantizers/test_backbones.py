"""The blocks of the published 2-D networks as Conv2d of height 1, in both backends."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from edgekws.core.protocols import BACKBONE, QUANTIZER
from edgekws.lowering.height1 import height1
from edgekws.metrics import graph
from tests.quantizers.conftest import Case


def built(kind: str, n_mels: int, **fields: Any) -> Any:
    return BACKBONE.validate_python({"kind": kind, **fields}).build(n_mels, 5)


def chained() -> nn.Module:
    """Return one network with a block of each, because every network costs seconds.

    The widths are chosen to fit; blocks of the same structure are omitted.
    """
    matchboxnet = built("matchboxnet", 20, blocks=1, channels=12, outer_channels=28)
    tcresnet = built("tcresnet", 28, width=1.75)
    mobilenet1d = built("mobilenet1d", 20, variant="simplemobilenet1d")
    return nn.Sequential(
        *matchboxnet[:4],  # (B, 28, T)
        tcresnet[1][0],  # (B, 42, T/2)
        mobilenet1d[1][3],  # (B, 67, T/4)
        *mobilenet1d[2:],  # (B, 5)
    )


def test_every_block_runs_in_int8(backend: str, case_of: Callable[..., Case]) -> None:
    torch.manual_seed(0)
    case = case_of("published", chained())
    with torch.no_grad():
        lifted = height1(case.network)(torch.from_numpy(case.unseen)).numpy()
    np.testing.assert_allclose(lifted, case.logits, atol=1e-4)
    quantizer = QUANTIZER.validate_python({"kind": backend})
    model = quantizer.quantize(case.source(backend), case.clips, "minmax")
    assert sum(layer.op == "Conv" for layer in graph.layers(model)) == 8 + 3 + 2
    assert graph.int8_coverage(model) >= 0.99
    assert graph.float_weights(model) == ()
