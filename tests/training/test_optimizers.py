from collections.abc import Callable

import pytest
import torch
from torch import nn

from edgekws.training.optimizers import RunningMean, build_optimizer, lr_at
from edgekws.training.options import SGD, AdamW, Schedule, Training


@pytest.mark.parametrize("optimizer", [AdamW(weight_decay=0.3), SGD(weight_decay=0.3)])
def test_only_weights_are_decayed(
    network_2d: Callable[[], nn.Module], optimizer: AdamW | SGD
) -> None:
    network = network_2d()
    groups = build_optimizer(network, Training(optimizer=optimizer)).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    by_name = {name: decay[id(p)] for name, p in network.named_parameters()}
    assert by_name == {
        "0.weight": 0.3,
        "1.weight": 0.0,
        "1.bias": 0.0,
        "5.weight": 0.3,
        "5.bias": 0.0,
    }


def test_lr_rises_to_the_top_and_falls_to_the_ratio() -> None:
    schedule = Schedule(warmup_epochs=1.5, final_lr_ratio=0.1)
    training = Training(epochs=10, optimizer=AdamW(lr=0.2), schedule=schedule)
    lrs = [lr_at(training, step, 8) for step in range(80)]
    assert lrs[0] == pytest.approx(0.2 / 12)
    assert max(lrs) == lrs[11] == pytest.approx(0.2)
    assert lrs[-1] == pytest.approx(0.02)
    assert lrs[:12] == sorted(lrs[:12])
    assert lrs[11:] == sorted(lrs[11:], reverse=True)
    assert lrs[11 + 34] == pytest.approx(0.11)  # half way down


def test_lr_without_warmup_and_with_nothing_else() -> None:
    flat = Schedule(warmup_epochs=0, final_lr_ratio=1)
    training = Training(epochs=2, optimizer=AdamW(lr=0.2), schedule=flat)
    assert [lr_at(training, s, 3) for s in range(6)] == pytest.approx([0.2] * 6)
    training = Training(epochs=1, optimizer=AdamW(lr=0.3))
    assert [lr_at(training, s, 3) for s in range(3)] == pytest.approx([0.1, 0.2, 0.3])


def test_running_mean_is_the_weighted_sum_of_all_weights() -> None:
    network = nn.BatchNorm1d(2)
    state = network.state_dict()  # views of what the network holds
    mean = RunningMean(network, 0.5)
    expected = network.weight.detach().clone()
    for step in range(12):
        with torch.no_grad():
            network.weight.copy_(torch.tensor([step, -2.0 * step]))
            state["running_mean"] += 1
            state["num_batches_tracked"] += 1
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network.weight.detach()
        mean.update(step)
    averaged = mean.network.state_dict()
    torch.testing.assert_close(averaged["weight"], expected)
    assert averaged["num_batches_tracked"] == 12
    assert 10 < averaged["running_mean"][0] < 12
    assert not mean.network.training
