"""One HTML page that detects keywords in the browser: microphone or file, without a server."""

import shutil
from pathlib import Path
from typing import Literal

from edgekws.bundle.declared import read_contract, read_json
from edgekws.bundle.pack import identity
from edgekws.codegen import wasm
from edgekws.core.fields import Fields
from edgekws.core.protocols import EXPORTER
from edgekws.core.verified import Verified
from edgekws.errors import UsageError
from edgekws.exporters import _web_page, _web_proof
from edgekws.runtime import web


class Exporter(Fields):
    """A page that needs nothing beside it, and fetches nothing.

    The portable C of the bundle as WebAssembly, with SIMD and without; microphone or files, scores,
    events, thresholds. The same bundle and compiler give the same bytes.
    """

    kind: Literal["web"] = "web"

    def check_output(self, output: Path) -> None:
        """Refuse an output that is not an `.html` file, or another page.

        Raises:
            UsageError: `output` is a folder, has another suffix or other content.
        """
        if output.suffix.lower() != ".html" or output.is_dir():
            raise UsageError(f"{output}: a page is one file; name an --output ending in .html")
        if output.is_file() and _web_page.MARK.encode() not in output.read_bytes():
            raise UsageError(f"{output} is another page; name another --output")

    def write(self, folder: Path, scratch: Path) -> Path:
        """Compile the C of the bundle twice, and write the page.

        Raises:
            MissingPartError: clang or wasm-ld is missing.
            UsageError, UnsupportedError, ParityError: as `edgekws.exporters.c.Exporter.write`.
            MachineError: clang fails.
        """
        wasm.require()
        sources = write_sources(folder, scratch)
        simd, scalar = (
            wasm.build(sources, scratch / f"{name}.wasm", [*options, "-DKWS_ADJUSTABLE"])
            for name, options in (("simd", wasm.SIMD), ("scalar", ()))
        )
        contract, manifest = read_contract(folder), read_json(folder / "manifest.json")
        frames = _network_frames(folder)
        page = _web_page.build_page(contract, manifest, identity(folder), frames, (simd, scalar))
        written = scratch / "page.html"
        written.write_text(page, encoding="utf-8")
        return written

    def prove(self, written: Path, folder: Path) -> Verified:
        """Compare the logits of the golden clips, from both modules, with onnxruntime's.

        Where there is no Node.js, a note of the result says so.

        Raises:
            ParityError: a bit differs from the logits of the same features, or a label from that
                of the bundle.
        """
        return _web_proof.prove(written, folder)


def write_sources(folder: Path, scratch: Path) -> Path:
    """Write the C of a bundle, and what WebAssembly has more; return the folder.

    Raises:
        UsageError, UnsupportedError, ParityError: as `edgekws.exporters.c.Exporter.write`.
    """
    sources = EXPORTER.validate_python({"kind": "c"}).write(folder, scratch)
    (sources / "main.c").unlink()
    for name in web.C:
        shutil.copy(web.path(name), sources)
    return sources


def _network_frames(folder: Path) -> int:
    """Return how many frames the network of the C takes in a run."""
    if (folder / "stream.onnx").is_file():
        return int(read_json(folder / "manifest.json")["detection"]["hop_frames"])
    return read_contract(folder).input_shape[-1]
