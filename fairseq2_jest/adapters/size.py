"""How much of a model is trained, and what that costs in memory."""

from __future__ import annotations

from dataclasses import dataclass

from torch.nn import Module

from fairseq2_jest.models.nf4 import num_weights


@dataclass(frozen=True, kw_only=True)
class TrainedSize:
    """Counts each parameter once, in however many places it is."""

    num_parameters: int
    """The parameters of the model, its adapters among them."""

    num_trained: int
    """Those of them that are trained."""

    num_bytes: int
    """What the parameters take, in bytes."""

    num_bytes_trained: int
    """What the trained ones take, in bytes; their gradients take as much."""

    @staticmethod
    def of(model: Module) -> TrainedSize:
        """Measures a model that is not yet shared out among ranks."""
        parameters = list(model.parameters())

        trained = [parameter for parameter in parameters if parameter.requires_grad]

        return TrainedSize(
            num_parameters=num_weights(model, parameters),
            num_trained=num_weights(model, trained),
            num_bytes=sum(parameter.nbytes for parameter in parameters),
            num_bytes_trained=sum(parameter.nbytes for parameter in trained),
        )
