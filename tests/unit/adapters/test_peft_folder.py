"""Adapters that plain peft loads onto transformers' model; the logits are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq2.models.hg import get_hugging_face_converter
from fairseq2.models.nllb import NllbConfig, create_nllb_model
from fairseq2.nn import BatchLayout
from peft import PeftModel
from safetensors.torch import load_file
from torch.nn import Module

from fairseq2_jest.adapters.lora import LoraAdapter
from fairseq2_jest.adapters.lora_config import LoraConfig
from fairseq2_jest.adapters.peft_folder import save_peft_folder
from fairseq2_jest.models.mbart import MBartConfig, create_mbart_model
from tests.hugging_face import library
from tests.unit.adapters.families import SEQ2SEQ, VOCAB, disturb

CONFIGS: dict[str, Any] = {
    # In the order of Hugging Face's vocabulary, and in fairseq2's.
    "nllb": NllbConfig(**SEQ2SEQ, ffn_inner_dim=24, pad_idx=1),
    "nllb_fairseq2": NllbConfig(**SEQ2SEQ, ffn_inner_dim=24, pad_idx=0),
    "mbart": MBartConfig(**SEQ2SEQ, encoder_ffn_inner_dim=24, decoder_ffn_inner_dim=24),
}


def create(kind: str) -> Module:
    config = CONFIGS[kind]

    if isinstance(config, MBartConfig):
        return create_mbart_model(config)

    return create_nllb_model(config)


def base_in_transformers(family: str, model: Module, config: object) -> Any:
    import transformers

    converter = get_hugging_face_converter(family)

    hg = converter.to_hg_config(config)

    base = getattr(transformers, str(hg.arch))(getattr(transformers, hg.kls_name)(**hg.data))

    base.load_state_dict(converter.to_hg_state_dict(model.state_dict(), config), strict=False)

    return base.eval()


def their_ids(kind: str, ids: torch.Tensor) -> torch.Tensor:
    """Special tokens elsewhere; see ``FAIRSEQ2_ORDER``."""
    if kind != "nllb_fairseq2":
        return ids

    return torch.tensor([1, 3, 0, 2, *range(4, VOCAB)])[ids]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rslora": True, "targets": [r".*\.q_proj", r"decoder\.layers\.1\.ffn\..*"]},
        {"dora": True},
        {"train_beside": [r"encoder_frontend\.embed", r".*\.ffn_layer_norm"]},
    ],
    ids=["lora", "rslora", "dora", "beside"],
)
@pytest.mark.parametrize("kind", CONFIGS)
def test_plain_peft_loads_it(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    library()

    family, model_config = kind.partition("_")[0], CONFIGS[kind]

    with torch.random.fork_rng():
        torch.manual_seed(3)

        model = create(kind).eval()

    base = base_in_transformers(family, model, model_config)

    config = LoraConfig(rank=3, alpha=7, dropout=0.1, **options)

    LoraAdapter(config).attach(model, family=family, seed=1)

    model.eval()

    disturb(model)

    with torch.device("meta"):
        empty = create(kind)

    LoraAdapter(config).attach(empty, family=family, seed=1)

    save_peft_folder(
        tmp_path,
        model.state_dict(),
        empty,
        config,
        get_hugging_face_converter(family),
        model_config,
        base_model="somebody/something",
    )

    generator = torch.Generator().manual_seed(0)

    # Padding alone is treated in ways of its own.
    tokens = torch.tensor([token for token in range(VOCAB) if token != model_config.pad_idx])

    source, target = (
        tokens[torch.randint(0, len(tokens), (3, length), generator=generator)] for length in (7, 5)
    )

    with torch.no_grad():
        ours = model(source, BatchLayout.of(source), target, BatchLayout.of(target))

        inputs = {
            "input_ids": their_ids(kind, source),
            "decoder_input_ids": their_ids(kind, target),
            "attention_mask": torch.ones_like(source),
            "decoder_attention_mask": torch.ones_like(target),
        }

        untuned = base(**inputs).logits

        adapted = PeftModel.from_pretrained(base, tmp_path).eval()

        theirs = adapted(**inputs).logits

    permuted = theirs[..., their_ids(kind, torch.arange(VOCAB))]

    assert not torch.allclose(untuned, theirs, atol=1e-2)

    torch.testing.assert_close(permuted, ours, atol=1e-5, rtol=1e-5)

    assert adapted.peft_config["default"].base_model_name_or_path == "somebody/something"

    # Nothing of the frozen weights is in the file.
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)

    num_tied = 3 * model_config.vocab_size * 16 if "train_beside" in options else 0

    in_file = sum(
        value.numel() for value in load_file(tmp_path / "adapter_model.safetensors").values()
    )

    assert in_file == trained + num_tied
