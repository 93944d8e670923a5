"""The model card of a bundle: its contents, its measurements and its use."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgekws.core import figures
from edgekws.core.contract import Contract
from edgekws.core.measurement import BUNDLE_METRICS, WHOLE, WHOLE_NOTE, Measurement
from edgekws.metrics.class_counts import class_cells
from edgekws.metrics.intervals import care

_CARD = """# {recipe}

A keyword spotter: {labels}.

- Input: {window_s:g} s of audio at {sample_rate} Hz, as log-mel `{input_shape}`
- Network: `{architecture}`
- Identity (sha256 over all files but this card and the checksums): `{sha256}`

## Measured on the test split by this bundle's own runtime

{test}
| metric | value | 95 % interval | clips |
|---|---|---|---|
{rows}

Parameters, MACs, size, memory and INT8 coverage are those of the network alone.
{caveats}
## In continuous speech

{speech}
## On the device

| | network | front end | whole |
|---|---|---|---|
{whole}

{whole_note}

## Class by class

| label | recall | precision | `_unknown_` taken for it |
|---|---|---|---|
{classes}

## Run it

    pip install numpy onnxruntime
    python detect.py --clip golden/00.wav          # the label of a clip
    python detect.py --stream recording.wav        # every keyword in it, and when

`frontend.onnx` turns a waveform `(1, {window_samples})` in [-1, 1] into normalised log-mel,
`model.onnx` turns that into logits, one a label in the order of `labels.txt`.
"""


def model_card(
    contract: Contract,
    origin: dict[str, Any],
    measurements: Sequence[Measurement],
    classes: Sequence[Mapping[str, Any]],
    sha256: str,
    caveats: Sequence[str] = (),
    speech: Sequence[str] = (),
    *,
    kind_of_test: str = "",
) -> str:
    """Return the card as Markdown; `classes` are the rows of `class_counts.with_counts`.

    `caveats` are the remarks on the data that must accompany every figure, `speech` the results of
    the test in continuous speech, a line each; `kind_of_test` is who speaks the keywords of test.
    """
    front_end = contract.front_end
    return _CARD.format(
        recipe=origin["recipe"],
        labels=", ".join(contract.labels),
        window_s=front_end.window_s,
        sample_rate=front_end.sample_rate,
        input_shape=contract.input_shape,
        architecture=contract.architecture,
        sha256=sha256,
        test=f"Kind of test: {kind_of_test}.\n" if kind_of_test else "",
        rows="\n".join(_row(m) for m in measurements if m.metric not in BUNDLE_METRICS),
        caveats="".join(f"\n{caveat[:1].upper()}{caveat[1:]}.\n" for caveat in caveats),
        speech="".join(f"- {line}\n" for line in speech),
        whole="\n".join(_whole(measurements)),
        whole_note=WHOLE_NOTE,
        classes="\n".join(f"| {' | '.join(cells)} |" for cells in class_cells(classes)),
        window_samples=front_end.window_samples,
    )


def latency_section(sentences: Sequence[str]) -> str:
    """Return the card's section on latency, one line per sentence."""
    return "\n## Latency\n\n" + "".join(f"- {sentence}\n" for sentence in sentences)


def _row(m: Measurement) -> str:
    value = figures.figure(m.metric, m.value)
    interval = ", ".join(filter(None, (figures.interval(m.metric, m.ci95), care(m.speakers))))
    return f"| {figures.title(m.metric)} | {value} | {interval} | {m.n or ''} |"


def _whole(measurements: Sequence[Measurement]) -> Iterator[str]:
    """Yield a row for every cost that was measured of the network, the front end and both."""
    cells = {m.metric: figures.figure(m.metric, m.value) for m in measurements}
    for name, metrics in WHOLE.items():
        if cells.keys() >= set(filter(None, metrics)):
            parts = (cells.get(metric, figures.NOTHING) for metric in metrics)
            yield f"| {name} | {' | '.join(parts)} |"
