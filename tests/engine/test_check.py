"""What `check` can judge of a model alone, and what of a bundle."""

from pathlib import Path

from edgekws.bundle.device_files import bundle_size_kib
from edgekws.core.events import Event
from edgekws.core.measurement import BUNDLE_METRICS, Budget, Limit
from edgekws.engine.check import check

LIMITS = Budget(
    (
        Limit("bundle_size_kib", "max", 1_000),
        Limit("total_macs", "max", 1),
        Limit("front_end_peak_ram_kib", "max", 1_000),
    )
)


def test_a_bundle_is_judged_as_a_whole(packed: Path) -> None:
    found, verdicts = check(packed, LIMITS, lambda event: None)
    value = {m.metric: m.value for m in found}
    assert [verdict.ok for verdict in verdicts] == [True, False, True]
    assert verdicts[0].measured == bundle_size_kib(packed)
    assert value["total_macs"] == value["macs"] + value["front_end_macs"]
    assert value["size_kib"] < value["bundle_size_kib"]


def test_a_model_alone_fails_what_only_a_bundle_has(packed: Path) -> None:
    events: list[Event] = []
    _, verdicts = check(packed / "model.onnx", LIMITS, events.append)
    assert [(verdict.ok, verdict.measured) for verdict in verdicts] == [(False, None)] * 3
    (warning,) = (event.text for event in events if event.kind == "warning")
    assert warning == (
        f"{packed / 'model.onnx'} is a network alone, so these cannot be measured: bundle_size_kib,"
        " front_end_peak_ram_kib, total_macs; name the folder of its bundle"
    )


def test_a_bundle_shows_its_front_end_unasked(packed: Path) -> None:
    found, verdicts = check(packed, Budget(), lambda event: None)
    metrics = {m.metric for m in found}
    assert {"size_kib", "front_end_size_kib", "bundle_size_kib", "total_peak_ram_kib"} <= metrics
    assert verdicts == ()
    alone, _ = check(packed / "model.onnx", Budget(), lambda event: None)
    assert not {m.metric for m in alone} & set(BUNDLE_METRICS)
