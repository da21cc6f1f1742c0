"""Checkpoints of runs with an adapter: what says so, and loading them as plain models.

fairseq2 saves what was trained as it is: the frozen weights under other names, and those of the
adapter. So that every program that asks for ``checkpoint_step_N`` or ``best_checkpoint`` has a
plain model, the run writes down which adapter it has, and points fairseq2's card of the checkpoints
to a path that no other loader takes for its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, final

from fairseq2.device import CPU
from fairseq2.gang import GangContext, create_fake_gangs
from fairseq2.model_checkpoint import ModelCheckpointLoader, ModelCheckpointLoadOptions
from fairseq2.runtime.dependency import DependencyResolver
from fairseq2.utils.yaml import YamlDumper, YamlLoader
from torch import Tensor
from typing_extensions import override

from fairseq2_jest.adapters.adapter import CheckpointMerger
from fairseq2_jest.adapters.errors import AdapterError
from fairseq2_jest.files import replacing, write_json
from fairseq2_jest.models.resharding import share_of_rank

ADAPTER_FILE: Final = "adapter.json"
"""Lies beside fairseq2's ``model.yaml``."""

_CARD_FILE: Final = "model.yaml"

# fairseq2 takes `step_N/model` itself; this folder is in it whatever the parallelism.
_SUB_PATH: Final = "pp_00"


@dataclass(frozen=True, kw_only=True)
class AdapterRecord:
    """Which adapter a run's checkpoints have."""

    name: str
    """The name of the component."""

    config: Mapping[str, Any]
    """Its config, as YAML would give it."""

    @override
    def __str__(self) -> str:
        return f"{self.name} ({', '.join(f'{k}: {v}' for k, v in self.config.items())})"


def read_record(checkpoints: Path) -> AdapterRecord | None:
    """The adapter of the checkpoints in a folder; ``None`` for plain ones.

    :raises AdapterError: The file is damaged.
    """
    file = checkpoints / ADAPTER_FILE

    try:
        record = AdapterRecord(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as ex:
        raise AdapterError(f"{file} does not say which adapter the run has; restore it.") from ex

    if not isinstance(record.name, str) or not isinstance(record.config, Mapping):
        raise AdapterError(f"{file} does not say which adapter the run has; restore it.")

    return record


def write_record(
    checkpoints: Path, record: AdapterRecord | None, resolver: DependencyResolver
) -> None:
    """Writes down which adapter checkpoints have whose ``model.yaml`` is there.

    :raises OSError: The folder cannot be written.
    """
    file = checkpoints / ADAPTER_FILE

    if record is None:
        file.unlink(missing_ok=True)

        return

    write_json(file, asdict(record))

    # fairseq2's field for what is further down in a downloaded folder.
    amend_card(checkpoints, {"checkpoint_path": _SUB_PATH}, resolver)


def amend_card(
    checkpoints: Path, fields: Mapping[str, object], resolver: DependencyResolver
) -> None:
    """Writes ``fields`` to fairseq2's card of the checkpoints in a folder, which is there.

    :raises OSError: The folder cannot be written.
    """
    card_file = checkpoints / _CARD_FILE

    (card,) = resolver.resolve(YamlLoader).load(card_file)

    assert isinstance(card, Mapping)

    with replacing(card_file) as scratch:
        resolver.resolve(YamlDumper).dump({**card, **fields}, scratch)


@final
class AdapterCheckpointLoader(ModelCheckpointLoader):
    """Loads the checkpoint of a run with an adapter as a plain model, the adapter merged."""

    def __init__(self, resolver: DependencyResolver, gang_context: GangContext) -> None:
        self._resolver = resolver
        self._gang_context = gang_context

    @override
    def lazy_load(
        self,
        path: Path,
        shard_dims: Mapping[str, int],
        options: ModelCheckpointLoadOptions | None = None,
    ) -> Iterator[tuple[str, Tensor]]:
        """
        :raises AdapterError: The adapter is not known, or the weights are not those of one.
        """
        options = options or ModelCheckpointLoadOptions()

        record = read_record(_checkpoints_of(path))

        assert record is not None

        merger = self._resolver.maybe_resolve(CheckpointMerger, key=record.name)

        if merger is None:
            raise AdapterError(
                f"{path} has the adapter {record.name}, which is not known here; install the "
                f"package that registers it."
            )

        gangs = options.gangs or self._gang_context.get_current_gangs()

        adapted = load_adapted(path.parent, options, self._resolver)

        for key, tensor in merger.merge(adapted, record.config):
            yield key, share_of_rank(key, tensor, gangs, shard_dims)

    @override
    def supports_path(self, path: Path) -> bool:
        return path.name == _SUB_PATH and (_checkpoints_of(path) / ADAPTER_FILE).is_file()


def load_adapted(
    path: Path, options: ModelCheckpointLoadOptions, resolver: DependencyResolver
) -> Iterator[tuple[str, Tensor]]:
    """The weights of the adapted model as they were saved, whole, and in its order.

    :param path: The folder ``step_N/model``.
    """
    # What fairseq2 saved needs no conversion.
    whole = replace(options, gangs=create_fake_gangs(CPU), state_dict_converter=None)

    return resolver.resolve(ModelCheckpointLoader).lazy_load(path, {}, whole)


def _checkpoints_of(path: Path) -> Path:
    # CHECKPOINTS/step_N/model/pp_00
    return path.parent.parent.parent
