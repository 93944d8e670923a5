"""Import torchaudio, also with a torch without CUDA.

The Linux wheels of torchaudio are built for CUDA; with a CPU build of torch, importing it fails in
an optional extension, which the Python parts used here do not need.
"""

import sys
import threading
from importlib import import_module
from types import ModuleType
from typing import Any

_LOADING = threading.Lock()
"""Features are computed in threads: no thread may import modules while another removes them."""


def load() -> ModuleType:
    """Import torchaudio, without its extension if that cannot be loaded.

    Raises:
        ImportError: torchaudio is not installed.
    """
    with _LOADING:
        try:
            return import_module("torchaudio")
        except OSError:
            for name in [n for n in list(sys.modules) if n.split(".")[0] == "torchaudio"]:
                del sys.modules[name]
            sys.modules["torchaudio._extension"] = _no_extension()
            return import_module("torchaudio")


def _no_extension() -> ModuleType:
    def identity(function: Any) -> Any:
        return function

    extension = ModuleType("torchaudio._extension")
    vars(extension).update(_IS_TORCHAUDIO_EXT_AVAILABLE=False, fail_if_no_align=identity)
    return extension
