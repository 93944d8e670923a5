"""This machine, with INT8 models compiled as portable C instead of run by onnxruntime."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from edgekws.codegen import compiler
from edgekws.core.latency_run import Files, LatencyRun, chain
from edgekws.core.scratch import scratch_folder
from edgekws.errors import UnsupportedError, UsageError
from edgekws.runtime import latency
from edgekws.targets._fields import Harness
from edgekws.targets._harness import run_harness

IN_ONNXRUNTIME = "onnxruntime"


class Target(Harness):
    """Latency on this host of the C that `export --to c` writes, one inference at a time.

    A network in C takes quantized features, as its front end writes them. What has no form in C,
    such as an FP32 model, is run by onnxruntime, and the report says so.
    """

    kind: Literal["c_host"] = "c_host"
    compiler: str | None = Field(
        default=None, min_length=1, description="C compiler; default CC, else cc, gcc or clang"
    )
    flags: str = Field(default="-O3 -march=native", description="its options")

    def fingerprint(self) -> dict[str, Any]:
        """Return what a latency here depends on: CPU, kernel, versions, compiler and the fields.

        Raises:
            MissingPartError: there is no C compiler.
        """
        return latency.fingerprint(self.threads) | {
            "compiler": compiler.required(self.compiler).version,
            "target": self.model_dump(mode="json"),
        }

    def measure(self, models: Mapping[str, Files], control: str) -> LatencyRun:
        """Measure `models` interleaved, compiled where they have a form in C.

        Raises:
            MissingPartError: there is no C compiler, or onnxruntime is not installed.
            MachineError: the compiler or the harness failed; the message ends with its error.
        """
        with scratch_folder("c-host") as scratch:
            compiled = self.compiled(
                {name: chain(files) for name, files in models.items()}, scratch
            )
            files = {name: compiled[name][0] for name in models}
            run = run_harness(self, files, control)
        forms = {name: replace(model, form=compiled[name][1]) for name, model in run.models.items()}
        return replace(run, models=forms, fingerprint=self.fingerprint())

    def compiled(
        self, models: Mapping[str, tuple[Path, ...]], scratch: Path
    ) -> dict[str, tuple[tuple[Path, ...], str]]:
        """Return what is run for each chain, a library or the chain itself, and how, in words.

        A chain is a network, a front end and its network, or a front end that another chain has.

        Raises:
            MissingPartError, MachineError: as `measure`.
        """
        from edgekws.codegen import timing

        chosen = compiler.required(self.compiler)
        networks = {files[0]: files[1] for files in models.values() if len(files) == 2}
        results: dict[str, tuple[tuple[Path, ...], str]] = {}
        for number, (name, files) in enumerate(models.items()):
            output = scratch / f"{number}.so"
            alone = len(files) == 1
            times: tuple[str, ...] = ("network",) if alone else ("front end", "network")
            if alone and files[0] in networks:
                times = ("front end",)
            model = networks.get(files[0], files[-1])
            try:
                timing.write_library(model, output, chosen, shlex.split(self.flags), times=times)
                results[name] = (output,), f"{chosen.version}, {self.flags}"
            except (UnsupportedError, UsageError) as error:
                results[name] = files, f"{IN_ONNXRUNTIME}: {error}"
        return results
