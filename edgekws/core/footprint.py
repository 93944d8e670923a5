"""What a bundle takes and computes on a CPU without an operating system."""

from dataclasses import dataclass

from edgekws.core.measurement import Measurement


@dataclass(frozen=True)
class Footprint:
    """A bundle's C on a CPU: samples in, events out, and nothing else in the program.

    `flash_bytes` are code and constants, start-up included; `static_bytes` the state, the events
    and a block of samples of one frame step; `stack_bytes` the deepest stack of a run.

    Instructions are counted on an emulated board. `front_end_per_hop` are those of the frames of
    one hop, `network_per_run` those of an inference, `runs_per_s` of which fall into a second of
    audio, `per_s` those of a second of audio with everything that is computed, `most_per_hop` those
    of the most expensive hop. They are averages over `audio_s` seconds.

    Of `clips` clips, the logits of all `inferences` had the bits of onnxruntime. `floats` is
    whether the build has floating point.
    """

    cpu: str
    clock_mhz: float
    floats: bool
    streaming: bool
    flash_bytes: int
    static_bytes: int
    stack_bytes: int
    hop_s: float
    front_end_per_hop: float
    network_per_run: float
    runs_per_s: float
    per_s: float
    most_per_hop: float
    audio_s: float
    clips: int
    inferences: int

    @property
    def ram_bytes(self) -> int:
        """RAM with the deepest stack."""
        return self.static_bytes + self.stack_bytes

    @property
    def front_end_per_s(self) -> float:
        """Instructions of the front end in a second of audio."""
        return self.front_end_per_hop / self.hop_s

    @property
    def network_per_s(self) -> float:
        """Instructions of the network in a second of audio."""
        return self.network_per_run * self.runs_per_s

    @property
    def least_clock_mhz(self) -> float:
        """The clock at which a second of audio takes a second, at one instruction per cycle."""
        return self.per_s / 1e6

    def measurements(self) -> tuple[Measurement, ...]:
        """Return the metrics that a budget can limit."""
        return (
            Measurement("flash_kib", self.flash_bytes / 1024, "KiB"),
            Measurement("ram_kib", self.ram_bytes / 1024, "KiB"),
            Measurement("instructions_per_s", self.per_s, "/s"),
            Measurement("front_end_instructions_per_s", self.front_end_per_s, "/s"),
            Measurement("network_instructions_per_s", self.network_per_s, "/s"),
        )
