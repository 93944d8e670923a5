"""The detectors of a bundle, one for each client that may stream at the same time."""

import time
from pathlib import Path

import numpy as np
from wyoming.info import Attribution, Info, WakeModel, WakeProgram

from edgekws.about import version
from edgekws.bundle.archive import unpacked
from edgekws.bundle.pack import identity
from edgekws.core.events import Emit
from edgekws.runtime.detect import Detector
from edgekws.spotting.streams import opened

_TIMED_S = 5
"""Audio that is processed to measure what a client costs."""

_CHUNK = 1024
"""Samples per chunk, as satellites send them."""


class Spotters:
    """Detectors of one bundle, all built in advance: a client cannot make the server grow."""

    def __init__(self, detectors: list[Detector], info: Info) -> None:
        """Lend `detectors`; `info` describes their keywords."""
        self._free, self.info = detectors, info
        self.keywords = frozenset(detectors[0].trigger.keywords)
        self.clients = len(detectors)
        self.load = _load(detectors[0])
        """Share of one core that a client takes, measured on noise."""

    def take(self) -> Detector | None:
        """Return a detector at the start of a stream, or `None` if all are in use."""
        return self._free.pop() if self._free else None

    def give_back(self, detector: Detector) -> None:
        """Reset a detector for the next client."""
        detector.reset()
        self._free.append(detector)


def spotters(bundle: Path, emit: Emit, clients: int, languages: list[str]) -> Spotters:
    """Verify a bundle, a folder or a zip, and build a detector for each client.

    `languages` are stated to the clients; a bundle does not know them.

    Raises:
        DataError: there is no bundle, it is damaged, or it has no detection settings.
    """
    first = opened(bundle, emit)[0]
    with unpacked(bundle) as folder:
        others = [Detector(folder) for _ in range(clients - 1)]
        release = identity(folder)[:12]
    name = bundle.resolve().name.removesuffix(".zip")
    return Spotters([first, *others], wake_info(first.trigger.keywords, name, release, languages))


def wake_info(keywords: list[str], bundle: str, release: str, languages: list[str]) -> Info:
    """Return the answer to `describe`: one model for each keyword, under the name of its label.

    `release` is the version of the models. Home Assistant shows their `description`.
    """
    models = [
        WakeModel(
            name=label,
            attribution=Attribution(bundle, ""),
            installed=True,
            description=_phrase(label),
            version=release,
            languages=languages,
            phrase=_phrase(label),
        )
        for label in keywords
    ]
    program = WakeProgram(
        name="edgekws",
        attribution=Attribution("edgekws", ""),
        installed=True,
        description=f"Keyword spotter {bundle}",
        version=version(),
        models=models,
    )
    return Info(wake=[program])


def _phrase(label: str) -> str:
    return label.replace("_", " ")


def _load(detector: Detector) -> float:
    noise = np.random.default_rng(0).standard_normal(_TIMED_S * detector.sample_rate)
    samples = (1000 * noise).astype(np.int16)
    start = time.thread_time()
    for position in range(0, len(samples), _CHUNK):
        detector.feed(samples[position : position + _CHUNK])
    used_s = time.thread_time() - start
    detector.reset()
    return used_s / _TIMED_S
