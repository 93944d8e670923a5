"""Keyword spotting from a bundle, with numpy and onnxruntime alone.

This file is the runtime that every bundle carries. Beside it lie `frontend.onnx`, `model.onnx`
(or `frontend.ort`, `model.ort`) and `manifest.json`.

    python detect.py --clip a.wav b.wav

prints one JSON line per clip: `file`, `label`, `score`.
"""

from __future__ import annotations

import argparse
import json
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

PCM = {1: ("<u1", 128.0, 128.0), 2: ("<i2", 0.0, 32768.0), 4: ("<i4", 0.0, 2147483648.0)}
"""Bytes per sample: numpy type, offset and full scale."""


def fit_window(samples: np.ndarray, window_samples: int) -> np.ndarray:
    """Return `(window_samples,)`: a short wave centred in zeros, of a long one the loudest part.

    The loudest part is the window of highest energy, the first of several.
    """
    excess = len(samples) - window_samples
    if excess <= 0:
        left = -excess // 2
        return np.pad(samples, (left, -excess - left))
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    start = int(np.argmax(energy[window_samples:] - energy[: excess + 1]))
    return samples[start : start + window_samples]


def read_wav(path: Path, sample_rate: int) -> np.ndarray:
    """Return the samples of a PCM WAV file as mono float32 in [-1, 1].

    Raises:
        ValueError: not a PCM WAV file, or of another sample rate.
    """
    try:
        with wave.open(str(path), "rb") as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path}: not a PCM WAV file ({error}); convert it to 16-bit") from error
    if rate != sample_rate:
        raise ValueError(f"{path}: {rate} Hz, but the model hears {sample_rate} Hz; resample it")
    if width not in PCM:
        raise ValueError(f"{path}: {8 * width}-bit samples; convert it to 16-bit")
    kind, offset, full_scale = PCM[width]
    samples = (np.frombuffer(data, kind).astype(np.float32) - offset) / full_scale
    mono: np.ndarray = samples.reshape(-1, channels).mean(axis=1, dtype=np.float32)
    return mono


class Classifier:
    """The bundle's front end and network.

    Raises:
        FileNotFoundError: a file of the bundle is missing.
    """

    def __init__(self, bundle: Path, threads: int = 1) -> None:
        """Load the bundle in folder `bundle`."""
        manifest: dict[str, Any] = json.loads((bundle / "manifest.json").read_text("utf-8"))
        front_end = manifest["contract"]["front_end"]
        self.labels: list[str] = manifest["contract"]["labels"]
        self.sample_rate: int = front_end["sample_rate"]
        self.window_samples: int = round(front_end["window_s"] * self.sample_rate)
        self._add_axis = len(manifest["contract"]["input_shape"]) == 3
        self._front_end = session(model_file(bundle, "frontend"), threads)
        self._network = session(model_file(bundle, "model"), threads)

    def logits(self, window: np.ndarray) -> np.ndarray:
        """Return the logits `(n_labels,)` of one window, float32 `(window_samples,)`."""
        features = self._front_end.run(None, {"waveform": window[None]})[0]  # (1, n_mels, T)
        if self._add_axis:
            features = features[:, None]  # (1, 1, n_mels, T)
        logits: np.ndarray = self._network.run(None, {"features": features})[0][0]
        return logits

    def classify(self, samples: np.ndarray) -> tuple[str, float]:
        """Return the label of a clip of any length and its score, the softmax probability."""
        logits = self.logits(fit_window(samples, self.window_samples)).astype(np.float64)
        odds = np.exp(logits - logits.max())
        best = int(np.argmax(logits))
        return self.labels[best], float(odds[best] / odds.sum())


def model_file(bundle: Path, name: str) -> Path:
    """Return the file of the model `name`: its ONNX form, or `.ort` where that alone is there."""
    converted = bundle / f"{name}.ort"
    whole = bundle / f"{name}.onnx"
    return converted if converted.is_file() and not whole.is_file() else whole


def session(path: Path, threads: int) -> ort.InferenceSession:
    """Return an onnxruntime session on the CPU, not spinning, as on a device.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the bundle is not complete")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def main(arguments: list[str] | None = None) -> int:
    """Classify the clips of the command line; 0 when all were read, 5 when one was not."""
    parser = argparse.ArgumentParser(description="Say which keyword is in each clip.")
    parser.add_argument("--clip", nargs="+", type=Path, required=True, metavar="WAV")
    parser.add_argument("--bundle", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    classifier = Classifier(options.bundle, options.threads)
    failed = False
    for path in options.clip:
        try:
            label, score = classifier.classify(read_wav(path, classifier.sample_rate))
        except (OSError, ValueError) as error:
            print(error, file=sys.stderr)
            failed = True
            continue
        line = {"file": str(path), "label": label, "score": round(score, 6)}
        print(json.dumps(line, ensure_ascii=False))
    return 5 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
