"""A model, its front end or both as a shared library that runs one inference, to be timed."""

import shutil
from pathlib import Path

from edgekws.codegen import front_end, ir, memory_plan, network, reading
from edgekws.codegen.compiler import Compiler
from edgekws.codegen.library_cache import cached_library, files_of
from edgekws.core.contract import Contract
from edgekws.core.events import quiet
from edgekws.errors import UnsupportedError
from edgekws.lowering import onnx_file
from edgekws.runtime.c import FRONT_END, TIMING, kernel_paths


def write_library(
    model: Path, output: Path, compiler: Compiler, flags: list[str], *, times: tuple[str, ...]
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
        _write_front_end(contract, read, folder)
        files += FRONT_END
    for path in kernel_paths(tuple(dict.fromkeys(files))):
        shutil.copy(path, folder)
    macros = {"KWS_TIMES_FRONT_END": "front end" in times, "KWS_TIMES_NETWORK": "network" in times}
    defined = [f"-D{name}={int(value)}" for name, value in macros.items()]
    options = [*flags, *defined]
    library = cached_library(files_of(folder), lambda: folder, compiler, options, quiet)
    shutil.copyfile(library, output)


def _write_front_end(contract: Contract, read: ir.Network, folder: Path) -> None:
    quantization = front_end.InputQuantization(float(read.input.scale), read.input.zero, False)
    try:
        header = front_end.front_end_header(contract.front_end)
        source = front_end.front_end_source(
            contract.front_end, contract.normalization, quantization
        )
    except ValueError as error:
        raise UnsupportedError(f"the front end has no form in C: {error}") from error
    (folder / "kws_front_end.h").write_text(header, encoding="utf-8")
    (folder / "kws_front_end.c").write_text(source, encoding="utf-8")
