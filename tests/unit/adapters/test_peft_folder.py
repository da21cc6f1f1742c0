"""Adapters that plain peft loads onto transformers' model; the logits are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq2.models.hg import HgCausalLMAdapter, HuggingFaceModelConfig
from fairseq2.models.llama import LLaMAConfig, create_llama_model
from fairseq2.models.mistral import MistralConfig, create_mistral_model
from fairseq2.models.nllb import NllbConfig, create_nllb_model
from fairseq2.nn import BatchLayout
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import Module

from fairseq2_jest.adapters.lora import LoraAdapter
from fairseq2_jest.adapters.lora_config import LoraConfig
from fairseq2_jest.adapters.peft_folder import save_peft_folder
from fairseq2_jest.models.hugging_face.causal import find_converter
from fairseq2_jest.models.mbart import MBartConfig, create_mbart_model
from tests.hugging_face import LANGUAGE_MODEL_SIZE, library
from tests.unit.adapters.families import SEQ2SEQ, SIZE, VOCAB, disturb

LAYERS: dict[str, Any] = {"num_layers": 2, "num_attn_heads": 4, "num_key_value_heads": 2}

CONFIGS: dict[str, Any] = {
    # In the order of Hugging Face's vocabulary, and in fairseq2's.
    "nllb": NllbConfig(**SEQ2SEQ, ffn_inner_dim=24, pad_idx=1),
    "nllb_fairseq2": NllbConfig(**SEQ2SEQ, ffn_inner_dim=24, pad_idx=0),
    "mbart": MBartConfig(**SEQ2SEQ, encoder_ffn_inner_dim=24, decoder_ffn_inner_dim=24),
    # Of a width that is not the one of LLaMA, and with one table.
    "llama": LLaMAConfig(
        **SIZE, **LAYERS, ffn_inner_dim=24, tied_embeddings=True, shard_embed_dim=False
    ),
    "mistral": MistralConfig(**SIZE, **LAYERS, ffn_inner_dim=24, attn_window_len=4),
}

ENCODER_DECODERS = ("nllb", "mbart")


def create(config: object) -> Module:
    if isinstance(config, MBartConfig):
        return create_mbart_model(config)

    if isinstance(config, LLaMAConfig):
        return create_llama_model(config)

    if isinstance(config, MistralConfig):
        return create_mistral_model(config)

    if isinstance(config, HuggingFaceModelConfig):
        import transformers

        auto: Any = transformers.AutoModelForCausalLM

        return HgCausalLMAdapter(
            auto.from_config(transformers.AutoConfig.from_pretrained(config.hf_name))
        )

    assert isinstance(config, NllbConfig)

    return create_nllb_model(config)


def hugging_face_config(folder: Path) -> HuggingFaceModelConfig:
    """Of a model of transformers whose config is in ``folder``."""
    import transformers

    kls: Any = transformers.Qwen2Config

    config = kls(
        architectures=["Qwen2ForCausalLM"],
        vocab_size=VOCAB,
        **LANGUAGE_MODEL_SIZE,
        tie_word_embeddings=True,
    )

    config.save_pretrained(folder)

    return HuggingFaceModelConfig(hf_name=str(folder), model_type="causal_lm")


def base_in_transformers(family: str, model: Module, config: object) -> Any:
    import transformers

    converter = find_converter(family)

    hg = converter.to_hg_config(config)

    base = getattr(transformers, str(hg.arch))(getattr(transformers, hg.kls_name)(**hg.data))

    base.load_state_dict(converter.to_hg_state_dict(model.state_dict(), config), strict=False)

    return base.eval()


def their_ids(kind: str, ids: torch.Tensor) -> torch.Tensor:
    """Special tokens elsewhere; see ``FAIRSEQ2_ORDER``."""
    if kind != "nllb_fairseq2":
        return ids

    return torch.tensor([1, 3, 0, 2, *range(4, VOCAB)])[ids]


def as_loaded(model: Module) -> dict[str, Tensor]:
    """fairseq2's loaders give a tensor that has several names under the first alone."""
    weights: dict[int, tuple[str, Tensor]] = {}

    for name, parameter in model.state_dict(keep_vars=True).items():
        weights.setdefault(id(parameter), (name, parameter.detach()))

    return dict(weights.values())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rslora": True, "targets": [r".*\.q_proj", r"decoder\.layers\.1\.ffn\..*"]},
        {"dora": True},
        {"train_beside": [r"(.*frontend|model)\.embed\w*", r".*norm"]},
    ],
    ids=["lora", "rslora", "dora", "beside"],
)
@pytest.mark.parametrize("kind", [*CONFIGS, "hg"])
def test_plain_peft_loads_it(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    library()

    family = kind.partition("_")[0]

    model_config = hugging_face_config(tmp_path / "hub") if kind == "hg" else CONFIGS[kind]

    if family not in ENCODER_DECODERS and "targets" in options:
        options = {**options, "targets": [r".*\.q_proj", r".*layers\.1\..*(output|down)_proj"]}

    with torch.random.fork_rng():
        torch.manual_seed(3)

        model = create(model_config).eval()

    base = base_in_transformers(family, model, model_config)

    config = LoraConfig(rank=3, alpha=7, dropout=0.1, **options)

    LoraAdapter(config).attach(model, family=family, seed=1)

    model.eval()

    disturb(model)

    with torch.device("meta"):
        empty = create(model_config)

    LoraAdapter(config).attach(empty, family=family, seed=1)

    save_peft_folder(
        tmp_path,
        as_loaded(model),
        empty,
        config,
        find_converter(family),
        model_config,
        base_model="somebody/something",
    )

    generator = torch.Generator().manual_seed(0)

    # Padding alone is treated in ways of its own.
    pad_idx = getattr(model_config, "pad_idx", None)

    tokens = torch.tensor([token for token in range(VOCAB) if token != pad_idx])

    source, target = (
        tokens[torch.randint(0, len(tokens), (3, length), generator=generator)] for length in (7, 5)
    )

    inputs = {"input_ids": their_ids(kind, source), "attention_mask": torch.ones_like(source)}

    if family in ENCODER_DECODERS:
        inputs |= {
            "decoder_input_ids": their_ids(kind, target),
            "decoder_attention_mask": torch.ones_like(target),
        }

    with torch.no_grad():
        if family in ENCODER_DECODERS:
            ours = model(source, BatchLayout.of(source), target, BatchLayout.of(target))
        else:
            ours = model(source, BatchLayout.of(source))

        untuned = base(**inputs).logits

        adapted = PeftModel.from_pretrained(base, tmp_path).eval()

        theirs = adapted(**inputs).logits

    permuted = theirs[..., their_ids(kind, torch.arange(VOCAB))]

    assert not torch.allclose(untuned, theirs, atol=1e-2)

    torch.testing.assert_close(permuted, ours, atol=1e-5, rtol=1e-5)

    assert adapted.peft_config["default"].base_model_name_or_path == "somebody/something"

    # Nothing of the frozen weights is in the file.
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)

    num_tables = {"nllb": 4, "mbart": 4, "mistral": 1}.get(family, 2)

    num_tied = (num_tables - 1) * VOCAB * 16 if "train_beside" in options else 0

    in_file = sum(
        value.numel() for value in load_file(tmp_path / "adapter_model.safetensors").values()
    )

    assert in_file == trained + num_tied
