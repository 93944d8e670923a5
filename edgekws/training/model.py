"""A torch network and the representation of its input."""

from dataclasses import dataclass

from torch import Tensor, nn

from edgekws.core.contract import Contract, Representation


@dataclass(frozen=True)
class Model:
    """A network and its representation, so that 2-D and 3-D ones take the same features."""

    network: nn.Module
    representation: Representation

    @staticmethod
    def of(network: nn.Module, contract: Contract) -> "Model":
        """Return the model of a checkpoint."""
        return Model(network, contract.representation)

    def logits(self, features: Tensor) -> Tensor:
        """Return logits `(B, n_labels)` of `features` `(B, n_mels, T)`."""
        if self.representation == "3d":
            features = features.unsqueeze(1)  # (B, 1, n_mels, T)
        logits: Tensor = self.network(features)
        return logits
