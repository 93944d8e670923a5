"""The score of one keyword in four forms, frame by frame: ONNX, C, TFLite in LiteRT and in TFLM.

    python tools/four_forms.py BUNDLE PAIR.json --speech FOLDER [--voice JSON ...] --work FOLDER
        [--output FILE.json]

BUNDLE has the front end microfrontend, and PAIR.json is the manifest of one of its keywords, as
`export --to esphome` wrote it. All forms run on the streams of tools/bench_wake_words.py: clips of
the keyword, spoken at three speeds by every voice of `--voice` amid silence and amid speech, and
the recordings of `--speech`.

ONNX and C give the softmax of the keyword, TFLite the product of logistic functions that stands in
its place. Events of ONNX and C are those of the bundle's detection. TFLite and TFLM fire where the
mean of the last scores of the manifest's window exceeds its cutoff, and not for a second after it.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from ai_edge_litert.interpreter import Interpreter as LiteRT
from numpy.typing import NDArray
from tflite_micro import runtime

from edgekws.bundle.declared import read_contract, read_json
from edgekws.bundle.pack import identity
from edgekws.codegen import compiler
from edgekws.core.events import quiet
from edgekws.core.output import write_text
from edgekws.exporters.c import Exporter
from edgekws.lowering.stream_parity import StreamSession
from edgekws.runtime import detect
from edgekws.runtime.micro_front_end import SCALE, MicroFrontEnd
from edgekws.spotting.c_detector import c_detector
from edgekws.tflite.keyword_export import quantized
from tools.bench_wake_words import Stream, clip_streams, speech_streams, spoken

PROGRAM = """
#include <stdio.h>
#include "kws.h"

static kws_state state;
static int16_t span[KWS_HOP_SPAN];

int main(void)
{
    float logits[KWS_LABELS];

    kws_front_end_reset(&state.scratch);
    kws_network_reset(state.network);
    while (fread(span, sizeof span, 1, stdin) == 1) {
        kws_front_end(span, KWS_FRAMES, kws_network_features(state.network), &state.scratch);
        kws_network_run(state.network, logits);
        fwrite(logits, sizeof logits, 1, stdout);
    }
    return 0;
}
"""

ARENA = 1 << 20
AROUND = 6
"""Hops before and after the highest score that are listed."""

IGNORED_FRAMES = 100
"""Frames that micro_wake_word ignores after it has fired."""

FORMS = ("onnx", "c", "litert", "tflm")
PAIRS = (("onnx", "c"), ("litert", "tflm"), ("onnx", "litert"), ("onnx", "tflm"))
Array = NDArray[np.float64]
Samples = NDArray[np.int16]


class Bundle(NamedTuple):
    """A bundle's folder, with its C and the label of the keyword."""

    folder: Path
    program: Path
    label: int


class Pair(NamedTuple):
    """A TFLite file, with the cutoff and the window of its manifest."""

    content: bytes
    cutoff: float
    window: int


def read_pair(manifest: Path) -> tuple[str, Pair]:
    """Return the keyword of a manifest, and its pair."""
    read = json.loads(manifest.read_text("utf-8"))
    micro = read["micro"]
    content = (manifest.parent / read["model"]).read_bytes()
    pair = Pair(content, micro["probability_cutoff"], micro["sliding_window_size"])
    return read["wake_word"], pair


def compiled(folder: Path, scratch: Path, options: Sequence[str] = ("-O2",)) -> Path:
    """Compile the C of a bundle as a program from the samples of hops to logits."""
    written = Exporter().write(folder, scratch)
    (written / "main.c").write_text(PROGRAM, encoding="utf-8")
    compiler.required().program(written, scratch / "four-forms", options)
    return scratch / "four-forms"


def scores(bundle: Bundle, content: bytes, samples: Samples) -> dict[str, Array]:
    """Return the scores `(hops,)` of every form on a stream, from the same samples."""
    manifest = read_json(bundle.folder / "manifest.json")
    front_end = detect.StreamFrontEnd(bundle.folder, manifest, threads=1)
    session = StreamSession(onnx.load(bundle.folder / "stream.onnx"))
    windows = front_end.windows(detect.as_float(samples))
    logits = np.concatenate([session.feed(hop) for hop in front_end.features(windows)])
    spans = front_end.windows(samples)
    in_c = subprocess.run(
        [bundle.program], input=spans.tobytes(), stdout=subprocess.PIPE, check=True
    )
    logits_in_c = np.frombuffer(in_c.stdout, np.float32).reshape(logits.shape)
    features = (MicroFrontEnd().feed(samples).T * SCALE).astype(np.float32)
    hop = front_end.hop_frames
    inputs = [quantized(features[:, hop * n : hop * (n + 1)]) for n in range(len(logits))]
    return {
        "onnx": detect.softmax(logits)[:, bundle.label].astype(np.float64),
        "c": detect.softmax(logits_in_c)[:, bundle.label].astype(np.float64),
        "litert": in_litert(content, inputs),
        "tflm": in_tflm(content, inputs),
        "product": product(logits.astype(np.float64), bundle.label),
    }


def product(logits: Array, label: int) -> Array:
    """Return the product over the other labels that TFLite computes in place of a softmax."""
    apart = np.delete(logits[:, [label]] - logits, label, axis=1)
    values: Array = (1 / (1 + np.exp(-apart))).prod(axis=1)
    return values


