"""Generate a commented recipe from a few answers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgekws.backbones.mel_spanning import Backbone
from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.family import load as load_member
from edgekws.core.kinds import closest
from edgekws.core.scratch import scratch_folder
from edgekws.datasets.listing.labels import word_name
from edgekws.datasets.synthesis.engines import speaking
from edgekws.datasets.synthesis.filler_words import is_english
from edgekws.datasets.synthesis.pronunciation import check_language, check_readable
from edgekws.errors import DataError, MissingPartError, RecipeError, UsageError
from edgekws.lowering.speech_embedding import installed_embedding
from edgekws.recipe.load import load
from edgekws.recipe.messages import explain
from edgekws.recipe.model import FrontEndFields, slug_problem
from edgekws.recipe.toml_values import toml_value

NOISE_FOLDERS = ("_background_noise_", "background_noise", "noise", "noises")
WIDTHS = range(64, 0, -4)
"""Widths of the student, widest first."""

VOICES: Mapping[str, Mapping[str, Any]] = {
    "kokoro": {"blends": 100, "other_languages": True},
    "piper": {"share": 0.5},
    "flite": {"share": 0.5},
    "festival": {"share": 0.5},
}
"""Settings of the engines: one with few voices speaks fewer of the clips."""

NEURAL: Mapping[str, float] = {"kokoro": 0.1, "piper": 0.2}
"""Shares of sentences of the engines that need a second of CPU for one or two of speech."""

_GRAPH_KIB = 8.0
_CHANNEL_BYTES = 13
"""Overhead of the quantized file: nodes and contract, and for each channel its bias and scales."""


@dataclass(frozen=True)
class StudentSize:
    """The size of the template's student: MACs per second, file size when quantized."""

    params: int
    macs: int
    size_kib: float


@dataclass(frozen=True)
class Answers:
    """The input for a recipe.

    Without `keywords`, every word folder under `data` is a keyword; without `data`, the words are
    synthesized in `language`, by the engines `voices`, and with `embedding`, a package, the teacher
    is a head on its embedding. `negatives`, beside `data`, is speech without a keyword; if there is
    none, sentences without one are synthesized in `language`. `host` is the machine of a target
    `ssh`. `max_*` are the limits of the budget.
    """

    keywords: tuple[str, ...] = ()
    data: Path | None = None
    negatives: tuple[Path, ...] = ()
    language: str = "en"
    voices: tuple[str, ...] = ("espeak",)
    embedding: str | None = None
    target: str = "host"
    host: str | None = None
    max_params: int = 10_000
    max_macs: int = 1_000_000
    max_size_kib: int = 40


def words_answers(keywords: tuple[str, ...], language: str) -> Answers:
    """Return the answers that use every engine, and the embedding, that are installed here.

    Raises:
        UsageError: espeak-ng does not support the language.
        MissingPartError: espeak-ng is not installed.
    """
    try:
        voices = speaking(language)
    except DataError as error:
        raise UsageError(str(error)) from error
    composed = tuple(map(word_name, keywords))
    return Answers(composed, language=language, voices=voices, embedding=installed_embedding())


def recipe_text(answers: Answers, file: Path) -> str:
    """Return the text of a valid recipe for `file`; its student fits the budget if possible.

    Raises:
        UsageError: the answers do not make a valid recipe; the message names the key.
        DataError: the folder is missing or contains no recordings.
    """
    if (answers.target == "ssh") != (answers.host is not None):
        raise UsageError("--target ssh needs --host USER@MACHINE, and no other target has one")
    name = file.stem
    if problem := slug_problem(name):
        raise UsageError(f"{file}: the file's name becomes the recipe's name: {problem}")
    answers = replace(answers, keywords=tuple(map(word_name, answers.keywords)))
    table = _dataset(answers)
    labels = _labels(answers, table)
    if "spoken" in table:
        table["spoken"] |= _not_compared(answers.language, labels)
    channels = _widest(answers, len(labels))
    size = student_weight(channels, len(labels))
    text: str = _template().render(
        asdict(answers) | {"root": None, "noise": None, "negatives": None} | table,
        mines=UNKNOWN in labels,
        name=name,
        file=file.as_posix(),
        summary=_summary(answers, labels),
        engines=[{"kind": kind, **VOICES.get(kind, {})} for kind in answers.voices],
        neural={kind: share for kind, share in NEURAL.items() if kind in answers.voices},
        channels=channels,
        weight=f"{size.params:,} parameters, {size.macs / 1e6:.2f} M MACs",
    )
    text += "\n"
    _prove(text)
    return text


