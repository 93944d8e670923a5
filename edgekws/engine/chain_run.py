"""Run steps one after another, each on the results of earlier steps, and measure them."""

from edgekws.core.contract import BESIDE, Artifact, Format
from edgekws.core.protocols import Step
from edgekws.engine.chain import Done, RunContext, run_step
from edgekws.engine.measure import Measured, measure


class ChainRun:
    """The finished steps of a chain.

    `done` holds the result of each step by name, in the order of the chain; `measured` is the last
    measured model.
    """

    def __init__(self, context: RunContext) -> None:
        """Take what all steps share; nothing is run yet."""
        self.done: dict[str, Done] = {}
        self.measured: Measured | None = None
        self._context = context

    def inputs(self, step: Step) -> dict[str, Artifact]:
        """Return the inputs of `step` by role: named ones, the model, and those beside it.

        The model is the newest artifact of a format that does not accompany another.
        """
        inputs = {name: self.done[name].artifact for name in step.named_inputs}
        artifacts = [done.artifact for done in self.done.values()]
        models = [artifact for artifact in artifacts if artifact.format not in BESIDE]
        if step.takes is not None and models:
            inputs["input"] = models[-1]
        beside = {kind: self.beside(kind) for kind in step.also_takes}
        return inputs | {kind: artifact for kind, artifact in beside.items() if artifact}

    def beside(self, kind: Format) -> Artifact | None:
        """Return the newest artifact of a format that accompanies the model, if there is one."""
        artifacts = (done.artifact for done in reversed(self.done.values()))
        return next((artifact for artifact in artifacts if artifact.format == kind), None)

    def run(self, step: Step, *, force: bool = False) -> Done:
        """Run `step`, or read its result from the cache.

        Raises:
            EdgekwsError: as raised by the step.
        """
        done = run_step(step, self.inputs(step), self._context, force=force)
        self.done[step.name] = done
        return done

    def measure(self, step: Step, *, plain: bool = False) -> Measured:
        """Measure the model that `step` produced, and prove it against its parent.

        With `plain`, a torch network is also exported as it is, as a control of latencies.

        Raises:
            ParityError: the step changed what it must preserve.
        """
        parent = self.measured if step.takes is not None else None
        artifact = self.done[step.name].artifact
        self.measured = measure(artifact, step.keeps, parent, self._context, plain=plain)
        return self.measured
