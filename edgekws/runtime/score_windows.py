"""Score windows with a bundle's own runtime, in an interpreter without torch.

    python -I score_windows.py BUNDLE WINDOWS.npy LOGITS.npy

`WINDOWS.npy` holds int16 `(N, window_samples)`; `LOGITS.npy` gets float32 `(N, n_labels)`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def main(bundle: Path, windows: Path, logits: Path) -> None:
    """Run every window through `detect.Classifier` of the bundle.

    Raises:
        RuntimeError: the runtime pulled in a training library.
    """
    sys.path.insert(0, str(bundle))
    from detect import Classifier  # type: ignore[import-not-found]

    classifier = Classifier(bundle)
    waveforms = np.load(windows, mmap_mode="r")
    scores = [classifier.logits(row.astype(np.float32) / 32768) for row in waveforms]
    training = {"torch", "torchaudio", "edgekws"} & set(sys.modules)
    if training:
        raise RuntimeError(f"the bundle's runtime imports {', '.join(sorted(training))}")
    np.save(logits, np.stack(scores))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
