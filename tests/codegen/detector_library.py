"""The detector in C, called from tests."""

import ctypes
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekws.codegen.detector import DetectorSettings, detector_header, detector_source
from edgekws.runtime.c import DETECTOR, kernel_paths
from edgekws.runtime.detect import Event
from tests.codegen.compiling import compile_library

DRIVER = """
#include "kws_detector.h"

int32_t detector_size(void);
int32_t detector_size(void) { return (int32_t)sizeof(kws_detector); }

int32_t generated_hops(kws_detector *detector, const float *logits, int32_t n, kws_event *events);
int32_t generated_hops(kws_detector *detector, const float *logits, int32_t n, kws_event *events)
{
    int32_t reported = 0;
    for (int32_t hop = 0; hop < n; hop++) {
        if (kws_detector_hop(detector))
            reported +=
                kws_detector_decide(detector, logits + hop * KWS_LABELS, events + reported);
    }
    return reported;
}

void posteriors_of_rows(const float *logits, int32_t rows, int32_t n, int32_t *posteriors);
void posteriors_of_rows(const float *logits, int32_t rows, int32_t n, int32_t *posteriors)
{
    for (int32_t row = 0; row < rows; row++)
        kws_posteriors(logits + row * n, n, posteriors + row * n);
}

int32_t kernel_hops(const kws_detector_settings *settings, kws_clock *clock, kws_track *tracks,
                    int32_t *counts, const int32_t *posteriors, int32_t n, kws_event *events);
int32_t kernel_hops(const kws_detector_settings *settings, kws_clock *clock, kws_track *tracks,
                    int32_t *counts, const int32_t *posteriors, int32_t n, kws_event *events)
{
    int32_t reported = 0;
    for (int32_t hop = 0; hop < n; hop++) {
        if (kws_clock_hop(settings, clock))
            reported += kws_tracks_decide(settings, clock, tracks, counts,
                                          posteriors + hop * settings->labels, events + reported);
    }
    return reported;
}
"""

INT32, INT64, UINT8 = ctypes.c_int32, ctypes.c_int64, ctypes.c_uint8


class CSettings(ctypes.Structure):
    """`kws_detector_settings`."""

    _fields_ = (
        *(("labels", INT32), ("keywords", INT32)),
        *(("columns", ctypes.POINTER(ctypes.c_uint16)), ("thresholds", ctypes.POINTER(INT32))),
        *((name, INT32) for name in ("span", "refractory", "longest", "first", "every")),
    )


class CTrack(ctypes.Structure):
    """`kws_track`."""

    _fields_ = (
        *((name, INT64) for name in ("start", "weight", "moment", "free")),
        *((name, INT32) for name in ("sum", "peak")),
        *((name, UINT8) for name in ("above", "reported", "off")),
    )


class CClock(ctypes.Structure):
    """`kws_clock`."""

    _fields_ = (("decisions", INT64), ("to_next", INT32), ("oldest", INT32))


class CEvent(ctypes.Structure):
    """`kws_event`."""

    _fields_ = (
        *((name, INT32) for name in ("keyword", "peak")),
        *((name, INT64) for name in ("decision", "start", "weight", "moment", "end")),
    )


class CTiming(ctypes.Structure):
    """`kws_timing`."""

    _fields_ = (
        *((name, INT32) for name in ("sample_rate", "hop_samples", "frames_end", "silence")),
        *((name, INT32) for name in ("first", "every", "span")),
        *((name, ctypes.POINTER(INT32)) for name in ("offsets", "lengths")),
        *((name, ctypes.POINTER(ctypes.c_double)) for name in ("offsets_s", "lengths_s")),
    )


class Reported(NamedTuple):
    """An event, the decision at which it was reported, and where it is in samples."""

    decision: int
    event: Event
    start_sample: int
    end_sample: int


