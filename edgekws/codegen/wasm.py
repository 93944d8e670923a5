"""C to WebAssembly by clang and wasm-ld: found, run, and two modules made into one pack."""

import base64
import shutil
import subprocess
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekws.codegen.compiler import EXACT
from edgekws.errors import MachineError, MissingPartError

INSTALL = "on Debian: apt install clang lld"

INSTALL_NODE = "on Debian: apt install nodejs"

SIMD = ("-msimd128",)
"""Options of a module with 128-bit SIMD."""

_OPTIONS = ("--target=wasm32", "-Os", "-mbulk-memory", "-nostdlib", *EXACT, "-I.")
_LINKED = ("--no-entry", "--strip-all", "--gc-sections", "-zstack-size=16384")
_DIGITS = bytes.maketrans(b"<", b"/")


def missing() -> tuple[str, ...]:
    """Return the programs that are missing here, of those that a module is built by."""
    return tuple(name for name in ("clang", "wasm-ld") if shutil.which(name) is None)


def require() -> None:
    """Check that modules can be built.

    Raises:
        MissingPartError: clang or wasm-ld is missing.
    """
    if names := missing():
        raise MissingPartError(f"{' and '.join(names)} not found: install clang and lld, {INSTALL}")


def node() -> str | None:
    """Return the path of Node.js, which runs modules outside of a browser."""
    return shutil.which("node") or shutil.which("nodejs")


def build(folder: Path, output: Path, options: Sequence[str] = ()) -> bytes:
    """Compile all `.c` files in `folder` into a module; return its bytes.

    Raises:
        MachineError: clang fails; the message ends with its first error.
    """
    sources = sorted(path.name for path in folder.glob("*.c"))
    linked = [f"-Wl,{option}" for option in _LINKED]
    command = ["clang", *_OPTIONS, *options, *sources, "-o", str(output), *linked]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.splitlines() or [f"exit code {done.returncode}"]
        error = next((line for line in lines if "error" in line), lines[-1])
        raise MachineError(f"clang does not compile the C to WebAssembly: {error}")
    return output.read_bytes()


@dataclass(frozen=True)
class Pack:
    """Texts and two modules in one text, and the sizes that `unpack.js` needs to read it."""

    text: str
    sizes: tuple[int, ...]


def pack(texts: Sequence[str], simd: bytes, scalar: bytes) -> Pack:
    """Return texts, a module with SIMD and one without, compressed, in 85 letters without `<`.

    The modules end alike, with the same tables: the end is kept once. Sizes are those of what is
    compressed, of the end, of the module with SIMD and of the texts, in bytes.
    """
    shared = _common_end(simd, scalar)
    encoded = [text.encode() for text in texts]
    content = b"".join([*encoded, simd, scalar[: len(scalar) - shared]])
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    packed = deflate.compress(content) + deflate.flush()
    text = base64.b85encode(packed, pad=True).translate(_DIGITS).decode()
    return Pack(text, (len(packed), shared, len(simd), *map(len, encoded)))


def _common_end(one: bytes, other: bytes) -> int:
    shortest = min(len(one), len(other))
    pairs = zip(reversed(one), reversed(other), strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), shortest)
