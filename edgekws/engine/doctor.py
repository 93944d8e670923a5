"""Check what this machine has and lacks, with advice; no heavy imports."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from edgekws.audio.microphone import sounddevice
from edgekws.audio.speaker_weights import INSTALL as ENCODER
from edgekws.audio.speaker_weights import weights
from edgekws.codegen import board, wasm
from edgekws.codegen.compiler import INSTALL, found
from edgekws.core.environment import cache_folder, core_count, device_kind
from edgekws.core.family import kinds
from edgekws.datasets.synthesis.engines import engines
from edgekws.engine.parts import installed, pip_line, requirements
from edgekws.errors import MissingPartError
from edgekws.lowering import speech_embedding
from edgekws.runtime import latency

Status = Literal["ok", "warn", "missing"]

ENOUGH_MEMORY_GIB = 2.0
ENOUGH_DISK_GIB = 5.0
LIMIT_S = 60.0

_GIB = 2**30
_OTHER_CACHE = "point EDGEKWS_CACHE at another folder"
_VNNI = ("avx512_vnni", "avx_vnni", "amx_int8")

_TINY_MODEL = """
import time
import onnxruntime
from onnx import TensorProto, helper
value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in "xy"]
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
import numpy
session = onnxruntime.InferenceSession(
    model.SerializeToString(), providers=["CPUExecutionProvider"]
)
feed, times = {"x": numpy.ones(1, numpy.float32)}, []
for _ in range(200):
    start = time.perf_counter()
    session.run(None, feed)
    times.append(time.perf_counter() - start)
print(f"{1e6 * sorted(times)[100]:.1f}")
"""


@dataclass(frozen=True)
class Check:
    """The result of one check: `warn` is optional, `missing` is required.

    `detail` describes what was found, `advice` what to do about a problem.
    """

    name: str
    status: Status
    detail: str
    advice: str = ""


def examine() -> Iterator[Check]:
    """Yield checks for everything that the chain uses on this machine."""
    yield _processor()
    yield _int8()
    yield _cores()
    yield _memory()
    yield _device()
    yield Check("Python", "ok", platform.python_version())
    yield from (library(requirement) for requirement in requirements())
    yield _onnxruntime()
    yield _espeak()
    yield from _synthesizers()
    yield from _embeddings()
    yield speaker_encoder()
    yield sound_input()
    yield from _cache(cache_folder())
    yield _temporary()
    yield from (_output(Path(name)) for name in ("runs", "dist"))
    yield _compiler()
    yield _microcontrollers()
    yield web_pages()
    if "ssh" in kinds("Target"):
        yield _ssh()


def _processor() -> Check:
    fingerprint = latency.fingerprint(1)
    flags = ", ".join(fingerprint["isa"]) or "none that matter here"
    return Check("CPU", "ok", f"{fingerprint['cpu']} ({fingerprint['machine']}); features: {flags}")


def _int8() -> Check:
    return int8(set(latency.fingerprint(1)["isa"]), platform.machine())


def int8(flags: set[str], machine: str) -> Check:
    """Return what the CPU's features mean for INT8 models."""
    if instructions := flags.intersection(_VNNI):
        text = f"{', '.join(sorted(instructions))}: INT8 sums are fast and exact"
        return Check("INT8", "ok", text)
    if "asimddp" in flags:
        return Check("INT8", "ok", "asimddp: INT8 dot products in hardware")
    if machine in ("x86_64", "AMD64"):
        text = "no VNNI: weights get 7 bits here, or sums of U8 × S8 products would saturate"
        return Check("INT8", "ok", text)
    text = "no INT8 dot products: an INT8 model is small here, but hardly faster than FP32"
    return Check("INT8", "warn", text, "compare both with edgekws check before choosing")


def _cores() -> Check:
    usable, total = core_count(), os.cpu_count() or 1
    load = os.getloadavg()[0]
    text = f"{usable} of {total} usable, load {load:.1f}"
    if load < usable:
        return Check("cores", "ok", text)
    return Check("cores", "warn", text, "latencies are unsteady while other programs run")


