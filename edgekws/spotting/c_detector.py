"""Detection by the portable C of a bundle, compiled on this machine."""

import ctypes
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.bundle.archive import unpacked
from edgekws.bundle.declared import read_json
from edgekws.bundle.pack import identity
from edgekws.bundle.verify import errors_named, verify_folder
from edgekws.codegen import compiler
from edgekws.codegen.detector import detector_settings
from edgekws.codegen.library_cache import cached_library
from edgekws.core.environment import library_versions
from edgekws.core.events import Emit, Event
from edgekws.core.scratch import scratch_folder
from edgekws.core.source_code import whole_package
from edgekws.runtime import detect
from edgekws.runtime.c import LIBRARY, kernel_paths

_FLAGS = ("-O3", "-march=native")
_COLUMNS = 4
_FULL_SCALE = 32768


@contextmanager
def c_detector(bundle: Path, emit: Emit) -> Iterator["CDetector"]:
    """Yield the detector of a verified bundle, a folder or a zip, compiled from its C.

    The library is kept in the cache, for this bundle, version of edgekws, compiler and CPU.

    Raises:
        MissingPartError: there is no C compiler.
        UsageError, UnsupportedError: the bundle has no form in C; the message says why.
        DataError: there is no bundle, or it is damaged.
        MachineError: the compiler fails, or the cache cannot be written.
    """
    chosen = compiler.required()
    with scratch_folder("c-detector") as scratch, unpacked(bundle) as folder, errors_named(bundle):
        for note in verify_folder(folder).notes:
            emit(Event("warning", f"{bundle}: {note}"))
        sources = [identity(folder), whole_package(), library_versions()]
        library = cached_library(sources, lambda: _write(folder, scratch), chosen, _FLAGS, emit)
        detector = CDetector(library, read_json(folder / "manifest.json"))
    yield detector


def _write(bundle: Path, scratch: Path) -> Path:
    """Write the C of a bundle as a library; return its folder."""
    from edgekws.exporters.c import Exporter  # imports torch, which a compiled bundle does not need

    written = Exporter().write(bundle, scratch)
    (written / "main.c").unlink()
    for path in kernel_paths(LIBRARY):
        shutil.copy(path, written)
    return written


class CDetector:
    """The C of a bundle as a detector, with the keywords that `runtime.detect.Detector` finds.

    Samples are rounded to the 16 bits that the C takes, so times and scores may differ slightly.
    """

    def __init__(self, library: Path, manifest: dict[str, Any]) -> None:
        """Load a compiled library; `manifest` is the bundle's."""
        contract = manifest["contract"]
        self.sample_rate: int = contract["front_end"]["sample_rate"]
        self._c = ctypes.CDLL(str(library))
        self._c.kws_library_bytes.restype = ctypes.c_size_t
        self._hop: int = self._c.kws_library_hop()
        self._rows = (ctypes.c_double * (_COLUMNS * self._c.kws_library_rows()))()
        self._state = ctypes.create_string_buffer(self._c.kws_library_bytes())
        self._c.kws_init(self._state)
        columns = detector_settings(manifest).columns
        self._keywords = [contract["labels"][column] for column in columns]
        self._fed = 0

    @property
    def scores(self) -> dict[str, float]:
        """None: the C keeps sums, not scores."""
        return {}

    @property
    def heard_s(self) -> float:
        """The length of the stream so far."""
        return self._fed / self.sample_rate

    def feed(self, samples: NDArray[Any]) -> list[detect.Event]:
        """Process the next samples and return new events; see `runtime.detect.Detector.feed`."""
        real = detect.as_float(samples) * np.float32(_FULL_SCALE)
        pcm = np.clip(np.rint(real), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)
        self._fed += len(pcm)
        events: list[detect.Event] = []
        for start in range(0, len(pcm), self._hop):
            piece = np.ascontiguousarray(pcm[start : start + self._hop])
            pointer = piece.ctypes.data_as(ctypes.c_void_p)
            count = self._c.kws_library_push(self._state, pointer, len(piece), self._rows)
            events += self._events(count)
        return events

    def flush(self) -> list[detect.Event]:
        """End the stream and return its last events."""
        events = self._events(self._c.kws_library_flush(self._state, self._rows))
        self._fed = 0
        return events

    def reset(self) -> None:
        """Start a new stream."""
        self._c.kws_reset(self._state)
        self._fed = 0

    def _events(self, count: int) -> list[detect.Event]:
        table = np.array(self._rows).reshape(-1, _COLUMNS)[:count].tolist()
        return [detect.Event(s, e, self._keywords[int(k)], score) for k, s, e, score in table]
