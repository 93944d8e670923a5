"""The ONNX form of a network with random weights, exported once for all recipes that have it."""

from pathlib import Path
from typing import TYPE_CHECKING

from edgekws.core.canonical import sha256_of
from edgekws.core.contract import Contract
from edgekws.core.environment import library_versions
from edgekws.core.events import Emit
from edgekws.core.source_code import closure
from edgekws.core.store import build_folder

if TYPE_CHECKING:
    import onnx
    from torch import nn


def lowered_form(
    network: "nn.Module", contract: Contract, cache: Path, emit: Emit
) -> "onnx.ModelProto":
    """Return the lowered form of `network`, from the cache if it was exported before.

    The key has the weights and the contract, not the recipe: to change what does not change the
    network, such as its training, costs no export.

    Raises:
        UnsupportedError: a layer has no such form, or cannot be exported.
    """
    import onnx

    from edgekws.lowering import checkpoint, export

    modules = ["edgekws.engine.exported", f"edgekws.backbones.{contract.architecture['kind']}"]
    key = {
        "network": checkpoint.sha256(network, contract),
        "versions": library_versions(),
        "source": closure(modules),
    }

    def build(folder: Path) -> None:
        model = export.export_lowered(network, contract)
        (folder / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))

    folder = build_folder(cache / "networks" / sha256_of(key), build, emit)
    return onnx.load_model_from_string((folder / "model.onnx").read_bytes())
