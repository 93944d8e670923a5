"""The rows of a profile's tables, for terminal and page alike."""

from collections import Counter

from edgekws.core import figures
from edgekws.evaluation.profiled import Operators, Profile, Timing

Rows = tuple[tuple[str, ...], list[list[str]]]
"""Heads of the columns, and rows."""


def latencies(profile: Profile) -> Rows:
    """Return a row per entry: percentiles with intervals, CPU time, waiting."""
    head = (
        "what",
        "call",
        "p50 [95 %]",
        "p90 [95 %]",
        "p99 [95 %]",
        "CPU",
        "waited",
        "left out",
        "runs",
    )
    return head, [_latency(timing, several=len(profile.subjects) > 1) for timing in profile.timings]


def ends(profile: Profile) -> Rows:
    """Return the share of each part in the time from audio to label, if there is a front end."""
    rows = []
    for subject in profile.subjects:
        whole, parts = profile.timing(subject, "audio → label"), profile.parts(subject)
        if whole and parts:
            shares = [figures.share(share) for share in parts.values()]
            rows.append([subject, _us(whole.p50_us), *shares])
    return ("audio → label", "p50", "front end", "network", "rest"), rows


def weights(profile: Profile) -> Rows:
    """Return counts and memory of every network."""
    metrics = ("params", "macs", "size_kib", "int8_coverage", "peak_ram_kib")
    rows = []
    for weights in profile.weights:
        by_metric = {m.metric: figures.figure(m.metric, m.value) for m in weights.measurements}
        resident = [
            figures.figure("size_kib", kib) for kib in (weights.session_kib, weights.runs_kib)
        ]
        rows.append(
            [weights.subject, *(by_metric.get(m, figures.NOTHING) for m in metrics), *resident]
        )
    return ("model", *map(figures.short, metrics), "RSS loaded", "RSS run"), rows


def operator_types(operators: Operators) -> Rows:
    """Return the total time of the operators of each type, and of the call itself."""
    often = Counter(node.op for node in operators.nodes)
    spent = {op: sum(node.us for node in operators.nodes if node.op == op) for op in often}
    whole = operators.call_us + sum(spent.values())
    rows = [
        [op, str(often[op]), _us(us), figures.share(us / whole)]
        for op, us in sorted(spent.items(), key=lambda item: -item[1])
    ]
    rows.append(
        ["the call itself", "", _us(operators.call_us), figures.share(operators.call_us / whole)]
    )
    return ("operator", "nodes", "time", "share"), rows


def operator_nodes(operators: Operators) -> Rows:
    """Return every node in the order of execution."""
    rows = [
        [node.name, node.op, _us(node.us), figures.share(node.share)] for node in operators.nodes
    ]
    return ("node", "operator", "time", "share"), rows


def machine(profile: Profile) -> list[tuple[str, str]]:
    """Return what the times depend on: the host, and how it was measured."""
    host, settings = profile.fingerprint, profile.settings
    bound = settings["affinity"]
    return [
        ("CPU", f"{host['cpu']} ({host['machine']}, {host['cores']} cores)"),
        ("instructions", ", ".join(host["isa"]) or "none that matter here"),
        ("governor", host["governor"] or "unknown"),
        ("load", f"{host['load']:.1f}"),
        ("kernel", host["kernel"]),
        *((name, host[name]) for name in ("onnxruntime", "numpy", "python")),
        ("threads", str(host["threads"])),
        ("CPUs used", ", ".join(map(str, bound)) if bound else "any"),
        ("warm-up", f"{settings['warmup']} runs of every session"),
        ("processes", f"{profile.processes}, each with new sessions in every epoch"),
    ]


def _latency(timing: Timing, *, several: bool) -> list[str]:
    named = f"{timing.subject}: {timing.what}" if several else timing.what
    return [
        "floor (a graph of one node)" if timing.what == "floor" else named,
        timing.how,
        figures.estimate("latency_p50_us", timing.p50_us, timing.p50_ci95),
        figures.estimate("latency_p50_us", timing.p90_us, timing.p90_ci95),
        figures.estimate("latency_p50_us", timing.p99_us, timing.p99_ci95),
        _us(timing.cpu_us),
        figures.share(timing.waited),
        f"{timing.left_out:,} of {timing.blocks:,}",
        f"{timing.n:,}",
    ]


def _us(value: float) -> str:
    return figures.figure("latency_p50_us", value)
