"""Parameters and MACs of the `plain` networks in both representations, as a Markdown table.

    python tools/networks_table.py [--mels 64] [--labels 5]

Counted as everywhere in edgekws: on the lowered ONNX graph, batch 1, for one second of audio.
"""

import argparse
from typing import get_args

from edgekws.backbones.plain import Backbone
from edgekws.core.contract import Contract, Normalization
from edgekws.lowering import checkpoint
from edgekws.lowering.export import export_lowered
from edgekws.lowering.folding import folded
from edgekws.metrics import graph
from edgekws.runtime.front_end import FrontEnd


def count(variant: str, representation: str, n_mels: int, n_labels: int) -> tuple[int, int]:
    """Return parameters and MACs of one network."""
    front_end = FrontEnd(n_mels=n_mels)
    shape = (n_mels, front_end.n_frames)
    contract = Contract(
        front_end,
        Normalization((0.0,) * n_mels, (1.0,) * n_mels),
        tuple(f"label {n}" for n in range(n_labels)),
        shape if representation == "2d" else (1, *shape),
        {"kind": "plain", "variant": variant, "representation": representation},
    )
    model = export_lowered(*folded(checkpoint.untrained(contract), contract))
    return graph.parameters(model), graph.macs(model)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mels", type=int, default=64)
    parser.add_argument("--labels", type=int, default=5)
    options = parser.parse_args()
    print("| network | 3-D params | 3-D MACs | 2-D params | 2-D MACs | MACs, 3-D / 2-D |")
    print("|---|---|---|---|---|---|")
    for variant in get_args(Backbone.model_fields["variant"].annotation):
        params3, macs3 = count(variant, "3d", options.mels, options.labels)
        params2, macs2 = count(variant, "2d", options.mels, options.labels)
        cells = [variant, f"{params3:,}", f"{macs3 / 1e6:.2f} M", f"{params2:,}"]
        print("|", " | ".join([*cells, f"{macs2 / 1e6:.2f} M", f"{macs3 / macs2:.0f} ×"]), "|")


if __name__ == "__main__":
    main()
