"""The engines that speak on this machine as they are, without settings of the user's."""

from collections.abc import Iterator

from edgekws.core.family import kinds, load
from edgekws.core.protocols import SYNTHESIZER, Synthesizer
from edgekws.errors import DataError, MissingPartError
from edgekws.synthesizers.speaking.espeak_ng import Espeak, accents_of


def engines() -> Iterator[tuple[Synthesizer, str | DataError | MissingPartError]]:
    """Yield every engine that needs no settings, with what it has or why it cannot speak."""
    for kind in kinds("Synthesizer"):
        if any(field.is_required() for field in load("Synthesizer", kind).model_fields.values()):
            continue
        engine = SYNTHESIZER.validate_python({"kind": kind})
        try:
            yield engine, engine.describe()
        except (MissingPartError, DataError) as error:
            yield engine, error


def speaking(language: str) -> tuple[str, ...]:
    """Return the kinds of the engines that can speak `language` here, espeak-ng first.

    Raises:
        DataError: espeak-ng does not support `language`.
        MissingPartError: espeak-ng is not installed.
    """
    with Espeak() as espeak:
        accents = accents_of(language, espeak.accents(), espeak.names())
    able = []
    for engine, answer in engines():
        if isinstance(answer, str):
            try:
                engine.cast(accents, None, seed=0)
            except DataError:
                continue
            able.append(engine.kind)
    return tuple(sorted(able, key=lambda kind: (kind != "espeak", kind)))
