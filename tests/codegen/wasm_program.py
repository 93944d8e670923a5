"""A network in C as WebAssembly that Node.js runs: features in, logits and memory out."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgekws.codegen import wasm
from edgekws.codegen.ir import Network
from edgekws.codegen.memory_plan import plan
from edgekws.codegen.network import write_network
from edgekws.codegen.oracle import Oracle
from edgekws.runtime import web
from edgekws.runtime.c import kernel_paths
from tests.codegen.network_program import NetworkProgram
from tests.codegen.random_operators import SIZE

MAIN = """
#include "kws_network.h"
#define EXPORT(name) __attribute__((export_name(name)))

static uint8_t memory[KWS_NETWORK_MEMORY];
static kws_real logits[KWS_N_LABELS];

EXPORT("reset") void reset(void) { kws_network_reset(memory); }
EXPORT("run") void run(void) { kws_network_run(memory, logits); }
EXPORT("place") uint8_t *place(void) { return memory; }
EXPORT("features") uint8_t *features(void) { return kws_network_features(memory); }
EXPORT("logits") kws_real *logits_place(void) { return logits; }
EXPORT("sizes") int32_t sizes(int32_t i)
{
    return i == 0 ? KWS_FRAMES * KWS_N_MELS : i == 1 ? KWS_N_LABELS * 4 : KWS_NETWORK_MEMORY;
}
"""
RUNNER = """
const fs = require("node:fs"), input = fs.readFileSync(0), output = [];
WebAssembly.instantiate(fs.readFileSync(process.argv[2])).then(({instance: {exports: c}}) => {
  const bytes = (at, i) => new Uint8Array(c.memory.buffer, at, c.sizes(i));
  c.reset();
  for (let at = 0; at < input.length; at += c.sizes(0)) {
    bytes(c.features(), 0).set(input.subarray(at, at + c.sizes(0)));
    c.run();
    output.push(bytes(c.logits(), 1).slice(), bytes(c.place(), 2).slice());
  }
  fs.writeSync(1, Buffer.concat(output));
});
"""
BUILDS = {"wasm-simd": wasm.SIMD, "wasm-scalar": ()}


def skip_where_impossible() -> str:
    """Return the path of Node.js; skips the test where a program is missing."""
    for program in wasm.missing():
        pytest.skip(f"{program} is not installed: apt-get install clang lld")
    node = wasm.node()
    if node is None:
        pytest.skip("Node.js is not installed: apt-get install nodejs")
    return node


def build_program(network: Network, build: str, folder: Path) -> NetworkProgram:
    """Compile a network; skips the test where a program is missing."""
    node = skip_where_impossible()
    source = write_network(network, plan(network), "/* A test. */")
    files = {"kws_network.h": source.header, "kws_network.c": source.source, "main.c": MAIN}
    for name, text in files.items():
        (folder / name).write_text(text)
    for path in (*kernel_paths(source.files), *map(web.path, web.C[1:])):
        shutil.copy(path, folder)
    wasm.build(folder, folder / "program.wasm", BUILDS[build])
    (folder / "run.js").write_text(RUNNER)
    return NetworkProgram(network, (node, str(folder / "run.js"), str(folder / "program.wasm")))


def differences(network: Network, build: str, folder: Path) -> list[str]:
    """Return the buffers, or `logits`, that differ from the slow arithmetic on three clips."""
    generator = np.random.default_rng(0)
    clips = [
        (generator.normal(size=(64, SIZE // 64)) * spread).astype(np.float32)
        for spread in (0.5, 1, 3)
    ]
    clips[2][:3, :2] = [[np.nan, np.inf], [-np.inf, 1e30], [-1e30, -0.0]]
    oracle, different = Oracle(network), list[str]()
    results = build_program(network, build, folder).run(clips)
    for clip, (logits, memory) in zip(clips, results, strict=True):
        different += ["logits"] * (oracle.run(clip).tobytes() != logits)
        wrong = np.flatnonzero(np.frombuffer(memory, np.uint8) != oracle.memory)
        for name, start in oracle.plan.offsets.items():
            different += [name] * bool(((wrong >= start) & (wrong < start + SIZE)).any())
    return different
