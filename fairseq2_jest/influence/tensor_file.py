"""Tensors on disk that say what they belong to, whole or not there at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fairseq2_jest.embedding.digest import digest_of_tensors
from fairseq2_jest.files import replacing
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
        metadata = {"content": f"{self._identity} {digest_of_tensors(kept)}"}

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)

            with replacing(self.path) as scratch:
                save_file(kept, scratch, metadata)
        except (OSError, SafetensorError) as ex:
            raise InfluenceError(
                f"{self.path} cannot be written ({ex}); make room, or mend its permissions."
            ) from ex

    def read(self) -> dict[str, Tensor] | None:
        """Returns the tensors, on the CPU; ``None`` where there are none of this identity.

        They are mapped from the file, hence take no memory to speak of.
        """
        with self._open() as file:
            if file is None:
                return None

            # Not a mapping: only its keys can be iterated over.
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

            checksum = _content(file)[1]

        return tensors if checksum == digest_of_tensors(tensors) else None

    def exists(self) -> bool:
        """Whether there are tensors of this identity, whole by their size; they are not read."""
        with self._open() as file:
            return file is not None

    @contextmanager
    def _open(self) -> Iterator[Any]:
        """The file, if it is of this identity."""
        try:
            file = safe_open(self.path, framework="pt")
        except (FileNotFoundError, SafetensorError):
            yield None
        except OSError as ex:
            raise InfluenceError(
                f"{self.path} cannot be read ({ex}); mend its permissions, or delete it."
            ) from ex
        else:
            with file:
                yield file if _content(file)[0] == self._identity else None


def _content(file: Any) -> tuple[str, str]:
    """The identity and the checksum."""
    identity, _, checksum = (file.metadata() or {}).get("content", "").partition(" ")

    return identity, checksum
