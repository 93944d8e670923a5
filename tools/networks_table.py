"""Parameters and MACs of the `plain` networks in both representations.

    python tools/networks_table.py > docs/results/networks.json

Counted as everywhere in edgekws: on the lowered ONNX graph, batch 1, for one second of audio.
"""

import json
from typing import get_args

from edgekws.backbones.plain import Backbone
from edgekws.core.contract import Contract, Normalization
from edgekws.lowering import checkpoint
from edgekws.lowering.export import export_lowered
from edgekws.lowering.folding import folded
from edgekws.metrics import graph
from edgekws.runtime.front_end import FrontEnd

N_MELS = 64
N_LABELS = 5


def count(variant: str, representation: str) -> dict[str, int]:
    """Return parameters and MACs of one network."""
    front_end = FrontEnd(n_mels=N_MELS)
    shape = (N_MELS, front_end.n_frames)
    contract = Contract(
        front_end,
        Normalization((0.0,) * N_MELS, (1.0,) * N_MELS),
        tuple(f"label {n}" for n in range(N_LABELS)),
        shape if representation == "2d" else (1, *shape),
        {"kind": "plain", "variant": variant, "representation": representation},
    )
    model = export_lowered(*folded(checkpoint.untrained(contract), contract))
    return {"params": graph.parameters(model), "macs": graph.macs(model)}


def main() -> None:
    """Print the JSON."""
    networks = [
        {"network": variant} | {form: count(variant, form) for form in ("3d", "2d")}
        for variant in get_args(Backbone.model_fields["variant"].annotation)
    ]
    print(json.dumps({"n_mels": N_MELS, "n_labels": N_LABELS, "networks": networks}, indent=1))


if __name__ == "__main__":
    main()