def student_weight(channels: int, n_labels: int) -> StudentSize:
    """Return the size of the template's student of this width, with BatchNorm folded."""
    s = Backbone.model_validate({"channels": channels, "padding": "valid"})
    front_end = FrontEndFields().front_end()
    frames = (front_end.n_frames - s.stem_kernel_size) // s.stem_stride + 1
    stem, head = front_end.n_mels * s.stem_kernel_size * channels, channels * s.head
    expand, shrink = channels * s.hidden, s.hidden * (channels + s.kernel_size)
    classifier = s.head * n_labels
    biases = channels + s.blocks * (2 * s.hidden + channels) + s.head + n_labels
    params = stem + s.blocks * (expand + shrink) + head + classifier + biases
    macs = stem * frames
    for _ in range(s.blocks):
        macs += expand * frames
        frames -= s.kernel_size - 1
        macs += shrink * frames
    macs += head * frames + classifier
    size_kib = _GRAPH_KIB + (params + _CHANNEL_BYTES * biases) / 1024
    return StudentSize(params, macs, size_kib)


def _widest(answers: Answers, n_labels: int) -> int:
    for channels in WIDTHS:
        size = student_weight(channels, n_labels)
        if all(
            getattr(size, key) <= getattr(answers, f"max_{key}")
            for key in ("params", "macs", "size_kib")
        ):
            return channels
    return WIDTHS[-1]


def _dataset(answers: Answers) -> dict[str, Any]:
    words = {"keywords": list(answers.keywords)} if answers.keywords else {}
    if answers.data is None:
        return {"kind": "synthetic", "language": answers.language, **words}
    noise = _noise(answers.data)
    beside: dict[str, Any] = {"noise": noise} if noise else {}
    if answers.negatives:
        beside["negatives"] = [str(path) for path in answers.negatives]
    else:
        beside["spoken"] = {"language": answers.language}
    return {"kind": "folder", "root": str(answers.data), **beside, **words}


def _check_language(answers: Answers) -> None:
    """Reject what espeak-ng cannot speak, if it is installed."""
    try:
        check_language(answers.language, answers.keywords)
    except MissingPartError:
        return
    except DataError as error:
        raise UsageError(str(error)) from error


def _not_compared(language: str, labels: Sequence[str]) -> dict[str, Any]:
    """Return `without = []` if the labels of recordings cannot be read as English.

    The English sentences are not of the same words then. In other languages they are of numbers,
    which may be the keywords.

    Raises:
        UsageError: espeak-ng does not speak the language, or not the labels in it.
    """
    words = [label for label in labels if label not in (UNKNOWN, SILENCE)]
    try:
        check_readable(language, ())
    except MissingPartError:
        return {}
    except DataError as error:
        raise UsageError(str(error)) from error
    try:
        check_readable(language, words)
    except DataError as error:
        if is_english(language):
            return {"without": []}
        raise UsageError(
            f"{error}; without --language the sentences are English, and dataset.spoken.without "
            "in a recipe names what is said for a label"
        ) from error
    return {}


def _noise(root: Path) -> str | None:
    """Return the noise folder inside or beside `root`; the dataset finds the first by default."""
    candidates = [parent / name for parent in (root, root.parent) for name in NOISE_FOLDERS]
    folder = next((place for place in candidates if place.expanduser().is_dir()), None)
    return None if folder in (None, candidates[0]) else str(folder)


def _labels(answers: Answers, table: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the labels, after checking that the keywords are among the words."""
    model = load_member("Dataset", str(table["kind"]))
    try:
        dataset: Any = model.model_validate(table)
        words = _words(model, table) if answers.data else answers.keywords
        if answers.data is None:
            _check_language(answers)
    except ValidationError as error:
        messages = explain(model, table, error.errors())
        lines = [f"{'.'.join(map(str, path))}: {message}" for path, message in messages.items()]
        raise UsageError("; ".join(lines)) from error
    if missing := [word for word in answers.keywords if word not in words]:
        hint = closest(missing[0], words)
        raise UsageError(f"{answers.data} has no folder for {missing[0]!r}{hint}")
    labels: tuple[str, ...] = dataset.labels()
    return labels


def _words(model: Any, table: Mapping[str, Any]) -> tuple[str, ...]:
    """Return every word under the root."""
    everything: tuple[str, ...] = model.model_validate({**table, "keywords": None}).labels()
    return tuple(label for label in everything if label != UNKNOWN)


def _summary(answers: Answers, labels: tuple[str, ...]) -> str:
    words = answers.keywords or labels
    shown = ", ".join(words[:5]) + (", …" if len(words) > 5 else "")
    source = f"recorded in {answers.data}" if answers.data else "spoken by a synthesizer"
    return " ".join(f"{shown}: {source}.".split())


def _prove(text: str) -> None:
    """Check that the text loads as a recipe.

    Raises:
        UsageError: it does not; the message contains key and reason.
    """
    with scratch_folder("init") as folder:
        file = Path(folder, "recipe.toml")
        file.write_text(text, encoding="utf-8")
        try:
            load(file)
        except RecipeError as error:
            reasons = "; ".join(f"{p.key}: {p.message}" for p in error.problems)
            raise UsageError(f"these answers make no recipe: {reasons}") from error


def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, undefined=StrictUndefined)
    environment.filters["toml"] = toml_value
    return environment.get_template("template.toml.jinja")
