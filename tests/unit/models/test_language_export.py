"""Language models as folders for transformers: the same logits, and the same tokens."""

from __future__ import annotations

import base64
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.models.hg import (
    HgTokenizerConfig,
    HuggingFaceModelConfig,
    get_hugging_face_converter,
    load_hg_tokenizer,
    save_hugging_face_model,
    wrap_hg_model_if_causal_lm,
)
from fairseq2.models.llama import LLaMAConfig, create_llama_model
from fairseq2.models.llama.tokenizer import LLaMATokenizerConfig, load_llama_tokenizer
from fairseq2.models.mistral import MistralConfig, create_mistral_model
from fairseq2.models.olmo import (
    OLMOConfig,
    OLMOTokenizerConfig,
    YaRNScaleConfig,
    create_olmo_model,
    load_olmo_tokenizer,
)
from fairseq2.models.qwen import (
    QwenConfig,
    QwenTokenizerConfig,
    create_qwen_model,
    load_qwen_tokenizer,
)
from fairseq2.nn import BatchLayout
from torch.nn import Module

from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.corpus.prompt import Prompt, PromptConfig
from fairseq2_jest.embedding.prompting import prompt_formats
from fairseq2_jest.models.errors import ModelError
from fairseq2_jest.models.hugging_face.causal import find_converter
from fairseq2_jest.models.hugging_face.export import complete_export, hugging_face_tokenizer
from tests.hugging_face import library, sentencepiece, texts
from tests.unit.language_models import language_tokenizer, sentencepiece_file

SIZE: dict[str, Any] = {
    "model_dim": 16,
    "max_seq_len": 64,
    "vocab_size": 200,
    "num_layers": 2,
    "num_attn_heads": 4,
    "num_key_value_heads": 2,
}

QWEN3: dict[str, Any] = {
    "qkv_proj_bias": False,
    "q_norm": True,
    "k_norm": True,
    "ffn_inner_dim": 24,
}

OLMO: dict[str, Any] = {"ffn_inner_dim": 24, "pad_idx": 3, "eos_token_id": 2}

MODELS: dict[str, tuple[str, Any]] = {
    "llama": ("llama", LLaMAConfig(**SIZE, ffn_inner_dim_multiple_of=8)),
    # LLaMA 3's, but for a width that the rule of LLaMA does not give.
    "llama3": (
        "llama",
        LLaMAConfig(
            **SIZE,
            ffn_inner_dim=20,
            ffn_inner_dim_scale=1.0,
            ffn_inner_dim_multiple_of=1,
            tied_embeddings=True,
            shard_embed_dim=False,
            rope_theta=500_000.0,
            use_scaled_rope=True,
        ),
    ),
    "mistral": ("mistral", MistralConfig(**SIZE, ffn_inner_dim=24, attn_window_len=5)),
    "qwen2.5": ("qwen", QwenConfig(**SIZE, ffn_inner_dim=24)),
    "qwen3": ("qwen", QwenConfig(**SIZE, **QWEN3, head_dim=8, tied_embeddings=True)),
    "qwen3 without a dimension of heads": ("qwen", QwenConfig(**SIZE, **QWEN3)),
    "olmo2": ("olmo", OLMOConfig(**SIZE, **OLMO, tied_embeddings=True)),
    # Its last layer has no window, whatever its number.
    "olmo3": ("olmo", OLMOConfig(**SIZE, **OLMO, sliding_window=5)),
    "olmo3 with YaRN": (
        "olmo",
        OLMOConfig(
            **SIZE,
            **OLMO,
            sliding_window=5,
            layer_types=["full_attention"] * 2,
            yarn_scale_config=YaRNScaleConfig(scale_factor=8.0, original_max_seq_len=8),
        ),
    ),
}

FACTORIES: dict[str, Any] = {
    "llama": create_llama_model,
    "mistral": create_mistral_model,
    "olmo": create_olmo_model,
    "qwen": create_qwen_model,
}

PROMPT = Prompt(PromptConfig())

DIRECTION = Direction("eng_Latn", "deu_Latn")

TEXTS = (
    *texts(40),
    *(PROMPT.render(text, DIRECTION) for text in texts(4)),
    "  two  spaces ,\ta tab\nand \ufb01ne \u00bd \u65e5\u672c \u2603 ",
)


def create(kind: str) -> Module:
    family, config = MODELS[kind]

    with torch.random.fork_rng():
        torch.manual_seed(5)

        # fairseq2 may change it.
        model: Module = FACTORIES[family](deepcopy(config)).eval()

        for parameter in model.parameters():
            parameter.data += 0.2 * torch.randn(parameter.shape)

    return model


