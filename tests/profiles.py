"""Profiles that were never measured, for tables, pages and sentences."""

from edgekws.core.measurement import Measurement
from edgekws.evaluation.profiled import How, Node, Operators, Profile, Ratio, Timing, Weight, What

SETTINGS = {"affinity": None, "warmup": 20, "seconds": 1.0, "threads": 1, "seed": 0}
FINGERPRINT = {
    "cpu": "AMD <EPYC>",
    "isa": ["avx2", "avx512_vnni"],
    "cores": 2,
    "governor": None,
    "machine": "x86_64",
    "kernel": "6.1",
    "python": "3.11.7",
    "onnxruntime": "1.31.1",
    "numpy": "2.4.6",
    "threads": 1,
    "load": 0.4,
    "versions": {},
}


def timing(subject: str, what: What, p50: float, how: How = "session.run") -> Timing:
    bounds = [(q * 0.98, q * 1.03) for q in (p50, 1.3 * p50, 3 * p50)]
    quantiles = tuple(p50 * (0.5 + i / 100) for i in range(101))
    return Timing(
        *(subject, what, how, 1200, p50, bounds[0], 1.3 * p50, bounds[1], 3 * p50, bounds[2]),
        *(240, 12, 1.01 * p50, 0.02, quantiles, tuple(p50 * (1 + 0.01 * i) for i in range(8))),
    )


def profile(*, level: bool = True, two: bool = False) -> Profile:
    """Return the profile of a bundle, or of two models of which the second is faster."""
    names = ("музыка.onnx", "<b>b.onnx") if two else ("музыка",)
    timings = [timing(name, "network", 24.0 - 4 * i) for i, name in enumerate(names)]
    timings += [timing(names[0], "network", 21.0, "I/O binding")]
    if not two:
        timings += [timing(names[0], "front end", 160.0), timing(names[0], "audio → label", 200.0)]
    timings += [timing("floor", "floor", 5.0)]
    nodes = tuple(Node(f"n{i}", "Conv" if i % 2 else "Add", 1.0, 1 / 24) for i in range(19))
    ratio = Ratio("<b>b.onnx", names[0], "network", 0.833, (0.81, 0.85), "faster")
    counted = (Measurement("params", 8951), Measurement("peak_ram_kib", 18.9, "KiB"))
    return Profile(
        subjects=names,
        timings=tuple(timings),
        operators=tuple(Operators(name, "network", 5.0, 6.3, 480, nodes) for name in names),
        weights=tuple(Weight(name, counted, 1876.0, float("nan")) for name in names),
        ratios=(ratio,) if two and level else (),
        control=names[0],
        level=level,
        control_ratio=1.001 if level else 1.04,
        control_ratio_ci95=(0.99, 1.01) if level else (1.02, 1.06),
        processes=8,
        attempts=1,
        settings=SETTINGS,
        fingerprint=FINGERPRINT,
    )