def in_litert(content: bytes, inputs: Sequence[NDArray[np.int8]]) -> Array:
    """Return the scores of a new stream in LiteRT, as it runs by default."""
    interpreter = LiteRT(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    given, output = (
        ends[0]["index"]
        for ends in (interpreter.get_input_details(), interpreter.get_output_details())
    )
    values = []
    for hop in inputs:
        interpreter.set_tensor(given, hop)
        interpreter.invoke()
        values.append(interpreter.get_tensor(output).item() / 256)
    return np.array(values)


def in_tflm(content: bytes, inputs: Sequence[NDArray[np.int8]]) -> Array:
    """Return the scores of a new stream in TFLM."""
    interpreter = runtime.Interpreter.from_bytes(content, arena_size=ARENA)
    values = []
    for hop in inputs:
        interpreter.set_input(hop, 0)
        interpreter.invoke()
        values.append(interpreter.get_output(0).item() / 256)
    return np.array(values)


def firings(values: Array, pair: Pair, ignored: int) -> list[int]:
    """Return the hops at which the mean of the last scores exceeds the cutoff.

    After each, so many hops are ignored.
    """
    padded = np.concatenate([np.zeros(pair.window - 1), values])
    means = np.convolve(padded, np.ones(pair.window) / pair.window, "valid")
    hops: list[int] = []
    for hop in np.flatnonzero(means > pair.cutoff).tolist():
        if not hops or hop > hops[-1] + ignored:
            hops.append(hop)
    return hops


def events(
    folder: Path, pair: Pair, streams: Sequence[Stream], rows: Sequence[dict[str, Array]]
) -> dict[str, Any]:
    """Return the numbers of events of each form, and of those that only one of two forms has."""
    found: dict[str, list[Any]] = {form: [] for form in FORMS}
    detector = detect.Detector(folder)
    ignored = IGNORED_FRAMES // read_json(folder / "manifest.json")["detection"]["hop_frames"]
    with c_detector(folder, quiet) as in_c:
        for number, (stream, row) in enumerate(zip(streams, rows, strict=True)):
            for form, spotter in (("onnx", detector), ("c", in_c)):
                lines = [*spotter.feed(stream.samples), *spotter.flush()]
                found[form] += [(number, *event.line("-").values()) for event in lines]
            for form in ("litert", "tflm"):
                found[form] += [(number, hop) for hop in firings(row[form], pair, ignored)]
    apart = {f"{one}-{other}": len(set(found[one]) ^ set(found[other])) for one, other in PAIRS[:2]}
    return {"counts": {form: len(found[form]) for form in FORMS}, "different": apart}


def difference(one: Array, other: Array) -> dict[str, Any]:
    """Return how far scores are from one another."""
    apart = np.abs(one - other)
    return {
        "different": int((apart > 0).sum()),
        "beyond_one_step": int((apart > 1 / 256 + 1e-9).sum()),
        "largest": round(float(apart.max()), 5),
        "mean": round(float(apart.mean()), 6),
    }


def compare(folder: Path, manifest: Path, streams: Sequence[Stream]) -> dict[str, Any]:
    """Return all figures on streams, as JSON."""
    keyword, pair = read_pair(manifest)
    with tempfile.TemporaryDirectory() as scratch:
        label = read_contract(folder).labels.index(keyword)
        bundle = Bundle(folder, compiled(folder, Path(scratch)), label)
        rows = [scores(bundle, pair.content, stream.samples) for stream in streams]
    joint = {form: np.concatenate([row[form] for row in rows]) for form in rows[0]}
    top = int(joint["onnx"].argmax())
    listed = range(max(top - AROUND, 0), min(top + AROUND + 1, len(joint["onnx"])))
    return {
        "bundle": identity(folder),
        "keyword": keyword,
        "cutoff": pair.cutoff,
        "window": pair.window,
        "hops": len(joint["onnx"]),
        "pairs": {f"{a}-{b}": difference(joint[a], joint[b]) for a, b in PAIRS},
        "softmax-product": difference(joint["onnx"], joint["product"]),
        "product-tflm": difference(joint["product"], joint["tflm"]),
        "product-litert": difference(joint["product"], joint["litert"]),
        "events": events(folder, pair, streams, rows),
        "frames": [{form: round(float(joint[form][n]), 5) for form in FORMS} for n in listed],
    }


def main() -> None:
    """Compare, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("pair", type=Path, help="the manifest of a keyword")
    parser.add_argument("--speech", type=Path, nargs="+", required=True)
    parser.add_argument("--voice", nargs="+", default=['{"kind": "flite"}'], metavar="JSON")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    speech = list(speech_streams(options.speech))
    around = np.concatenate([stream.samples for stream in speech])
    material = {
        "silence": np.zeros(0, np.float32),
        "speech": np.asarray(around / 32768, np.float32),
    }
    word, _ = read_pair(options.pair)
    clips = spoken(word, options.voice, options.work)
    streams = [*clip_streams(clips, material), *speech]
    record = {
        "command": shlex.join(["python", *sys.argv]),
        **compare(options.bundle, options.pair, streams),
    }
    text = json.dumps(record, ensure_ascii=False, indent=1) + "\n"
    print(text, end="")
    if options.output:
        write_text(options.output, text)


if __name__ == "__main__":
    main()
