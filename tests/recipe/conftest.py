"""Small families, so that these tests hold whatever members the package has."""

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import pytest
from pydantic import BaseModel, Field, model_validator

from edgekws.core import family
from edgekws.core.contract import Format
from edgekws.core.fields import Fields
from edgekws.core.protocols import AnyBackbone, AnyQuantizer


class Words(Fields):
    kind: Literal["synthetic"] = "synthetic"
    keywords: tuple[str, ...] = Field(min_length=1)
    clips: int = Field(default=10, ge=1)
    folder: Path | None = None


class Host(Fields):
    kind: Literal["host"] = "host"
    threads: int = Field(default=1, ge=1)
    has_footprint: ClassVar[bool] = False


class Flat(Fields):
    kind: Literal["plain"] = "plain"
    channels: int = Field(default=16, ge=1)
    min_frames: int = 1
    representation: ClassVar[str] = "2d"


class Deep(Fields):
    kind: Literal["bcresnet"] = "bcresnet"
    tau: float = Field(default=1.0, gt=0)
    representation: ClassVar[str] = "3d"


class Sgd(Fields):
    kind: Literal["sgd"] = "sgd"
    lr: float = 0.1


class Adam(Fields):
    kind: Literal["adamw"] = "adamw"
    lr: float = 0.001


class Training(Fields):
    epochs: int = Field(default=10, ge=1)
    masking: float = Field(default=1.0, ge=0, le=1)
    optimizer: Sgd | Adam = Field(default=Adam(), discriminator="kind")


class Loss(Fields):
    temperature: float = Field(default=3.0, gt=0)
    kl_weight: float = Field(default=0.5, ge=0, le=1)


class Link(Fields):
    name: str = ""
    budget: dict[str, float] = Field(default={})
    takes: ClassVar[Format | None] = None
    gives: ClassVar[Format] = "checkpoint"
    keeps: ClassVar[str] = "retrained"
    listens: ClassVar[bool] = False
    also_takes: ClassVar[tuple[Format, ...]] = ()
    teacher_formats: ClassVar[tuple[Format, ...]] = ("checkpoint",)

    @property
    def named_inputs(self) -> tuple[str, ...]:
        return ()


class Teacher(Link):
    kind: Literal["teacher"] = "teacher"
    backbone: AnyBackbone
    training: Training = Training()


class Distill(Link):
    kind: Literal["distill"] = "distill"
    teacher_formats: ClassVar[tuple[Format, ...]] = ("checkpoint", "audio_teacher")
    teachers: tuple[str, ...] = Field(min_length=1)
    backbone: AnyBackbone
    loss: Loss = Loss()

    @property
    def named_inputs(self) -> tuple[str, ...]:
        return self.teachers


class Embedding(Link):
    kind: Literal["embedding_teacher"] = "embedding_teacher"
    path: str
    gives: ClassVar[Format] = "audio_teacher"


class To2d(Link):
    kind: Literal["to2d"] = "to2d"
    backbone: AnyBackbone | None = None
    training: Training = Training()
    takes: ClassVar[Format | None] = "checkpoint"

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> Self:
        if self.backbone is None and "training" in self.model_fields_set:
            raise ValueError("training has no effect without backbone")
        return self


class Export(Link):
    kind: Literal["export"] = "export"
    takes: ClassVar[Format | None] = "checkpoint"
    gives: ClassVar[Format] = "onnx"


class Backend(Fields):
    kind: Literal["neural_compressor"] = "neural_compressor"


BACKEND: Any = Backend()  # a recipe reads no more of a quantizer than its fields


class Quantize(Link):
    kind: Literal["quantize"] = "quantize"
    keeps: ClassVar[str] = "quantized"
    backend: AnyQuantizer = BACKEND
    takes: ClassVar[Format | None] = "checkpoint"
    gives: ClassVar[Format] = "onnx"


class Simplify(Link):
    kind: Literal["simplify"] = "simplify"
    takes: ClassVar[Format | None] = "onnx"
    gives: ClassVar[Format] = "onnx"


class Tune(Link):
    kind: Literal["tune"] = "tune"
    fp32: str = ""
    takes: ClassVar[Format | None] = "onnx"
    gives: ClassVar[Format] = "onnx"

    @property
    def named_inputs(self) -> tuple[str, ...]:
        return (self.fp32,)


class Stream(Link):
    kind: Literal["stream"] = "stream"
    takes: ClassVar[Format | None] = "onnx"
    gives: ClassVar[Format] = "stream"


class Calibrate(Link):
    kind: Literal["calibrate"] = "calibrate"
    listens: ClassVar[bool] = True
    also_takes: ClassVar[tuple[Format, ...]] = ("stream",)
    takes: ClassVar[Format | None] = "onnx"
    gives: ClassVar[Format] = "detection"


MEMBERS: dict[str, list[type[BaseModel]]] = {
    "Dataset": [Words],
    "Target": [Host],
    "Backbone": [Flat, Deep],
    "Quantizer": [Backend],
    "Step": [
        *(Teacher, Distill, Embedding, To2d, Export, Quantize, Simplify, Tune, Stream, Calibrate),
    ],
}


@pytest.fixture(autouse=True)
def _families(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, dict[str, Any]] = {
        name: {m.model_fields["kind"].default: m for m in members}
        for name, members in MEMBERS.items()
    }
    monkeypatch.setattr(family, "kinds", lambda name: tuple(sorted(known[name])))
    monkeypatch.setattr(family, "load", lambda name, kind: known[name][kind])


QUICKSTART = """\
schema = 1
name = "quickstart"
seed = 7

[dataset]
kind = "synthetic"
keywords = ["lights", "music"]

[budget]
max_params = 10_000
min_accuracy = 0.95

[[steps]]
kind = "teacher"
backbone = { kind = "bcresnet", tau = 2 }
training = { epochs = 20, optimizer = { kind = "adamw", lr = 3e-3 } }

[[steps]]
kind = "distill"
teachers = ["teacher"]
backbone = { kind = "bcresnet" }
loss = { temperature = 3.0 }

[[steps]]
kind = "to2d"
backbone = { kind = "plain", channels = 16 }

[[steps]]
kind = "quantize"
budget = { min_int8_coverage = 0.9 }

[[steps]]
kind = "simplify"
"""


@pytest.fixture
def quickstart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a recipe of five steps, relative to the working folder."""
    monkeypatch.chdir(tmp_path)
    path = Path("quickstart.toml")
    path.write_text(QUICKSTART, encoding="utf-8")
    return path
