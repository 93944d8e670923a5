"""The step `stream`: the network with explicit state, for continuous audio."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from edgekws.core.contract import Artifact, Format
from edgekws.core.job import Job, Output
from edgekws.steps._fields import StepFields


class Step(StepFields):
    """Write the final 2-D network as a graph that processes only the new frames of each hop.

    The bundle gets it as `stream.onnx` next to `model.onnx`, the model of the previous step. The
    backbone must not pad over time (`padding = "valid"`) and must end in a mean over time.
    """

    kind: Literal["stream"] = "stream"
    keeps: ClassVar[str] = "exact"

    @property
    def takes(self) -> Format | None:
        """An ONNX model."""
        return "onnx"

    @property
    def gives(self) -> Format:
        """A streaming graph."""
        return "stream"

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Write the streaming form and verify it on the golden clips of dev, hop by hop.

        Raises:
            UnsupportedError: a layer cannot be computed hop by hop; the message names it.
            ParityError: a decision differs from that of the windowed network.
        """
        from dataclasses import asdict

        from edgekws.lowering import onnx_file, parity, stream_parity
        from edgekws.lowering.stream import streaming_form
        from edgekws.lowering.stream_state import hop_s, stream_of

        source = inputs["input"].path
        model, contract = onnx_file.load(source)
        streaming = streaming_form(model, contract)
        dev = job.data.examples("dev")
        proof = stream_parity.check(source, streaming, dev.features[parity.golden(dev)])
        path = job.workdir / "stream.onnx"
        onnx_file.save(streaming, contract, path)
        stream = stream_of(streaming)
        assert stream is not None
        details = {
            "hop_frames": stream.hop_frames,
            "hop_ms": 1000 * hop_s(streaming),
            "window_frames": stream.window_frames,
            "states": [asdict(state) for state in stream.states],
        }
        return Output(path, proof | details)
