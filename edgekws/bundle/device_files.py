"""Which files of a bundle a device needs, and what they weigh."""

from pathlib import Path

from edgekws.runtime import detect

ALWAYS = ("detect.py", "labels.txt", "manifest.json")
"""What `detect.py` reads in every mode, itself, and the labels for people."""


def device_files(bundle: Path) -> dict[str, tuple[Path, ...]]:
    """Return the files that a device needs for `--clip` and for `--stream`.

    Either mode runs two graphs: `frontend` and `model` on clips; `frontend_stream` and `stream`
    on a stream, or `model` where the bundle has no streaming form. Golden clips, the model card
    and the checksums stay at home.
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
    """Return the size of what a device needs, in KiB: of the two modes, the larger."""
    return max(
        sum(path.stat().st_size for path in files) / 1024 for files in device_files(bundle).values()
    )
