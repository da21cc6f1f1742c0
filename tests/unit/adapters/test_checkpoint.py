"""A checkpoint of an adapted model, as fairseq2 saves it, is loaded as one of a plain model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fairseq2.device import CPU
from fairseq2.gang import FakeGang, create_fake_gangs
from fairseq2.model_checkpoint import ModelCheckpointLoader, ModelCheckpointLoadOptions
from fairseq2.utils.yaml import YamlLoader
from torch import Tensor

from fairseq2_jest.adapters.checkpoint import (
    ADAPTER_FILE,
    AdapterRecord,
    read_record,
    write_record,
)
from fairseq2_jest.adapters.errors import AdapterError
from fairseq2_jest.adapters.lora import LoraAdapter
from fairseq2_jest.adapters.lora_config import LoraConfig
from fairseq2_jest.adapters.merging import LoraMerger
from tests.hugging_face import library
from tests.unit.adapters.families import build, disturb

RECORD = AdapterRecord(name="lora", config={"rank": 3, "alpha": 7, "rslora": False, "dora": False})


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    model = build("nllb")

    LoraAdapter(LoraConfig(rank=3, alpha=7)).attach(model, family="nllb", seed=0)

    disturb(model)

    return model.state_dict()


def save(checkpoints: Path, state: dict[str, Tensor], num_shards: int = 1) -> Path:
    """Saves what so many ranks of FSDP have, and returns what the card points to."""
    folder = checkpoints / "step_1" / "model" / "pp_00"

    (folder / "tp_00").mkdir(parents=True)

    for rank in range(num_shards):
        shard = {key: value.tensor_split(num_shards)[rank] for key, value in state.items()}

        torch.save(shard, folder / "tp_00" / f"sdp_{rank:02d}.pt")

    (checkpoints / "model.yaml").write_text("name: checkpoint\nmodel_family: nllb\n")

    write_record(checkpoints, RECORD, library())

    return folder


def load(path: Path, options: ModelCheckpointLoadOptions | None = None) -> dict[str, Tensor]:
    shard_dims = {"encoder.layers.0.self_attn.q_proj.weight": 0}

    return dict(library().resolve(ModelCheckpointLoader).lazy_load(path, shard_dims, options))


@pytest.mark.parametrize("num_shards", [1, 2])
def test_it_is_merged(state: dict[str, Tensor], num_shards: int, tmp_path: Path) -> None:
    path = save(tmp_path, state, num_shards)

    expected = dict(LoraMerger().merge(state.items(), RECORD.config))

    actual = load(path)

    assert actual.keys() == expected.keys()
    assert all(value.equal(actual[key]) for key, value in expected.items())


def test_the_card_points_to_it_and_to_nothing_else(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = save(tmp_path, state)

    (card,) = library().resolve(YamlLoader).load(tmp_path / "model.yaml")

    assert card == {
        "name": "checkpoint",
        "model_family": "nllb",
        "checkpoint_path": path.name,
    }

    assert read_record(tmp_path) == RECORD

    # A run without an adapter is to be in the same place.
    write_record(tmp_path, None, library())

    assert read_record(tmp_path) is None
    assert not library().resolve(ModelCheckpointLoader).supports_path(path)


def test_tensor_parallelism_shares_out_what_is_merged(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = save(tmp_path, state)

    gangs = replace(create_fake_gangs(CPU), tp=FakeGang(CPU, rank=1, size=2))

    name = "encoder.layers.0.self_attn.q_proj.weight"

    half = load(path, ModelCheckpointLoadOptions(gangs=gangs))[name]

    assert half.equal(load(path)[name].chunk(2)[1])


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name": 1, "config": {}}', '{"name": "lora"}'])
def test_a_damaged_record_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / ADAPTER_FILE).write_text(text)

    with pytest.raises(AdapterError, match=r"adapter.json does not say which adapter the run has"):
        read_record(tmp_path)


def test_an_adapter_of_a_package_that_is_not_there_is_told(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = save(tmp_path, state)

    write_record(tmp_path, AdapterRecord(name="theirs", config={}), library())

    with pytest.raises(AdapterError, match="has the adapter theirs, which is not known here; inst"):
        load(path)


def test_weights_of_another_adapter_are_told(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = save(tmp_path, state)

    write_record(tmp_path, replace(RECORD, config={**RECORD.config, "dora": True}), library())

    with pytest.raises(AdapterError, match="are not those of the adapter that the run has written"):
        load(path)


def test_weights_that_are_not_finite_are_told(state: dict[str, Tensor], tmp_path: Path) -> None:
    name = "decoder.layers.0.ffn.inner_proj.lora_A.default.weight"

    path = save(tmp_path, {**state, name: torch.full_like(state[name], torch.nan)})

    with pytest.raises(AdapterError, match=r"of decoder\.layers\.0\.ffn\.inner_proj .* not finite"):
        load(path)