def _memory() -> Check:
    import psutil

    memory = psutil.virtual_memory()
    text = f"{memory.available / _GIB:.1f} GiB free of {memory.total / _GIB:.1f} GiB"
    if memory.available >= ENOUGH_MEMORY_GIB * _GIB:
        return Check("memory", "ok", text)
    return Check(
        "memory", "warn", text, f"training needs {ENOUGH_MEMORY_GIB:g} GiB; close programs"
    )


def _device() -> Check:
    cuda = device_kind() == "cuda"
    return Check("GPU", "ok", "CUDA; training runs on it" if cuda else "none; training runs on CPU")


def library(requirement: Requirement) -> Check:
    """Compare the installed version of a package with the range that edgekws supports."""
    version = installed(requirement)
    if version is None:
        return Check(requirement.name, "missing", "not installed", pip_line(requirement))
    wanted = str(requirement.specifier) or "any"
    if requirement.specifier.contains(version, prereleases=True):
        return Check(requirement.name, "ok", f"{version} ({wanted})")
    text = f"{version} is outside of {wanted}"
    return Check(requirement.name, "warn", text, pip_line(requirement))


def _onnxruntime() -> Check:
    """Run a graph in a separate process, which is killed by a signal if the CPU is too old."""
    name, command = "onnxruntime runs", [sys.executable, "-P", "-c", _TINY_MODEL]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return Check(name, "missing", f"no answer in {LIMIT_S:g} s", "run edgekws doctor again")
    if done.returncode == 0:
        return Check(name, "ok", f"a graph of one node in {done.stdout.strip()} µs")
    last = (done.stderr.strip().splitlines() or [f"it died with {done.returncode}"])[-1]
    needed = [r for r in requirements() if r.name in ("onnx", "onnxruntime")]
    advice = " ".join(["pip install --force-reinstall", *(f"'{r}'" for r in needed)])
    return Check(name, "missing", last, advice)


def _espeak() -> Check:
    from edgekws.synthesizers.speaking.espeak_ng import INSTALL, Espeak

    try:
        with Espeak() as espeak:
            accents = espeak.accents()
            espeak.use(dict(accents)["en-us"])
            wave = espeak.say("lights")
    except MissingPartError as error:
        return Check("espeak-ng speaks", "missing", str(error), INSTALL)
    if not len(wave):
        return Check("espeak-ng speaks", "missing", "it loads, but gives no sound", INSTALL)
    text = f"{len(wave) / espeak.sample_rate:.1f} s of speech; {len(accents)} languages and accents"
    return Check("espeak-ng speaks", "ok", text)


def _synthesizers() -> Iterator[Check]:
    """Check the engines that speak without further fields, but espeak-ng."""
    for engine, answer in engines():
        if engine.kind == "espeak":
            continue
        if isinstance(answer, str):
            yield Check(f"{engine.kind} speaks", "ok", answer)
        else:
            reason, _, advice = str(answer).partition("; ")
            yield Check(f"{engine.kind} speaks", "warn", f"{reason} (optional)", advice)


def _embeddings() -> Iterator[Check]:
    """Check the packages with an embedding that can teach."""
    for package, advice in speech_embedding.INSTALL.items():
        try:
            speech_embedding.package_files(package, "a teacher")
        except MissingPartError:
            text = "not installed (optional): a teacher that knows more speech"
            yield Check(package, "warn", text, advice)
        else:
            yield Check(package, "ok", "an embedding_teacher can use it")


def speaker_encoder() -> Check:
    """Check the weights with which effective speakers are counted."""
    if weights():
        return Check("resemblyzer", "ok", "effective speakers are counted")
    text = "not installed (optional): the report counts voices, not effective speakers"
    return Check("resemblyzer", "warn", text, ENCODER)


