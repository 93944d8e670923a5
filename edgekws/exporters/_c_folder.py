"""The files of an export to C, beside the sources of its network."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgekws.about import version
from edgekws.bundle.declared import read_json
from edgekws.codegen.ir import Conv, Dense, Depthwise, Network
from edgekws.codegen.memory_plan import MemoryPlan
from edgekws.codegen.proof import Proof
from edgekws.core.contract import Contract
from edgekws.runtime.c import kernel_paths

GENERATED = frozenset(
    (
        *("kws.h", "kws_labels.c", "kws_front_end.h", "kws_front_end.c", "kws_detector.h"),
        *("kws_detector.c", "kws_network.h", "kws_network.c", "README.md", "golden"),
    )
)
PROGRAM = "kws"
"""What `make` writes beside them."""


def obstacle(output: Path) -> str | None:
    """Return what stands at `output` and is no export to C; `None` if nothing."""
    if output.is_symlink():
        return f"is a link to {output.readlink()}"
    if not output.exists():
        return None
    if not output.is_dir():
        return "is a file"
    (written,) = kernel_paths(("kws.c",))
    ours = GENERATED | {PROGRAM} | {path.name for path in written.parent.iterdir()}
    names = {path.name for path in output.iterdir()}
    if foreign := sorted(names - ours):
        return f"holds {foreign[0]}, which is no file of an export to C"
    return "is a folder that holds no kws.h" if names and "kws.h" not in names else None


def origin(sha256: str) -> str:
    """Return the comment that begins every generated file."""
    return (
        "/* SPDX-License-Identifier: Apache-2.0\n"
        f" * Written by edgekws {version()} from the bundle {sha256}.\n"
        " * The licence is that of the code; weights and tables are those of the bundle. */"
    )


def copy_source(path: Path, target: Path) -> None:
    """Copy a hand-written file; it says what made it and under which licence."""
    text = path.read_text("utf-8")
    if path.suffix in (".c", ".h"):
        text = text.removeprefix("/* SPDX-License-Identifier: Apache-2.0 */\n")
        text = f"/* SPDX-License-Identifier: Apache-2.0 */\n/* From edgekws {version()}. */\n{text}"
    (target / path.name).write_text(text, encoding="utf-8")


def copy_golden(folder: Path, target: Path, contract: Contract) -> None:
    """Copy the golden clips, and write down their labels for `make test`."""
    lines = []
    for row in read_json(folder / "golden" / "golden.json"):
        shutil.copyfile(folder / "golden" / row["file"], target / "golden" / row["file"])
        logits = row.get("stream_logits", row["logits"])
        lines.append(f"golden/{row['file']}\t{contract.labels[int(np.argmax(logits))]}\n")
    (target / "golden" / "expected.tsv").write_text("".join(sorted(lines)), encoding="utf-8")


def readme(contract: Contract, network: Network, memory: MemoryPlan, proven: Proof) -> str:
    """Return the README of an export."""
    rate = contract.front_end.sample_rate
    kind = "hop of a stream" if network.streaming else "window"
    return f"""# {", ".join(label for label in contract.labels if label[:1] != "_")}, in C

Keywords in audio at {rate} Hz, 16 bits, one channel. C99, no heap, no library but the standard
headers. Written by edgekws {version()}.

    make                  # builds ./kws
    make test             # the golden clips have their labels
    ./kws recording.wav   # file, keyword, start and end in seconds, score
    arecord -q -f S16_LE -c 1 -r {rate} -t raw | ./kws -

`kws.h` is what a program includes; `main.c` is an example of its use. `CFLAGS="-O3 -march=native"`
chooses AVX2, AVX-512 VNNI or the dot product of Armv8; all give the same bits. `-ffast-math` is
refused.

`make INTEGER=1` (`-DKWS_INTEGER`, without the files that the Makefile lists as FLOATS) builds it
without floating point, for CPUs that have none. The network computes the same bits. Its front end
is an integer one, whose features differ slightly; times are in samples, scores in units of 1/65536.
Only this build needs the files `integer_front_end*`; without it they may be removed.

| | bytes |
|---|---|
| weights, biases and scales of the network, constant | {sum(_constants(network)):,} |
| memory of the network, in `kws_state` | {memory.size:,} |
| kept from one run to the next | {memory.kept:,} |

For each {kind}, the network computes the integers that onnxruntime computes at full
optimization from the same features. The rounding was compared on all {proven.accumulators:,}
accumulators that its channels can reach, in floats and in integers, and on {proven.pairs:,} pairs
of bytes: none differs.

The code is under the Apache License 2.0 (https://www.apache.org/licenses/LICENSE-2.0): you may
ship it in products, with that notice. Weights and tables are yours as the bundle is.
"""


def _constants(network: Network) -> Iterator[int]:
    for operator in network.operators:
        if isinstance(operator, Conv | Depthwise | Dense):
            yield operator.weights.nbytes + operator.bias.nbytes + 4 * len(operator.bias)
