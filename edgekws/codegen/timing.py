"""A model, its front end or both as a shared library that runs one inference, to be timed."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgekws.codegen import memory_plan, network, reading
from edgekws.codegen.compiler import Compiler
from edgekws.codegen.front_end import front_end_files
from edgekws.codegen.integer_front_end import integer_front_end_files
from edgekws.codegen.ir import Network
from edgekws.codegen.library_cache import cached_library, files_of
from edgekws.core.contract import Contract
from edgekws.core.events import quiet
from edgekws.lowering import onnx_file
from edgekws.runtime.c import FRONT_END, INTEGER_FRONT_END, TIMING, kernel_paths


@dataclass(frozen=True)
class Arithmetic:
    """What writes the front end, the kernels it calls, and the options that choose both."""

    front_end: Callable[[Contract, Network], dict[str, str]]
    kernels: tuple[str, ...]
    options: tuple[str, ...]


FLOATS = Arithmetic(front_end_files, FRONT_END, ())
INTEGERS = Arithmetic(integer_front_end_files, INTEGER_FRONT_END, ("-DKWS_INTEGER",))


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
        for name, text in arithmetic.front_end(contract, read).items():
            (folder / name).write_text(text, encoding="utf-8")
        files += arithmetic.kernels
    for path in kernel_paths(tuple(dict.fromkeys(files))):
        shutil.copy(path, folder)
    macros = {"KWS_TIMES_FRONT_END": "front end" in times, "KWS_TIMES_NETWORK": "network" in times}
    defined = [f"-D{name}={int(value)}" for name, value in macros.items()]
    options = [*flags, *arithmetic.options, *defined]
    library = cached_library(files_of(folder), lambda: folder, compiler, options, quiet)
    shutil.copyfile(library, output)
