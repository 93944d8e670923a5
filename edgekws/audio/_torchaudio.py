"""torchaudio, also beside a torch without CUDA.

The wheels of torchaudio for Linux are built for CUDA; beside a CPU build of torch, importing it
fails in its optional extension, which none of its Python parts used here needs.
"""

import sys
import threading
from importlib import import_module
from types import ModuleType
from typing import Any

_LOADING = threading.Lock()
"""Features are made in threads: what one takes out, another must not be importing."""


def load() -> ModuleType:
    """Import torchaudio; where its extension cannot be loaded, import it without.

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