class DetectorLibrary:
    """The compiled detector of some settings, whose kernels take others too."""

    def __init__(self, folder: Path, settings: DetectorSettings, compiler: str = "gcc") -> None:
        generated = {
            "kws_detector.h": detector_header(settings),
            "kws_detector.c": detector_source(settings),
            "driver.c": DRIVER,
        }
        self.c = compile_library(folder, kernel_paths(DETECTOR), generated, compiler)
        for name in ("kws_event_start_s", "kws_event_end_s", "kws_event_score"):
            getattr(self.c, name).restype = ctypes.c_double
        for name in ("kws_event_start_sample", "kws_event_end_sample"):
            getattr(self.c, name).restype = INT64
        self.settings = settings
        self.timing = CTiming.in_dll(self.c, "kws_detector_timing")

    def posteriors(self, logits: NDArray[np.float32]) -> NDArray[np.int32]:
        """Return the counted posteriors of rows of logits."""
        logits = np.ascontiguousarray(logits)
        counts = np.zeros(logits.shape, np.int32)
        rows, n = logits.shape
        self.c.posteriors_of_rows(_address(logits), INT32(rows), INT32(n), _address(counts))
        return counts

    def reported(self, events: Iterable[CEvent], keywords: list[str]) -> list[Reported]:
        """Return events with their times."""
        return [self._reported(event, keywords[event.keyword]) for event in events]

    def _reported(self, event: CEvent, keyword: str) -> Reported:
        def ask(name: str) -> Any:
            return getattr(self.c, name)(ctypes.byref(self.timing), ctypes.byref(event))

        start_s, end_s = ask("kws_event_start_s"), ask("kws_event_end_s")
        result = Event(start_s, end_s, keyword, ask("kws_event_score"))
        samples = ask("kws_event_start_sample"), ask("kws_event_end_sample")
        return Reported(event.decision, result, *samples)


class GeneratedDetector:
    """A detector behind the functions that were generated."""

    def __init__(self, library: DetectorLibrary) -> None:
        self._c, self._keywords = library.c, len(library.settings.columns)
        self._state = ctypes.create_string_buffer(self._c.detector_size())
        self._c.kws_detector_init(self._state)

    def feed(self, logits: NDArray[np.float32]) -> list[CEvent]:
        """Take the logits of the next hops; those between decisions are not looked at."""
        logits = np.ascontiguousarray(logits, np.float32)
        events = (CEvent * (len(logits) * self._keywords + 1))()
        n = self._c.generated_hops(self._state, _address(logits), INT32(len(logits)), events)
        return list(events[:n])

    def flush(self, samples: int) -> list[CEvent]:
        """End a stream of `samples` samples."""
        events = (CEvent * self._keywords)()
        return list(events[: self._c.kws_detector_flush(self._state, INT64(samples), events)])


class KernelDetector:
    """A detector of any settings behind the kernels."""

    def __init__(self, library: DetectorLibrary, settings: DetectorSettings) -> None:
        self._c, self._n_labels = library.c, settings.n_labels
        self._keywords = keywords = len(settings.columns)
        self._columns = (ctypes.c_uint16 * keywords)(*settings.columns)
        self._thresholds = (INT32 * keywords)(*settings.thresholds)
        self._settings = CSettings(
            *(settings.n_labels, keywords, self._columns, self._thresholds, settings.span),
            *(settings.refractory, settings.longest, settings.first, settings.every),
        )
        self.tracks = (CTrack * keywords)()
        self._counts = (INT32 * (settings.span * keywords))()
        self._clock = CClock()
        self._state = (ctypes.byref(self._settings), ctypes.byref(self._clock), self.tracks)
        self._c.kws_tracks_reset(*self._state, self._counts)

    def switch(self, keyword: int, on: bool) -> None:
        """Switch a keyword on or off."""
        self._c.kws_track_switch(ctypes.byref(self.tracks[keyword]), INT32(on))

    def feed(self, posteriors: NDArray[np.integer[Any]]) -> list[CEvent]:
        """Take the counted posteriors of the next hops."""
        posteriors = np.ascontiguousarray(posteriors, np.int32)
        assert posteriors.shape[1] == self._n_labels
        events = (CEvent * (len(posteriors) * self._keywords + 1))()
        given = (self._counts, _address(posteriors), INT32(len(posteriors)))
        return list(events[: self._c.kernel_hops(*self._state, *given, events)])

    def flush(self, samples: int) -> list[CEvent]:
        """End a stream of `samples` samples."""
        events = (CEvent * self._keywords)()
        n = self._c.kws_tracks_flush(*self._state, self._counts, INT64(samples), events)
        return list(events[:n])


def _address(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
