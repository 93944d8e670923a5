"""The files of a bundle that a device needs, and their size."""

from pathlib import Path

from edgekws.runtime import detect

ALWAYS = ("detect.py", "labels.txt", "manifest.json")
"""The runtime, the file that it reads in every mode, and the labels for people."""


def device_files(bundle: Path) -> dict[str, tuple[Path, ...]]:
    """Return the files that a device needs for `--clip` and for `--stream`.

    Either mode runs two graphs: `frontend` and `model` on clips; `frontend_stream` and `stream`,
    or `model` if the bundle has no streaming network, on a stream. Golden clips, the model card
    and the checksums are not needed.
    """
    streaming = detect.model_file(bundle, "stream").is_file()
    graphs = {
        "clip": ("frontend", "model"),
        "stream": ("frontend_stream", "stream" if streaming else "model"),
    }
    always = tuple(bundle / name for name in ALWAYS)
    return {
        mode: (*(detect.model_file(bundle, name) for name in names), *always)
        for mode, names in graphs.items()
    }


def bundle_size_kib(bundle: Path) -> float:
    """Return the size in KiB of the files a device needs, for the larger of the two modes."""
    return max(
        sum(path.stat().st_size for path in files) / 1024 for files in device_files(bundle).values()
    )
