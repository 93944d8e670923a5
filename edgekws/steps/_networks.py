"""The networks that steps start from (a new one, the teachers) and the trained one they save."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from edgekws.core.contract import Artifact, Contract
from edgekws.core.details import Kinds
from edgekws.core.events import Event
from edgekws.core.job import Data, Job, Output
from edgekws.core.protocols import Backbone
from edgekws.errors import Problem, RecipeError
from edgekws.lowering import checkpoint, parity
from edgekws.lowering.folding import folded
from edgekws.training.model import Model

HISTORIES: Kinds = {"history": "history", "control_history": "history"}
"""The details of a step that trained, where it has them, that are those of `training.fit`."""


def new_contract(backbone: Backbone, data: Data) -> Contract:
    """Return the contract of the network that `backbone` builds."""
    shape = (data.front_end.n_mels, data.front_end.n_frames)
    return Contract(
        front_end=data.front_end,
        normalization=data.normalization,
        labels=data.labels,
        input_shape=(1, *shape) if backbone.representation == "3d" else shape,
        architecture=backbone.model_dump(mode="json"),
    )


def new_network(backbone: Backbone, job: Job) -> tuple[nn.Module, Contract]:
    """Return a network with weights drawn from `job.seed`, and its contract."""
    contract = new_contract(backbone, job.data)
    torch.manual_seed(job.seed)
    return checkpoint.build(contract), contract


def save_trained(
    network: nn.Module, contract: Contract, details: dict[str, Any], job: Job
) -> Output:
    """Fold the branches of a trained network into one, write its checkpoint and return it.

    The contract names the folded backbone, so that later steps see no branches; `details` gets
    `folded_max_abs_diff`, the largest difference in the logits of the golden clips of dev.

    Raises:
        ParityError: the folded network gives different logits.
    """
    path = job.workdir / "checkpoint.safetensors"
    result, new = folded(network, contract)
    if result is not network:
        dev = job.data.examples("dev")
        golden = dev.features[parity.golden(dev)]
        a, b = (parity.torch_logits(n, golden, contract) for n in (network, result))
        worst = parity.check(a, b, what="folding")
        job.emit(Event("note", f"branches folded into one, max |Δlogit| {worst:.1e}"))
        details = {**details, "folded_max_abs_diff": worst}
    checkpoint.save(result, new, path)
    return Output(path, details, {key: HISTORIES[key] for key in HISTORIES if key in details})


def load_teachers(names: Sequence[str], inputs: Mapping[str, Artifact], data: Data) -> list[Model]:
    """Return the teachers called `names` that are networks on features.

    Those that take audio are checked as well.

    Raises:
        RecipeError: a teacher's front end or labels differ from the student's; lists all of them.
    """
    problems = [
        Problem("", "teachers", message)
        for name in names
        if (message := _mismatch(name, inputs[name].contract, data))
    ]
    if problems:
        raise RecipeError(problems)
    networks = [inputs[name] for name in names if inputs[name].format == "checkpoint"]
    return [Model.of(*checkpoint.load(artifact.path)) for artifact in networks]


def _mismatch(name: str, teacher: Contract, data: Data) -> str:
    if teacher.labels != data.labels:
        return (
            f"{name} has the labels {', '.join(teacher.labels)}, the student "
            f"{', '.join(data.labels)}; train the teacher on the same dataset"
        )
    if (teacher.front_end, teacher.normalization) != (data.front_end, data.normalization):
        return (
            f"{name} was trained with a different front end or normalization than the student; "
            "train the teacher with the same dataset and front end"
        )
    return ""
