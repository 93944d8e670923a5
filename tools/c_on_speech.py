"""The C of a bundle beside its Python runtime, on recordings.

    python tools/c_on_speech.py labels dist/arabic-40 data/asc
    python tools/c_on_speech.py events dist/wake-words data/wuw2 data/librispeech

`labels` classifies every recording with the integer build, which has no floating point, and counts
the labels that are not those of the bundle; its log-mel is compared with double precision, so the
front end must be that of log-mel, without means of bands.

`events` feeds every recording, as a stream of 16-bit samples, to the bundle's own detect.py at once
and to the C in pieces of random length, and counts the events that only one of them has, as they
are printed: keyword, times to a millisecond and score to four digits.

Recordings are all audio files below the folders, resampled to the bundle's rate. The result is
JSON.
"""

import argparse
import importlib.util
import json
import math
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgekws.audio.decoding import to_int16
from edgekws.audio.reading import read_audio
from edgekws.bundle.archive import unpacked
from edgekws.bundle.declared import read_contract
from edgekws.bundle.pack import identity
from edgekws.codegen import compiler
from edgekws.codegen.integer_front_end import mel_units
from edgekws.core.events import quiet
from edgekws.exporters.c import Exporter
from edgekws.runtime.detect import Classifier, fit_window
from edgekws.runtime.front_end import LOG_FLOOR, FrontEnd, analysis_window, mel_filterbank
from edgekws.spotting.c_detector import c_detector

SUFFIXES = {".flac", ".mp3", ".ogg", ".opus", ".wav"}
CFLAGS = "-O3 -march=native"
LONGEST = 4000
"""Samples of the longest piece that the C gets."""

BATCH = 200
"""Clips of one run of the integer build."""

PROGRAM = """
#include <stdio.h>
#include "kws.h"

static kws_state state;
static int16_t clip[KWS_WINDOW_SAMPLES];
static uint8_t features[KWS_MEL_BANDS];

int main(void)
{
    kws_score scores[KWS_LABELS];
    int32_t label;

    kws_init(&state);
    while (fread(clip, sizeof clip, 1, stdin) == 1) {
        for (int32_t t = 0; t < KWS_WINDOW_FRAMES; t++) {
            kws_front_end(clip + t * KWS_FRAME_STEP, 1, features, &state.scratch);
            fwrite(state.scratch.logs, sizeof state.scratch.logs, 1, stdout);
        }
        label = kws_classify(&state, clip, scores);
        fwrite(&label, sizeof label, 1, stdout);
    }
    return 0;
}
"""


def recordings(folders: Sequence[Path]) -> list[Path]:
    """Return the audio files below the folders, sorted."""
    files = (path for folder in folders for path in folder.rglob("*"))
    return sorted(path for path in files if path.suffix in SUFFIXES)


def samples_of(path: Path, sample_rate: int) -> NDArray[np.int16]:
    """Return a recording as 16-bit samples."""
    return to_int16(read_audio(path, sample_rate))


def window_of(path: Path, front_end: FrontEnd) -> NDArray[np.int16]:
    """Return a clip as one window of 16-bit samples."""
    samples = samples_of(path, front_end.sample_rate)
    return fit_window(samples, front_end.window_samples).astype(np.int16)


