"""A small made-up run, with names in several scripts and one that tries to be markup."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgekws.core.measurement import Budget, Limit, Measurement
from edgekws.core.report import Report, Result
from tests.browsers import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LABELS = ("_silence_", "_unknown_", "<script>alert(1)</script>", "музыка", "توقف", "$lights$")
BUDGET = Budget(
    (
        Limit("params", "max", 10_000),
        Limit("macs", "max", 1_000_000),
        Limit("size_kib", "max", 40),
        Limit("int8_coverage", "min", 0.99),
        Limit("latency_p90_us", "max", 1000),
        Limit("accuracy", "min", 0.95),
    )
)


def found(params: int, macs: float, kib: float, int8: float, right: float, p50: float) -> Any:
    return (
        Measurement("params", params),
        Measurement("macs", macs, "/s"),
        Measurement("size_kib", kib, "KiB"),
        Measurement("int8_coverage", int8),
        Measurement("accuracy", right, "", 420, (right - 0.02, min(1.0, right + 0.012))),
        Measurement("macro_recall", right - 0.01, "", 380, (right - 0.04, right)),
        Measurement("unknown_accepted", 0.04, "", 60, (0.01, 0.09)),
        Measurement("latency_p50_us", p50, "µs", 8000, (p50 - 0.3, p50 + 0.4)),
        Measurement("latency_p90_us", 1.4 * p50, "µs", 8000),
        Measurement("latency_p99_us", 2.1 * p50, "µs", 8000),
        Measurement("latency_ratio", p50 / 61, "× plain export", 8000, (p50 / 62, p50 / 60)),
    )


def history(n: int, top: float) -> dict[str, Any]:
    rows = [
        {
            "epoch": i,
            "train_loss": 2 / i + 0.1,
            "dev_loss": 2 / i + 0.2 + 0.01 * i,
            "dev_accuracy": top - 0.5 / i,
            "dev_macro_recall": top - 0.6 / i,
            "lr": 3e-3 * (1 - i / n),
            "seconds": 4.2,
        }
        for i in range(1, n + 1)
    ]
    return {"epochs": rows, "best_epoch": n - 2, "kept_epoch": n - 2}


LATENCY = {
    "control": "naive",
    "control_p50_us": 61.0,
    "level": True,
    "control_ratio": 1.004,
    "control_ratio_ci95": [0.998, 1.011],
    "attempts": 1,
    "runs": 8000,
}
TRIALS = [
    {"backend": "neural_compressor", "calibration": c, "accuracy": a, "drop": 0.96 - a}
    | {"coverage": 1.0, "kept": c == "kl"}
    for c, a in (("minmax", 0.94), ("kl", 0.957), ("percentile", 0.951))
]


SENSITIVITY = [
    {"layer": layer, "macs_share": share}
    | {
        key: {"accuracy": 0.955, "agreement": 0.991, "mean_abs_diff": error}
        for key in ("only_this", "all_but_this")
    }
    for layer, share, error in (("stem", 0.6, 0.21), ("блок.<0>", 0.39, 0.13), ("head", 0.01, 0.3))
]
FRONTIER = [
    {"layers": ["head", "stem", "блок.<0>"][:n], "coverage": c, "accuracy": a, "drop": 0.9617 - a}
    | {"size_kib": 24.8 + 5 * n, "kept": n == 1}
    for n, (c, a) in enumerate(((1.0, 0.951), (0.99, 0.957), (0.39, 0.96), (0.0, 0.9617)))
]


def result(name: str, kind: str, values: Any, **rest: Any) -> Result:
    bites: dict[str, Any] = {"verdicts" if kind == "bundle" else "to_go": BUDGET.check(values)}
    return Result(name, kind, "ab" * 32, values, **bites, **rest)


@pytest.fixture(scope="session")
def report() -> Report:
    bundle = found(8_764, 452_310, 23.9, 1.0, 0.9583, 24.4)
    results = (
        result(
            "teacher",
            "teacher",
            found(702_116, 58e6, 2754.2, 0.0, 0.9812, 1450),
            parity={"model_max_abs_diff": 2.1e-06, "naive_max_abs_diff": 1.4e-06},
            details={"history": history(12, 0.98), "latency": LATENCY},
            kinds={"history": "history"},
            seconds=512.3,
            cached=True,
        ),
        result(
            "to2d",
            "to2d",
            found(8_764, 452_310, 41.2, 0.0, 0.9617, 23.5),
            details={
                "history": history(20, 0.96),
                "control_history": history(20, 0.94),
                "mode": "initialised",
                "start": {"random": {"label_agreement": 0.1}},
                "latency": LATENCY | {"level": False, "control_ratio": 1.083, "attempts": 2},
            },
            kinds={"history": "history", "control_history": "history"},
            seconds=260.0,
        ),
        result(
            "quantize",
            "quantize",
            found(8_764, 452_310, 24.8, 1.0, 0.957, 24.6),
            parity={"label_agreement": 0.988, "logit_error_steps": {"median": 0.4, "max": 3.1}},
            details={
                "calibrations": TRIALS,
                "sensitivity": SENSITIVITY,
                "frontier": FRONTIER,
                "calibration_clips": [f"музыка/clip-{i}.wav" for i in range(60)],
                "shortfalls": [],
            },
            kinds={"frontier": "frontier"},
            seconds=31.0,
        ),
        result(
            "bundle",
            "bundle",
            (
                *bundle,
                Measurement("keyword_recall", 0.9902, "", 280, (0.9701, 0.998)),
                Measurement("unknown_recall", 0.9251, "", 70, (0.87, 0.96)),
                Measurement("silence_recall", 0.8438, "", 70, (0.74, 0.92)),
                Measurement("front_end_size_kib", 186.04, "KiB"),
                Measurement("front_end_macs", 3.96e6, "/s"),
                Measurement("bundle_size_kib", 251.63, "KiB"),
                Measurement("total_macs", 4_412_310, "/s"),
                Measurement("front_end_latency_p50_us", 298.1, "µs", 5000, (296.0, 301.2)),
            ),
            parity={"golden_max_abs_diff": 0.0},
            details={
                "per_class": [
                    {
                        "label": label,
                        "recall": r,
                        "recall_ci95": (0.9, 0.99) if r else None,
                        "precision": 0.96 if r else None,
                        "precision_ci95": (0.92, 0.98) if r else None,
                        "support": 70,
                    }
                    | {"unknown_accepted": None if label == "_unknown_" else 7}
                    for label, r in zip(LABELS, (1.0, 0.91, 0.96, 0.94, 0.97, None), strict=True)
                ],
                "confusion": [
                    [64 if i == j else (i * j) % 4 for j in range(len(LABELS))]
                    for i in range(len(LABELS))
                ],
                "latency": LATENCY,
            },
            seconds=12.0,
        ),
    )
    data = {
        "counts": {
            "train": dict.fromkeys(LABELS, 600),
            "dev": dict.fromkeys(LABELS, 80),
            "test": dict.fromkeys(LABELS, 70),
        },
        "speakers": {"train": 90, "dev": 12, "test": 11},
        "rejected": [
            {"path": "да/<b>1.wav", "label": "музыка", "split": "train", "reason": "silent"}
            | {"detail": "no sample above -60 dBFS"}
        ],
        "fingerprint": "cd" * 32,
        "notes": ["dev: 10 % of the speakers, carved from train"],
    }
    environment = {
        "versions": {"torch": "2.13.0", "onnxruntime": "1.31.1"},
        "device": "cpu",
        "threads": 1,
        "target": {"cpu": "AMD EPYC", "isa": ["avx2", "avx512_vnni"], "governor": None},
    }
    references = tuple(
        Result(name, "reference", "34" * 32, found(8_764, 452_310, 41.2, 0.0, 1.0, p50))
        for name, p50 in (("plain export", 61), ("fastest FP32", 19.7))
    )
    form = {"form": "to2d: FP32, <Conv1d>"}
    references = (references[0], replace(references[1], details=form))
    return Report(
        *("quickstart", "ef" * 32, environment, data, results),
        ok=True, bundle_sha256="12" * 32, references=references,
    )  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """A real browser without a window; tests that need it are skipped where there is none."""
    with chromium() as started:
        yield started
