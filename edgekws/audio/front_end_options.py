"""The options of the front end as nodes of an ONNX graph: means of bands, and PCEN.

A running mean is a recurrence over time, `s[t] = d[t] * s[t - 1] + u[t]`. It is computed for all
frames at once, in steps that double the reach (Hillis and Steele, 1986): no loop, no weights.
"""

import math

import numpy as np

from edgekws.audio.graph_writer import Graph
from edgekws.runtime.front_end import LOG_FLOOR, SILENT_MEL, FrontEnd


def add_options(graph: Graph, levels: str, front_end: FrontEnd) -> str:
    """Add the options to levels `(B, n_mels, T)`: log-mel, or mel for PCEN. Return the features."""
    if front_end.is_plain:
        return levels
    pcen = front_end.compression == "pcen"
    silent = SILENT_MEL if pcen else math.log(LOG_FLOOR + SILENT_MEL)
    loudest = graph.add("ReduceMax", levels, axes=[1], keepdims=1)
    sounding = graph.add("Greater", loudest, graph.floats(np.array([silent])))
    weights = graph.add("Cast", sounding, to=1)  # float, (B, 1, T)
    if front_end.mean == "clip":
        return _without_clip_mean(graph, levels, weights, front_end.n_frames)
    sums, counts = _running_sums(graph, levels, weights, front_end)
    mean = graph.add("Div", sums, graph.add("Clip", counts, graph.scalar(1.0)))
    if pcen:
        return _pcen(graph, levels, mean, front_end)
    return _without(graph, levels, mean, counts)


def _without_clip_mean(graph: Graph, levels: str, weights: str, n_frames: int) -> str:
    sums = graph.add("ReduceMean", graph.add("Mul", levels, weights), axes=[2], keepdims=1)
    share = graph.add("ReduceMean", weights, axes=[2], keepdims=1)
    least = graph.scalar(1 / n_frames)
    mean = graph.add("Div", sums, graph.add("Clip", share, least))
    counts = graph.add("Mul", share, graph.floats(np.array([n_frames])))
    return _without(graph, levels, mean, counts)


def _without(graph: Graph, levels: str, mean: str, counts: str) -> str:
    """Subtract means; where no frame counts so far, a feature is 0."""
    counted = graph.add("Clip", counts, graph.scalar(0.0), graph.scalar(1.0))
    return graph.add("Mul", graph.add("Sub", levels, mean), counted)


def _running_sums(graph: Graph, levels: str, weights: str, front_end: FrontEnd) -> tuple[str, str]:
    """Return the weighted sums `(B, n_mels, T)` of levels, and those of the weights `(B, 1, T)`."""
    decay, n_mels, n_frames = front_end.decay, front_end.n_mels, front_end.n_frames
    sums = graph.add("Concat", graph.add("Mul", levels, weights), weights, axis=1)
    # Digital silence neither adds to the sums nor lets them decay.
    lost = graph.add("Mul", weights, graph.floats(np.array([decay - 1])))
    decays = graph.add("Add", lost, graph.floats(np.array([1.0])))
    reach = 1
    while reach < n_frames:
        shift = graph.ints(0, 0, reach, 0, 0, -reach)
        earlier = graph.add("Mul", decays, graph.add("Pad", sums, shift))
        sums = graph.add("Add", sums, earlier)
        decays = graph.add("Mul", decays, graph.add("Pad", decays, shift))
        reach *= 2
    axis = graph.ints(1)
    bands = graph.add("Slice", sums, graph.ints(0), graph.ints(n_mels), axis)
    return bands, graph.add("Slice", sums, graph.ints(n_mels), graph.ints(n_mels + 1), axis)


def _pcen(graph: Graph, mel: str, mean: str, front_end: FrontEnd) -> str:
    pcen = front_end.pcen
    above = graph.add("Add", mean, graph.scalar(pcen.epsilon))
    gained = graph.add("Div", mel, graph.add("Pow", above, graph.scalar(pcen.gain)))
    raised = graph.add("Pow", graph.add("Add", gained, graph.scalar(pcen.bias)),
                       graph.scalar(pcen.root))  # fmt: skip
    return graph.add("Sub", raised, graph.scalar(pcen.bias**pcen.root))
