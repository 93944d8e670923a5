"""Steps run one after another, each on what the steps before it gave, and measured."""

from edgekws.core.contract import BESIDE, Artifact, Format
from edgekws.core.protocols import Step
from edgekws.engine.chain import Bench, Done, run_step
from edgekws.engine.measure import Measured, measure


class ChainRun:
    """The steps of a chain that have been run.

    `done` holds the result of each step by its name, in the order of the chain; `measured` the
    model that was measured last.
    """

    def __init__(self, bench: Bench) -> None:
        """Take what all steps share; nothing has been run yet."""
        self.done: dict[str, Done] = {}
        self.measured: Measured | None = None
        self._bench = bench

    def inputs(self, step: Step) -> dict[str, Artifact]:
        """Return the artifacts that `step` takes, by role: the named ones, the model, those beside.

        The model is the newest artifact that stands beside no other.
        """
        inputs = {name: self.done[name].artifact for name in step.named_inputs}
        artifacts = [done.artifact for done in self.done.values()]
        models = [artifact for artifact in artifacts if artifact.format not in BESIDE]
        if step.takes is not None and models:
            inputs["input"] = models[-1]
        beside = {kind: self.beside(kind) for kind in step.also_takes}
        return inputs | {kind: artifact for kind, artifact in beside.items() if artifact}

    def beside(self, kind: Format) -> Artifact | None:
        """Return the newest artifact of a format that stands beside the model, if there is one."""
        artifacts = (done.artifact for done in reversed(self.done.values()))
        return next((artifact for artifact in artifacts if artifact.format == kind), None)

    def run(self, step: Step, *, force: bool = False) -> Done:
        """Run `step`, or read its result from the cache.

        Raises:
            EdgekwsError: whatever the step raises.
        """
        done = run_step(step, self.inputs(step), self._bench, force=force)
        self.done[step.name] = done
        return done

    def measure(self, step: Step) -> Measured:
        """Measure the model that `step` gave, and prove it against the one that it was made from.

        Raises:
            ParityError: the step changed what it must keep.
        """
        parent = self.measured if step.takes is not None else None
        artifact = self.done[step.name].artifact
        self.measured = measure(artifact, step.keeps, parent, self._bench)
        return self.measured
