"""A model, its front end or both as a shared library that runs one inference, to be timed."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from edgekws.codegen import front_ends, memory_plan, network, reading
from edgekws.codegen.compiler import Compiler
from edgekws.codegen.library_cache import cached_library, files_of
from edgekws.core.events import quiet
from edgekws.lowering import onnx_file
from edgekws.runtime.c import TIMING, kernel_paths


@dataclass(frozen=True)
class Arithmetic:
    """Whether there is no floating point, and the options that choose it."""

    integer: bool
    options: tuple[str, ...]


FLOATS = Arithmetic(False, ())
INTEGERS = Arithmetic(True, ("-DKWS_INTEGER",))


def write_library(
    model: Path,
    output: Path,
    compiler: Compiler,
    flags: list[str],
    *,
    times: tuple[str, ...],
    arithmetic: Arithmetic = FLOATS,
) -> None:
    """Compile what `times` names, `front end`, `network` or both in this order, of a model.

    The sources are written into a folder beside `output`; compiled before, the library comes from
    the cache.

    Raises:
        UsageError: the model has no contract, so that its front end is not known.
        UnsupportedError: a layer or the front end has no form in C; the message names it.
        MachineError: the compiler fails, or the cache cannot be written.
    """
    folder = output.with_suffix("")
    folder.mkdir()
    loaded, contract = onnx_file.load(model)
    read = reading.read(loaded)
    files = list(TIMING)
    if "network" in times:
        source = network.write_network(read, memory_plan.plan(read), "")
        (folder / "kws_network.h").write_text(source.header, encoding="utf-8")
        (folder / "kws_network.c").write_text(source.source, encoding="utf-8")
        files += source.files
    if "front end" in times:
        for name, text in front_ends.files(contract, read, integer=arithmetic.integer).items():
            (folder / name).write_text(text, encoding="utf-8")
        files += front_ends.kernels(contract, integer=arithmetic.integer)
    for path in kernel_paths(tuple(dict.fromkeys(files))):
        shutil.copy(path, folder)
    macros = {"KWS_TIMES_FRONT_END": "front end" in times, "KWS_TIMES_NETWORK": "network" in times}
    defined = [f"-D{name}={int(value)}" for name, value in macros.items()]
    options = [*flags, *arithmetic.options, *defined]
    library = cached_library(files_of(folder), lambda: folder, compiler, options, quiet)
    shutil.copyfile(library, output)
