"""A loaded bundle, for Python programs."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Self

from edgekws.core.events import Emit, quiet

if TYPE_CHECKING:
    import numpy as np

    from edgekws.runtime import detect

AnyPath = str | Path


class Spotter:
    """A loaded bundle: classifies clips, and detects keywords in a stream.

    Samples are int16 or floats in [-1, 1], mono, at `sample_rate`.
    """

    def __init__(
        self, bundle: AnyPath, *, threshold: float | None = None, emit: Emit = quiet
    ) -> None:
        """Verify and load the bundle, a folder or a zip; see `load`."""
        from edgekws.bundle.archive import unpacked
        from edgekws.bundle.verify import errors_named
        from edgekws.runtime.detect import Classifier
        from edgekws.spotting.streams import opened

        path = Path(bundle)
        with unpacked(path) as folder, errors_named(path):
            self._detector = opened(folder, emit, threshold)[0]
            self._classifier = Classifier(folder)

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names, in the order of the logits."""
        return tuple(self._classifier.labels)

    @property
    def sample_rate(self) -> int:
        """Samples per second of the input."""
        return self._classifier.sample_rate

    def classify(self, clip: "AnyPath | np.ndarray") -> tuple[str, float]:
        """Return the label of a clip, an audio file or samples, and its score.

        Raises:
            DataError: the file cannot be read.
            ValueError: samples of another type, or none.
        """
        import numpy as np

        from edgekws.audio.reading import read_blocks

        if isinstance(clip, str | Path):
            return self._classifier.classify_blocks(read_blocks(Path(clip), self.sample_rate))
        return self._classifier.classify(np.asarray(clip))

    def feed(self, samples: "np.ndarray") -> "list[detect.Event]":
        """Process the next samples of a stream, and return the keywords they complete.

        Raises:
            ValueError: samples of another type.
        """
        import numpy as np

        return self._detector.feed(np.asarray(samples))

    def flush(self) -> "list[detect.Event]":
        """End the stream, and return the keywords still open."""
        return self._detector.flush()

    def reset(self) -> None:
        """Start a new stream."""
        self._detector.reset()

    def stream(self, file: AnyPath) -> "Iterator[detect.Event]":
        """Yield the keywords of a recording, from beginning to end.

        Raises:
            DataError: the file cannot be read, or is empty.
        """
        from edgekws.spotting.streams import listen, source

        self.reset()
        try:
            for events in listen(self._detector, source(str(file), self.sample_rate, None)):
                yield from events
        finally:
            self.reset()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Reset the stream."""
        self.reset()

    def __repr__(self) -> str:
        """Show labels and sample rate."""
        return f"<Spotter: {', '.join(self.labels)}; {self.sample_rate} Hz>"


def load(bundle: AnyPath, *, threshold: float | None = None, emit: Emit = quiet) -> Spotter:
    """Verify and load a bundle, a folder or a zip.

    `threshold` replaces those of the bundle.

    Raises:
        DataError: the bundle is missing or damaged, or cannot process streams.
        ParityError: its golden clips give other logits on this machine.
    """
    return Spotter(bundle, threshold=threshold, emit=emit)