def batched(paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    """Yield the paths, `BATCH` at once."""
    for start in range(0, len(paths), BATCH):
        yield paths[start : start + BATCH]


def log_mel(pcm: NDArray[np.int16], front_end: FrontEnd) -> NDArray[np.float64]:
    """Return the log-mel `(T, n_mels)` of a window in double precision."""
    frames = np.lib.stride_tricks.sliding_window_view(pcm / 32768, front_end.n_fft)
    spectrum = np.fft.rfft(frames[:: front_end.hop_length] * analysis_window(front_end))
    return np.log(np.abs(spectrum) ** 2 @ mel_filterbank(front_end).T + LOG_FLOOR)


def integer_build(folder: Path, scratch: Path, chosen: compiler.Compiler) -> Path:
    """Compile the C of a bundle without floating point; return the program."""
    written = Exporter().write(folder, scratch)
    (written / "main.c").write_text(PROGRAM, encoding="utf-8")
    options = [f"CC={shlex.join(chosen.command)}", f"CFLAGS={CFLAGS}"]
    subprocess.run(["make", "-s", "INTEGER=1", *options], cwd=written, check=True)
    return written / "kws"


def classified(
    program: Path, clips: NDArray[np.int16], front_end: FrontEnd
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Return the log-mel `(N, T, n_mels)` and the labels `(N,)` of the integer build."""
    done = subprocess.run([program], input=clips.tobytes(), capture_output=True, check=True)
    rows = np.frombuffer(done.stdout, np.int32).reshape(len(clips), -1)
    logs = rows[:, :-1].reshape(len(clips), -1, front_end.n_mels)
    return (logs / 65536 - mel_units(front_end.n_fft).exponent) * math.log(2), rows[:, -1]


def compare_labels(bundle: Path, paths: Sequence[Path]) -> dict[str, Any]:
    """Return how far the integer build is from the bundle on clips, as JSON."""
    chosen = compiler.required()
    with tempfile.TemporaryDirectory() as scratch, unpacked(bundle) as folder:
        program = integer_build(folder, Path(scratch), chosen)
        classifier, front_end = Classifier(folder), read_contract(folder).front_end
        squares, largest, differing = list[float](), 0.0, list[dict[str, Any]]()
        for some in batched(paths):
            clips = np.stack([window_of(path, front_end) for path in some])
            levels, labels = classified(program, clips, front_end)
            for path, clip, level, label in zip(some, clips, levels, labels, strict=True):
                errors = level - log_mel(clip, front_end)
                squares.append(float(np.square(errors).mean()))
                largest = max(largest, float(np.abs(errors).max()))
                expected = int(classifier.logits(clip).argmax())
                if label != expected:
                    names = {"bundle": classifier.labels[expected], "c": classifier.labels[label]}
                    differing.append({"recording": _name(path), **names})
        return {
            "bundle": identity(folder),
            "clips": len(paths),
            "rms_error": math.sqrt(sum(squares) / len(squares)),
            "largest_error": largest,
            "labels_differing": len(differing),
            "differing": differing,
            "compiler": chosen.version,
            "cflags": f"{CFLAGS} -DKWS_INTEGER",
        }


def own_detector(folder: Path) -> Any:
    """Return the `Detector` of the bundle's own `detect.py`."""
    spec = importlib.util.spec_from_file_location("bundle_detect", folder / "detect.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(folder / "detect.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.Detector(folder)


def pieces(samples: NDArray[np.int16], random: np.random.Generator) -> Iterator[NDArray[np.int16]]:
    """Yield the samples in pieces of random length, short ones as often as long ones."""
    while len(samples):
        length = int(LONGEST ** random.random())
        yield samples[:length]
        samples = samples[length:]


def compare_events(bundle: Path, paths: Sequence[Path], seed: int) -> dict[str, Any]:
    """Return which events of streams only the C or only the bundle's `detect.py` has, as JSON."""
    random, totals = np.random.default_rng(seed), Counter[str]()
    differing = list[dict[str, Any]]()
    with unpacked(bundle) as folder, c_detector(bundle, quiet) as compiled:
        detector = own_detector(folder)
        for path in paths:
            samples = samples_of(path, detector.sample_rate)
            expected = [*detector.feed(samples), *detector.flush()]
            parts = list(pieces(samples, random))
            events = [event for part in parts for event in compiled.feed(part)]
            events += compiled.flush()
            one, other = ([tuple(e.line("-").values()) for e in es] for es in (expected, events))
            if one != other:
                differing.append({"recording": _name(path), "bundle": one, "c": other})
            totals.update(samples=len(samples), pieces=len(parts), events=len(one))
            totals["events_in_c"] += len(other)
            totals["events_differing"] += (Counter(one) - Counter(other)).total()
            totals["keywords_differing"] += [row[1] for row in one] != [row[1] for row in other]
        return {
            "bundle": identity(folder),
            "recordings": len(paths),
            "hours": totals.pop("samples") / detector.sample_rate / 3600,
            **totals,
            "differing": differing,
            "compiler": compiler.required().version,
        }


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def main() -> int:
    """Print the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("labels", "events"))
    parser.add_argument("bundle", type=Path, help="a bundle: its folder or its zip")
    parser.add_argument("folders", type=Path, nargs="+", help="folders of recordings")
    parser.add_argument("--seed", type=int, default=1, help="of the lengths of pieces")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    started, paths = time.monotonic(), recordings(options.folders)
    if options.what == "labels":
        result = compare_labels(options.bundle, paths)
    else:
        result = compare_events(options.bundle, paths, options.seed)
    record = {
        "command": shlex.join(["python", *sys.argv]),
        **result,
        "onnxruntime": onnxruntime.__version__,
        "seconds": round(time.monotonic() - started),
    }
    print(json.dumps(record, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