@pytest.mark.parametrize("kind", MODELS)
@torch.no_grad()
def test_logits_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    import transformers

    library()

    family, config = MODELS[kind]

    model, converter = create(kind), find_converter(family)

    save_hugging_face_model(
        tmp_path,
        converter.to_hg_state_dict(model.state_dict(), config),
        converter.to_hg_config(config),
    )

    tokenizer = language_tokenizer()

    inner = hugging_face_tokenizer(tokenizer, sentencepiece_file())

    complete_export(tmp_path, tokenizer, inner, ("deu_Latn",))

    auto: Any = transformers.AutoModelForCausalLM

    theirs, report = auto.from_pretrained(tmp_path, output_loading_info=True)

    assert not any(report.values())

    seqs = torch.randint(0, 200, (3, 40), generator=torch.Generator().manual_seed(0))

    expected = model(seqs, BatchLayout.of(seqs))

    assert float(expected.std()) > 0.1

    torch.testing.assert_close(theirs.eval()(input_ids=seqs).logits, expected, rtol=0.0, atol=1e-5)

    generation = theirs.generation_config

    assert (generation.bos_token_id, generation.eos_token_id) == (1, 2)
    assert generation.decoder_start_token_id is None
    assert theirs.config.pad_token_id is None


@pytest.mark.parametrize("kind", ["qwen3", "olmo3"])
def test_an_export_of_a_run_has_the_config_that_fairseq2_leaves_wrong(
    kind: str, tmp_path: Path
) -> None:
    import transformers

    library()

    family, config = MODELS[kind]

    state, theirs = create(kind).state_dict(), get_hugging_face_converter(family)

    # As fairseq2 exports at a checkpoint.
    save_hugging_face_model(
        tmp_path, theirs.to_hg_state_dict(dict(state), config), theirs.to_hg_config(config)
    )

    tokenizer, converter = language_tokenizer(), find_converter(family)

    inner = hugging_face_tokenizer(tokenizer, sentencepiece_file())

    complete_export(tmp_path, tokenizer, inner, (), converter.to_hg_config(config))

    found = transformers.AutoConfig.from_pretrained(tmp_path).to_dict()

    for name, value in converter.to_hg_config(config).data.items():
        if not name.endswith("token_id"):
            assert found[name] == value, name


@pytest.mark.parametrize(
    ("family", "config", "message"),
    [
        ("qwen", QwenConfig(**SIZE, head_dim=8), "no Qwen2 whose heads are of another dimension"),
        (
            "olmo",
            OLMOConfig(**SIZE, **OLMO, sliding_window=5, yarn_scale_config=YaRNScaleConfig()),
            "scaled by YaRN is not exported",
        ),
    ],
)
def test_a_model_that_transformers_would_compute_otherwise_is_refused(
    family: str, config: Any, message: str
) -> None:
    library()

    with pytest.raises(ModelError, match=message):
        find_converter(family).to_hg_config(config)


@pytest.mark.parametrize(
    ("kind", "values", "max_length"),
    [
        # Its positions have no end.
        ("Bloom", {"hidden_size": 16, "n_layer": 1, "n_head": 2}, 8192),
        # There is a config in its config.
        ("Mpt", {"d_model": 16, "n_layers": 1, "n_heads": 2, "max_seq_len": 32}, 32),
    ],
)
@torch.no_grad()
def test_models_of_transformers_come_back_whatever_their_configs_are(
    kind: str, values: dict[str, Any], max_length: int, tmp_path: Path
) -> None:
    import transformers

    library()

    auto: Any = transformers.AutoModelForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(5)

        theirs = auto.from_config(getattr(transformers, f"{kind}Config")(vocab_size=200, **values))

    theirs.eval().save_pretrained(tmp_path / "before")

    config = HuggingFaceModelConfig(hf_name=str(tmp_path / "before"))

    converter, folder = find_converter("hg"), tmp_path / "after"

    hg_config = converter.to_hg_config(config)

    weights = wrap_hg_model_if_causal_lm(theirs, config).state_dict()

    save_hugging_face_model(folder, converter.to_hg_state_dict(weights, config), hg_config)

    tokenizer = language_tokenizer()

    inner = hugging_face_tokenizer(tokenizer, sentencepiece_file())

    complete_export(folder, tokenizer, inner, (), hg_config)

    back, report = auto.from_pretrained(folder, output_loading_info=True)

    assert not any(report.values())
    assert back.generation_config.max_length == max_length

    seqs = torch.arange(20)[None]

    torch.testing.assert_close(
        back.eval()(input_ids=seqs).logits, theirs(input_ids=seqs).logits, rtol=0.0, atol=1e-6
    )


