"""Turns a recipe into a keyword spotter that fits an edge device, and proves that it fits."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str

    from edgekws.api import (
        Result,
        Spotter,
        adapt,
        check,
        compare,
        compress,
        evaluate,
        export,
        load,
        plan,
        predict,
        profile,
        verify,
    )

# onnxruntime reads this on import. Without it, its wheels store a device id and a database in the
# user's cache folder and try to reach a telemetry collector.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "Result",
    "Spotter",
    "__version__",
    "adapt",
    "check",
    "compare",
    "compress",
    "evaluate",
    "export",
    "load",
    "plan",
    "predict",
    "profile",
    "verify",
]


if not TYPE_CHECKING:  # mypy reads the imports above, and reports names that are missing there

    def __getattr__(name: str) -> Any:
        """Import the library on first use."""
        if name not in __all__:
            raise AttributeError(f"module 'edgekws' has no attribute {name!r}")
        if name == "__version__":
            from edgekws.about import version

            return version()
        from edgekws import api

        return getattr(api, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
