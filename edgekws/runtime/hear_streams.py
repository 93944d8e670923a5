"""Hear recordings with a bundle's runtime, in an interpreter without torch.

    python -I hear_streams.py DETECT.py BUNDLE OUTPUT.npz RECORDING.wav …

`DETECT.py` is the runtime, the bundle's own or the installed one; no other code is looked for in
the bundle. `OUTPUT.npz` gets for recording `i` the array `counts_i`, int32 `(D, keywords)`: the
posteriors in units of the runtime; `seconds` `(recordings,)`; and `first_s`, when the window of the
first decision ends.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np


def keyword_posteriors(
    detector: Any, blocks: Iterable[np.ndarray], window_s: float
) -> tuple[np.ndarray, float]:
    """Return the posteriors `(D, keywords)` that a trigger would get of a stream, and its seconds.

    `detector` is that of the runtime, with windows of `window_s`.
    """
    columns = [detector.labels.index(word) for word in detector.trigger.keywords]
    parts = [np.zeros((0, len(detector.labels)))]
    for block in blocks:
        parts += detector.posteriors(block)
    seconds = detector.heard_s
    # As at the end of a stream: silence follows, so that the last word is centred in a window once.
    silence = np.zeros(round(window_s * detector.sample_rate) // 2, np.float32)
    parts += detector.posteriors(silence)
    detector.reset()
    return np.concatenate(parts)[:, columns], seconds


def main(detect: Path, bundle: Path, output: Path, *recordings: Path) -> None:
    """Run the runtime `detect` over every recording as a separate stream.

    Raises:
        RuntimeError: the runtime pulled in a training library.
    """
    runtime = _load(detect)
    detector = runtime.Detector(bundle)
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    window_s = manifest["contract"]["front_end"]["window_s"]
    arrays: dict[str, Any] = {"first_s": np.array(detector.seconds(0))}
    seconds = []
    for i, path in enumerate(recordings):
        blocks = runtime.wav_blocks(path, detector.sample_rate)
        posteriors, heard_s = keyword_posteriors(detector, blocks, window_s)
        arrays[f"counts_{i}"] = np.rint(posteriors * runtime.UNIT).astype(np.int32)
        seconds.append(heard_s)
    training = {"torch", "torchaudio", "edgekws"} & set(sys.modules)
    if training:
        raise RuntimeError(f"the bundle's runtime imports {', '.join(sorted(training))}")
    np.savez_compressed(output, seconds=np.array(seconds), **arrays)


def _load(detect: Path) -> Any:
    spec = spec_from_file_location("detect", detect)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["detect"] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
