"""The exact conversion 3-D → 2-D, possible if the first layer leaves one frequency band."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from edgekws.core import family
from edgekws.core.contract import Contract
from edgekws.errors import UnsupportedError
from edgekws.lowering import checkpoint


def exact(network: nn.Module, contract: Contract) -> tuple[nn.Module, Contract]:
    """Return the 2-D network equivalent to a 3-D one, and its contract.

    It exists if the first convolution spans all mels and leaves one band, and if the backbone has
    a 2-D twin. The weights are the same numbers in the twin's shapes.

    Raises:
        UnsupportedError: the network is already 2-D, a layer leaves more than one band (the
            message names it), or the backbone has no twin.
    """
    refuse_2d(contract)
    layer = first_layer_with_bands(network, contract)
    if layer is not None:
        raise UnsupportedError(
            f"{layer}, so no 2-D network is exactly equivalent; name a 2-D backbone in the step, "
            'e.g. backbone = { kind = "inverted_bottleneck" }'
        )
    architecture = twin(contract)
    if architecture is None:
        raise UnsupportedError(
            f"backbone {contract.architecture['kind']} has one band left after its first layer "
            "but no 2-D twin; name a 2-D backbone in the step"
        )
    converted = replace(contract, input_shape=contract.input_shape[1:], architecture=architecture)
    result = checkpoint.build(converted)
    result.load_state_dict(_reshaped(network.state_dict(), result.state_dict()))
    return result.eval(), converted


def twin(contract: Contract) -> dict[str, Any] | None:
    """Return the recipe table of the backbone's 2-D twin, `None` if it has none."""
    member = family.load("Backbone", str(contract.architecture["kind"]))
    twin_table = getattr(member.model_validate(contract.architecture), "twin", None)
    if twin_table is None:
        return None
    table = twin_table()
    table = family.load("Backbone", table["kind"]).model_validate(table)
    dumped: dict[str, Any] = table.model_dump(mode="json")
    return dumped


def refuse_2d(contract: Contract) -> None:
    """Raise UnsupportedError if the network is already 2-D."""
    if contract.representation == "2d":
        raise UnsupportedError(
            f"backbone {contract.architecture['kind']} is already in the 2-D representation "
            f"(input {contract.input_shape}); remove the step to2d"
        )


def first_layer_with_bands(network: nn.Module, contract: Contract) -> str | None:
    """Describe the first convolution that leaves more than one band; `None` if there is none.

    Determined by a forward pass, not by the network's name.
    """
    with_bands: list[str] = []
    handles = []

    def record(path: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            before, after = inputs[0].shape[2], output.shape[2]
            if after > 1:
                with_bands.append(f"layer {path} (Conv2d) leaves {after} of {before} bands")

        return hook

    for path, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(record(path)))
    device = next(network.parameters()).device
    with torch.inference_mode():
        network(torch.zeros(1, *contract.input_shape, device=device))
    for handle in handles:
        handle.remove()
    return with_bands[0] if with_bands else None


def _reshaped(weights: dict[str, Tensor], into: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights in the shapes of `into`, with axes of length 1 removed or added."""
    for name in sorted(weights.keys() | into.keys()):
        shapes = [
            tuple(n for n in state[name].shape if n != 1) if name in state else None
            for state in (weights, into)
        ]
        if shapes[0] != shapes[1]:
            raise UnsupportedError(
                f"weight {name} does not fit the 2-D twin: {shapes[0]} against {shapes[1]}; the "
                "backbone and its twin must have the same modules under the same names"
            )
    return {name: weights[name].detach().cpu().reshape(into[name].shape) for name in into}
