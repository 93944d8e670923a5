import re
import subprocess
import sys
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from edgekws.core.fields import Fields
from edgekws.training import options
from edgekws.training.options import (
    SGD,
    AdamW,
    CrossEntropyLoss,
    DistillationLoss,
    FocalLoss,
    LabelLoss,
    Training,
)


def test_optimizer_defaults_to_adamw() -> None:
    assert Training().optimizer == AdamW()
    assert Training.model_validate({"optimizer": {"lr": 0.5}}).optimizer == AdamW(lr=0.5)
    sgd = {"kind": "sgd", "lr": 0.2, "momentum": 0.5}
    assert Training.model_validate({"optimizer": sgd}).optimizer == SGD(lr=0.2, momentum=0.5)


def test_fields_survive_json() -> None:
    training = Training(optimizer=SGD(momentum=0.5), epochs=3, mixup=0.2)
    assert Training.model_validate(training.model_dump(mode="json")) == training


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ({"kind": "adam"}, "no optimizer is called 'adam'; did you mean adamw?"),
        ({"kind": "zzzzz"}, "no optimizer is called 'zzzzz'; known: adamw, sgd"),
        ("adamw", 'expected a table with a "kind"'),
    ],
)
def test_wrong_optimizer(optimizer: object, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Training.model_validate({"optimizer": optimizer})
    (error,) = caught.value.errors()
    assert error["loc"] == ("optimizer",)
    assert error["msg"] == message


def test_errors_inside_the_optimizer_are_carried_as_those_of_a_member() -> None:
    with pytest.raises(ValidationError) as caught:
        Training.model_validate({"optimizer": {"kind": "sgd", "lr": -1, "momentun": 0.9}})
    (error,) = caught.value.errors()
    assert error["type"] == "member"
    inner = {e["loc"]: e["type"] for e in error["ctx"]["errors"]}
    assert inner == {("lr",): "greater_than", ("momentun",): "extra_forbidden"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 2, "schedule": {"warmup_epochs": 3}}, "warmup_epochs = 3.0 is longer than"),
        ({"epochs": 0}, "greater than or equal to 1"),
        ({"batch_size": 1}, "greater than or equal to 2"),
        ({"ema": 1.0}, "less than 1"),
        ({"masking": 1.5}, "less than or equal to 1"),
        ({"masking": -0.1}, "greater than or equal to 0"),
        ({"keep": "first"}, "'best' or 'last'"),
    ],
)
def test_wrong_training(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Training.model_validate(fields)


LOSS: TypeAdapter[Any] = TypeAdapter(LabelLoss)


def test_the_loss_defaults_to_cross_entropy() -> None:
    assert LOSS.validate_python({"label_smoothing": 0.2}) == CrossEntropyLoss(label_smoothing=0.2)
    assert LOSS.validate_python({"kind": "focal", "gamma": 1}) == FocalLoss(gamma=1)
    for loss in (CrossEntropyLoss(label_smoothing=0), FocalLoss(gamma=3)):
        assert LOSS.validate_python(loss.model_dump(mode="json")) == loss


def test_wrong_loss() -> None:
    message = "no loss is called 'focl'; did you mean focal?"
    with pytest.raises(ValidationError, match=re.escape(message)):
        LOSS.validate_python({"kind": "focl"})
    with pytest.raises(ValidationError) as caught:
        LOSS.validate_python({"gamma": 2})
    (error,) = caught.value.errors()
    assert [inner["loc"] for inner in error["ctx"]["errors"]] == [("gamma",)]
    for fields, key in (({"focal_gamma": -1}, "focal_gamma"), ({"feature_weight": -1}, "feature")):
        with pytest.raises(ValidationError, match=key):
            DistillationLoss.model_validate(fields)


def test_a_loss_without_weights_is_refused() -> None:
    with pytest.raises(ValidationError, match="ce_weight and kl_weight are both 0; raise one"):
        DistillationLoss(ce_weight=0, kl_weight=0, feature_weight=1)


def test_every_field_is_described() -> None:
    tables = [t for t in vars(options).values() if isinstance(t, type) and issubclass(t, Fields)]
    fields = [(t.__name__, n, f) for t in tables for n, f in t.model_fields.items()]
    assert len(fields) == 30
    assert [(t, n) for t, n, f in fields if not f.description] == []


def test_options_and_steps_import_no_torch() -> None:
    code = (
        "import sys, edgekws.training.options, edgekws.steps.teacher, edgekws.steps.distill;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
