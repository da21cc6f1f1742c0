"""Tensors on disk that say what they belong to, whole or not there at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fairseq2_jest.influence.errors import InfluenceError


class TensorFile:
    """A safetensors file under the digest of an identity, and a checksum.

    What another identity wrote, or what is damaged, is as good as missing.
    """

    def __init__(self, path: Path, identity: str) -> None:
        """
        :param identity: Stands for everything that decides the tensors; without blanks.
        """
        self.path = path
        self._identity = identity

    def write(self, tensors: Mapping[str, Tensor]) -> None:
        """Writes all or nothing, after a kill, too.

        :raises InfluenceError: It cannot be written.
        """
        kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}

        # One entry, since several come in any order: the same tensors are the same bytes.
        metadata = {"content": f"{self._identity} {_checksum(kept)}"}

        # Ranks that make the same file at once must not write into each other's.
        scratch = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)

            save_file(kept, scratch, metadata)

            with scratch.open("rb+") as stream:
                os.fsync(stream.fileno())

            scratch.replace(self.path)
        except (OSError, SafetensorError) as ex:
            scratch.unlink(missing_ok=True)

            raise InfluenceError(
                f"{self.path} cannot be written ({ex}); make room, or mend its permissions."
            ) from ex

    def read(self) -> dict[str, Tensor] | None:
        """Returns the tensors, on the CPU; ``None`` where there are none of this identity."""
        try:
            with safe_open(self.path, framework="pt") as file:
                identity, _, checksum = (file.metadata() or {}).get("content", "").partition(" ")

                if identity != self._identity:
                    return None

                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (FileNotFoundError, SafetensorError):
            return None
        except OSError as ex:
            raise InfluenceError(
                f"{self.path} cannot be read ({ex}); mend its permissions, or delete it."
            ) from ex

        return tensors if checksum == _checksum(tensors) else None

    def exists(self) -> bool:
        """Whether :meth:`read` will return something."""
        return self.path.exists() and self.read() is not None


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()

    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)

    return digest.hexdigest()
