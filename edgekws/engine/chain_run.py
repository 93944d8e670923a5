"""Steps run one after another, each on what the steps before it gave, and measured."""

from edgekws.core.contract import Artifact
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
        """Return the artifacts that `step` takes, by role: the named ones and the newest."""
        inputs = {name: self.done[name].artifact for name in step.named_inputs}
        if step.takes is not None and self.done:
            inputs["input"] = next(reversed(self.done.values())).artifact
        return inputs

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
