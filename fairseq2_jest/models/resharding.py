"""A rank's share of weights that are read whole."""

from __future__ import annotations

from collections.abc import Mapping

from fairseq2.gang import Gangs
from fairseq2.model_checkpoint import reshard_tensor
from torch import Tensor


def share_of_rank(key: str, tensor: Tensor, gangs: Gangs, shard_dims: Mapping[str, int]) -> Tensor:
    """
    :param key: The name of the parameter.
    :param tensor: All of it.
    :param shard_dims: By name, the dimension along which tensor parallelism cuts a parameter.
    """
    return reshard_tensor(
        key,
        [[tensor]],
        (1, 1),
        (gangs.tp.size, gangs.sdp.size),
        (gangs.tp.rank, gangs.sdp.rank),
        shard_dims,
    )
