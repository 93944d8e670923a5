"""Optimizer, learning rate and running mean of the weights."""

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from edgekws.training.options import SGD, Training


def build_optimizer(network: nn.Module, training: Training) -> Optimizer:
    """Return the optimizer; vectors and scalars (biases, BatchNorm) get no weight decay."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    fields = training.optimizer
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": fields.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if isinstance(fields, SGD):
        return torch.optim.SGD(groups, lr=fields.lr, momentum=fields.momentum, fused=True)
    return torch.optim.AdamW(groups, lr=fields.lr, fused=True)


def lr_at(training: Training, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of batch `step`, counted from 0 over the whole training.

    It rises linearly to `lr` at the last batch of the warm-up and falls along a half cosine to
    `lr * final_lr_ratio` at the very last batch (Loshchilov and Hutter 2017, without restarts).
    """
    schedule, lr = training.schedule, training.optimizer.lr
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return lr * (step + 1) / warmup
    done = (step + 1 - warmup) / (training.epochs * steps_per_epoch - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return lr * (schedule.final_lr_ratio + (1 - schedule.final_lr_ratio) * cosine)


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def restore_moments(optimizer: Optimizer, saved: Mapping[str, Tensor]) -> None:
    """Restore the optimizer's state of each parameter, from tensors named `index/key`."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in saved.items():
        index, key = name.split("/")
        parameter = parameters[int(index)]
        if tensor.shape == parameter.shape:
            # The fused optimizers rely on memory order, which a saved tensor has lost.
            tensor = torch.empty_like(parameter).copy_(tensor)
        moments.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})


class RunningMean:
    """Exponential moving average of a network: weights and BatchNorm statistics.

    The decay increases with the batches, `min(decay, (1 + step) / (10 + step))`, so that the
    initial random weights fade quickly (as in TensorFlow's `ExponentialMovingAverage`).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Start from a copy of `network`."""
        self.network = copy.deepcopy(network).eval()
        self._decay = decay
        means, news = self.network.state_dict().values(), network.state_dict().values()
        self._pairs = list(zip(means, news, strict=True))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the mean with the network's weights after batch `step`, counted from 0."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for mean, new in self._pairs:
            if mean.is_floating_point():
                mean.lerp_(new, 1 - decay)
            else:
                mean.copy_(new)