def llama2_file(folder: Path) -> Path:
    """As LLaMA 2 and Mistral have it: nothing is normalized, and bytes are tokens."""
    file = folder / "tokenizer.model"

    file.write_bytes(
        sentencepiece(
            texts(400),
            600,
            model_type="bpe",
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            byte_fallback=True,
        )
    )

    return file


def tiktoken_file(folder: Path) -> Path:
    """All bytes, and each beginning of a few words."""
    tokens = [bytes([i]) for i in range(256)]

    for word in ("the", " the", "cat", " Katze", " sees", "Translate", "lowing", "\n\n"):
        tokens += [word.encode()[:end] for end in range(2, len(word.encode()) + 1)]

    file = folder / "tokenizer.model"
    file.write_text(
        "\n".join(
            f"{base64.b64encode(token).decode()} {rank}"
            for rank, token in enumerate(dict.fromkeys(tokens))
        )
    )

    return file


def byte_level_folder(folder: Path) -> Path:
    """As Qwen and OLMo have it: pieces of bytes, and what ends a text beside them."""
    from tokenizers.implementations import ByteLevelBPETokenizer
    from transformers import GPT2TokenizerFast

    bpe = ByteLevelBPETokenizer()

    bpe.train_from_iterator(texts(200), 400, special_tokens=["<|endoftext|>", "<|im_end|>"])

    bpe.save(str(folder / "bpe.json"))

    tokenizer = GPT2TokenizerFast(tokenizer_file=str(folder / "bpe.json"), pad_token="<|pad|>")

    tokenizer.save_pretrained(folder / "hg")

    return folder / "hg"


def load(kind: str, folder: Path) -> tuple[Tokenizer, Path]:
    library()

    if kind == "qwen":
        file = byte_level_folder(folder)

        return load_qwen_tokenizer(file, QwenTokenizerConfig(use_im_end=True)), file

    if kind == "olmo":
        file = byte_level_folder(folder)

        return load_olmo_tokenizer(file, OLMOTokenizerConfig()), file

    if kind == "unigram":
        return language_tokenizer(), sentencepiece_file()

    if kind == "llama2":
        file = llama2_file(folder)

        return load_llama_tokenizer(file, LLaMATokenizerConfig()), file

    file = tiktoken_file(folder)

    tiktoken = load_llama_tokenizer(file, LLaMATokenizerConfig(impl="tiktoken", use_eot=True))

    if kind == "tiktoken":
        return tiktoken, file

    from fairseq2_jest.models.hugging_face.language_tokenizer import language_tokenizer as convert

    convert(tiktoken, file).save_pretrained(folder / "hg")

    if kind == "llama3":
        config = LLaMATokenizerConfig(impl="hg", use_eot=True)

        return load_llama_tokenizer(folder / "hg", config), folder / "hg"

    hg = load_hg_tokenizer(folder / "hg", HgTokenizerConfig(eos_token="<|end_of_text|>"))

    return hg, folder / "hg"


@pytest.mark.parametrize("kind", ["unigram", "llama2", "tiktoken", "llama3", "hg", "qwen", "olmo"])
def test_prompts_have_the_same_tokens(kind: str, tmp_path: Path) -> None:
    import transformers

    tokenizer, file = load(kind, tmp_path)

    transformers.LlamaConfig().save_pretrained(tmp_path / "out")

    complete_export(tmp_path / "out", tokenizer, hugging_face_tokenizer(tokenizer, file), ())

    auto: Any = transformers.AutoTokenizer

    theirs = auto.from_pretrained(tmp_path / "out")

    encode, (prompt, _) = tokenizer.create_raw_encoder(), prompt_formats(tokenizer)

    for text in TEXTS:
        assert theirs(text)["input_ids"] == prompt(encode(text)).tolist(), text

    info = tokenizer.vocab_info

    for kind in ("bos", "eos", "pad", "unk"):
        expected = getattr(info, f"{kind}_idx")

        if expected is not None:
            assert getattr(theirs, f"{kind}_token_id") == expected

    assert theirs.bos_token_id is not None

    # A translation comes back as it is in a corpus.
    for text in texts(10):
        assert theirs.decode(encode(text)) == text


def test_what_has_no_counterpart_is_told(tmp_path: Path) -> None:
    library()

    with pytest.raises(ModelError, match="Models of the family s2t_conformer have no counterpart"):
        find_converter("s2t_conformer")

    with pytest.raises(ModelError, match=r"only those of mBART, NLLB and language models are exp"):
        # Stands for a tokenizer of a kind that nobody knows.
        hugging_face_tokenizer(object(), tmp_path)  # type: ignore[arg-type]
