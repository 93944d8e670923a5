"""Score windows with a bundle's runtime, in an interpreter without torch.

    python -I score_windows.py DETECT.py BUNDLE WINDOWS.npy LOGITS.npy [STREAM.npy]

`DETECT.py` is the runtime, of the bundle or the installed one; no other code is loaded from the
bundle. `WINDOWS.npy` holds int16 `(N, window_samples)`, or longer rows: streams, each of which ends
with its window. `LOGITS.npy` receives float32 `(N, n_labels)`, `STREAM.npy` the logits of the
bundle's streaming network.
"""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np


def main(
    detect: Path, bundle: Path, windows: Path, logits: Path, stream: Path | None = None
) -> None:
    """Score every window with `Classifier` of the runtime `detect` and the streaming network.

    Raises:
        RuntimeError: the runtime imported a training library.
    """
    runtime = _load(detect)
    waveforms = np.load(windows, mmap_mode="r")
    classifier = runtime.Classifier(bundle)
    if waveforms.shape[1] > classifier.window_samples:
        classifier = _streamed(runtime, bundle)
    scores = [classifier.logits(row.astype(np.float32) / 32768) for row in waveforms]
    if stream is not None:
        network = runtime.streaming_network(bundle)
        features = (classifier.features(row.astype(np.float32) / 32768) for row in waveforms)
        np.save(stream, np.stack([network.window_logits(window) for window in features]))
    training = {"torch", "torchaudio", "edgekws"} & set(sys.modules)
    if training:
        raise RuntimeError(f"the bundle's runtime imports {', '.join(sorted(training))}")
    np.save(logits, np.stack(scores))


def _streamed(runtime: ModuleType, bundle: Path) -> Any:
    """Return a classifier whose features are those of a stream that ends with the window."""
    manifest = runtime.read_manifest(bundle)
    front_end = runtime.StreamFrontEnd(bundle, manifest, threads=1)
    n_frames = manifest["contract"]["input_shape"][-1]
    n_fft = manifest["contract"]["front_end"]["n_fft"]
    hop = front_end.hop_samples // front_end.hop_frames

    class Streamed(runtime.Classifier):  # type: ignore[name-defined, misc]
        def features(self, window: np.ndarray) -> np.ndarray:
            frames = 1 + (len(window) - n_fft) // hop
            # filled up after the window: silence before it would belong to its past
            whole_hops = np.pad(window, (0, -frames % front_end.hop_frames * hop))
            front_end.reset()
            hops = front_end.features(front_end.windows(whole_hops))
            features = np.concatenate([part.copy() for part in hops], axis=1)
            return features[:, frames - n_frames : frames]

    return Streamed(bundle)


def _load(detect: Path) -> ModuleType:
    spec = spec_from_file_location("detect", detect)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["detect"] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