def sound_input() -> Check:
    """Check the library that reads microphones; none is opened."""
    try:
        sounddevice()
    except MissingPartError as error:
        reason, _, advice = str(error).partition("; ")
        advice = advice.removeprefix("install it with: ")
        return Check("microphone", "warn", f"{reason} (optional)", advice)
    return Check("microphone", "ok", "detect and record can listen, if one is plugged in")


def _cache(folder: Path) -> Iterator[Check]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_writable(folder)
    except OSError as error:
        text = f"{folder} cannot be written: {error.strerror}"
        yield Check("cache", "missing", text, _OTHER_CACHE)
        return
    yield Check("cache", "ok", f"{folder}, {_size(folder) / _GIB:.2f} GiB")
    free = shutil.disk_usage(folder).free / _GIB
    enough = free >= ENOUGH_DISK_GIB
    advice = "" if enough else f"free some space, or {_OTHER_CACHE}"
    yield Check("disk", "ok" if enough else "warn", f"{free:.1f} GiB free for the cache", advice)


def _check_writable(folder: Path) -> None:
    """Write a temporary file.

    Raises:
        OSError: the folder is not writable.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"x")


def _temporary() -> Check:
    """Check that temporary files go to `TMPDIR`; Python silently uses another folder otherwise."""
    name, advice = "temporary files", "point TMPDIR at a folder that can be written"
    wanted = os.environ.get("TMPDIR")
    try:
        used = tempfile.gettempdir()
    except FileNotFoundError as error:
        return Check(name, "missing", f"{error.strerror}", advice)
    if wanted and Path(used).resolve() != Path(wanted).resolve():
        return Check(name, "warn", f"in {used}: TMPDIR, {wanted}, cannot be written", advice)
    return Check(name, "ok", f"in {used}")


def _output(folder: Path) -> Check:
    """Check that `compress` could write a folder here, without creating it."""
    path = folder.absolute()
    try:
        _check_writable(next(path for path in (path, *path.parents) if path.exists()))
    except OSError as error:
        text = f"{path} cannot be written: {error.strerror}"
        advice = f"work in another folder, or name one: edgekws compress --{folder} DIR"
        return Check(f"{folder}/", "warn", text, advice)
    return Check(f"{folder}/", "ok", str(path))


def _size(folder: Path) -> int:
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(f"{where}/{name}").st_size
            except FileNotFoundError:  # another run has just renamed it
                continue
    return total


def _compiler() -> Check:
    compiler = found()
    if compiler:
        return Check("C compiler", "ok", f"{compiler.version}: exports to C are proven and timed")
    advice = f"to prove and time exports to C, {INSTALL}"
    return Check("C compiler", "warn", "none (optional)", advice)


def _microcontrollers() -> Check:
    name, names = "Cortex-M", board.missing()
    if not names:
        text = f"{board.version(board.GCC)}; {board.version(board.QEMU)}"
        return Check(name, "ok", f"{text}: a recipe can have a target cortex_m")
    advice = f"for a target cortex_m, {board.INSTALL}"
    return Check(name, "warn", f"no {', '.join(names)} (optional)", advice)


def web_pages() -> Check:
    """Return what is missing to export web pages, and to prove them."""
    name, missing = "WebAssembly", wasm.missing()
    if missing:
        advice = f"to export web pages, install clang and lld, {wasm.INSTALL}"
        return Check(name, "warn", f"no {' and '.join(missing)} (optional)", advice)
    if wasm.node() is None:
        advice = f"to prove web pages, install Node.js, {wasm.INSTALL_NODE}"
        return Check(name, "warn", "clang and wasm-ld, but no Node.js (optional)", advice)
    return Check(name, "ok", "clang, wasm-ld and Node.js: web pages are built and proven")


def _ssh() -> Check:
    client = shutil.which("ssh")
    if client:
        return Check("ssh", "ok", f"{client}: latency can be measured on another machine")
    advice = "install openssh-client to measure on another machine"
    return Check("ssh", "warn", "no client (optional)", advice)
