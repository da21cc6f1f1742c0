"""Loading the weights of a Hugging Face folder, or of one of fairseq 1, into fairseq2's models.

fairseq2 asks each of its checkpoint loaders in turn whether a path is its own. A Hugging Face
checkpoint goes by the path of its ``config.json`` here, which no other loader takes for its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, final

from fairseq2.gang import GangContext
from fairseq2.model_checkpoint import ModelCheckpointLoader, ModelCheckpointLoadOptions
from torch import Tensor
from typing_extensions import override

from fairseq2_jest.models.errors import ModelError
from fairseq2_jest.models.hugging_face.configs import CONFIG_FILE
from fairseq2_jest.models.hugging_face.json_files import read_json
from fairseq2_jest.models.hugging_face.nllb import convert_m2m100_state_dict
from fairseq2_jest.models.mbart.fairseq import holds_fairseq_dictionary, read_fairseq_checkpoint
from fairseq2_jest.models.pickled import load_pickled
from fairseq2_jest.models.resharding import share_of_rank

SAFETENSORS: Final = ("model.safetensors.index.json", "model.safetensors")
PICKLED: Final = ("pytorch_model.bin.index.json", "pytorch_model.bin")


@final
class TranslationCheckpointLoader(ModelCheckpointLoader):
    """Loads mBART and NLLB from safetensors, else from a pickle without running what it holds."""

    def __init__(self, gang_context: GangContext) -> None:
        self._gang_context = gang_context

    @override
    def lazy_load(
        self,
        path: Path,
        shard_dims: Mapping[str, int],
        options: ModelCheckpointLoadOptions | None = None,
    ) -> Iterator[tuple[str, Tensor]]:
        """
        :raises ModelError: A file is missing, damaged, or holds more than weights.
        """
        options = options or ModelCheckpointLoadOptions()

        gangs = options.gangs or self._gang_context.get_current_gangs()

        state_dict = _read(path)

        if options.state_dict_converter is not None:
            state_dict = options.state_dict_converter(state_dict)

        seen: set[Tensor] = set()

        for key, tensor in state_dict.items():
            if not isinstance(tensor, Tensor):
                raise ModelError(f"{key} in {path.parent} is not a tensor: name another model.")

            if tensor in seen:  # Shared tensors once, as fairseq2's own loaders do.
                continue

            seen.add(tensor)

            yield key, share_of_rank(key, tensor, gangs, shard_dims)

    @override
    def supports_path(self, path: Path) -> bool:
        return path.name == CONFIG_FILE or (path.is_dir() and holds_fairseq_dictionary(path))


def _read(path: Path) -> dict[str, object]:
    if path.name != CONFIG_FILE:
        return dict(read_fairseq_checkpoint(path)[0])

    state_dict = read_weights(path.parent)

    # The converter of fairseq2's family `nllb` knows only fairseq 1.
    if read_json(path).get("model_type") == "m2m_100":
        return convert_m2m100_state_dict(state_dict)

    return state_dict


def read_weights(folder: Path) -> dict[str, object]:
    """Reads all weights in ``folder`` under the names that they have there.

    :raises ModelError: There are none, a shard is missing, or a file is damaged.
    """
    for names, load in ((SAFETENSORS, _load_safetensors), (PICKLED, load_pickled)):
        index, single = (folder / name for name in names)

        if index.is_file():
            return _read_shards(index, load)

        if single.is_file():
            return dict(load(single))

    raise ModelError(
        f"{folder} holds no weights ({SAFETENSORS[1]} or {PICKLED[1]}, or the index of their "
        f"shards): put them there."
    )


def _read_shards(index: Path, load: Any) -> dict[str, object]:
    weight_map = read_json(index).get("weight_map")

    if not isinstance(weight_map, dict):
        raise ModelError(f"{index} has no weight_map: get the file again.")

    weights: dict[str, object] = {}

    for name in sorted({str(name) for name in weight_map.values()}):
        if Path(name).name != name:
            raise ModelError(f"{index} names {name}, which is not a file beside it: get it again.")

        if not (index.parent / name).is_file():
            raise ModelError(f"{index} names {name}, which is not there: get the file.")

        weights |= load(index.parent / name)

    if missing := set(weight_map) - set(weights):
        raise ModelError(f"The shards of {index} lack {min(missing)}: get the files again.")

    return weights


def _load_safetensors(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file, device="cpu")
    except (SafetensorError, ValueError) as ex:
        raise ModelError(f"{file} is not a valid safetensors file: get it again.") from ex
    except OSError as ex:
        raise ModelError(f"{file} cannot be read ({ex.strerror or ex}): mend the path.") from ex
