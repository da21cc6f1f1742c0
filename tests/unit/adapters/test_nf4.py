"""LoRA on a base in 4 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq2.nn.utils.module import reset_non_persistent_buffers, to_empty
from torch import Tensor
from torch.nn import Module

from fairseq2_jest.adapters.errors import AdapterError
from fairseq2_jest.adapters.lora import LoraAdapter
from fairseq2_jest.adapters.lora_config import LoraConfig
from fairseq2_jest.adapters.size import TrainedSize
from fairseq2_jest.models.nf4 import Nf4Linear
from tests.hugging_face import LANGUAGE_MODEL_SIZE
from tests.unit.adapters.families import FAMILIES, NUM_TARGETS, VOCAB, build, disturb, logits
from tests.unit.adapters.test_lora import VARIANTS, attach, merge
from tests.unit.models.test_nf4 import error

pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: make setup")


def attach_nf4(family: str, **options: Any) -> Module:
    return attach(family, build(family), base_dtype="nf4", **options)


def in_float32(model: Module) -> Module:
    """Computes without autocast: what is not in 4 bits is held in float32, as it is."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.float()

    return model.eval()


def quantised(model: Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, Nf4Linear)]


def plain_state(model: Module) -> dict[str, Tensor]:
    return {
        key.replace(".base_layer.", "."): value
        for key, value in model.state_dict().items()
        if ".lora_" not in key
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_linear_layers_are_held_in_4_bits_and_only_adapters_learn(family: str) -> None:
    model = attach_nf4(family, train_beside=[r".*embed.*"] if family == "nllb" else [])

    assert len(quantised(model)) == NUM_TARGETS[family]

    for name, parameter in model.named_parameters():
        if name.endswith(".packed"):
            assert parameter.dtype == torch.uint8
        elif parameter.requires_grad or parameter.dim() < 2:
            assert parameter.dtype == torch.float32
        else:
            assert parameter.dtype == torch.bfloat16

    trained = {name for name, p in model.named_parameters() if p.requires_grad}

    before = {name: p.clone() for name, p in model.named_parameters()}

    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.02)

    losses = []

    for _ in range(12):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = logits(family, model).float().logsumexp(dim=-1).mean()

        loss.backward()

        optimizer.step()
        optimizer.zero_grad()

        losses.append(loss.item())

    assert losses[-1] < losses[0] - 0.01

    changed = {name for name, p in model.named_parameters() if not p.equal(before[name])}

    assert changed == trained


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_it_begins_as_its_weights_in_a_plain_model_and_merged_equals_unmerged(
    family: str, variant: dict[str, Any]
) -> None:
    plain = build(family).eval()

    untouched = logits(family, plain)

    model = in_float32(attach_nf4(family, **variant))

    plain.load_state_dict(plain_state(model))

    # What a checkpoint holds is rounded to bfloat16, which is less than what 4 bits lose.
    assert error(logits(family, plain), logits(family, model)) < 0.005
    assert error(untouched, logits(family, model)) > 0.03

    disturb(model)

    assert error(logits(family, plain), logits(family, model)) > 0.3

    merged = merge(model, **variant)

    assert merged.keys() == plain.state_dict().keys()

    plain.load_state_dict(merged)

    assert error(logits(family, plain), logits(family, model)) < 0.005


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_empty_model_goes_on_from_a_checkpoint_bit_for_bit(
    variant: dict[str, Any], tmp_path: Path
) -> None:
    model = attach_nf4("nllb", **variant)

    disturb(model)

    torch.save(model.state_dict(), tmp_path / "model.pt")

    with torch.device("meta"):
        resumed = attach_nf4("nllb", **variant)

    def describe(model: Module) -> list[tuple[str, torch.Size, torch.dtype, bool]]:
        return [(n, p.shape, p.dtype, p.requires_grad) for n, p in model.named_parameters()]

    assert describe(resumed) == describe(model)

    # As fairseq2 does.
    to_empty(resumed, torch.device("cpu"))

    reset_non_persistent_buffers(resumed)

    resumed.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))

    for (name, expected), actual in zip(
        model.named_parameters(), resumed.parameters(), strict=True
    ):
        assert actual.equal(expected), name

    before, after = (logits("nllb", in_float32(each)) for each in (model, resumed))

    assert after.equal(before)


def test_it_computes_what_transformers_bitsandbytes_and_peft_do(tmp_path: Path) -> None:
    import peft
    import transformers

    # Of narrower layers bitsandbytes' kernel for AVX-512 confuses the blocks.
    base = transformers.MistralForCausalLM(
        transformers.MistralConfig(
            vocab_size=VOCAB,
            **{**LANGUAGE_MODEL_SIZE, "hidden_size": 64, "intermediate_size": 128},
            tie_word_embeddings=True,
        )
    )

    with torch.no_grad():
        for parameter in base.parameters():
            # Ours are rounded so before they are quantised.
            parameter.copy_(parameter.bfloat16())

    base.save_pretrained(tmp_path)

    model = in_float32(attach("hg", base, base_dtype="nf4"))

    disturb(model)

    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path,
        dtype=torch.float32,
        device_map={"": "cpu"},
        quantization_config=transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32
        ),
    )

    adapted = peft.inject_adapter_in_model(
        peft.LoraConfig(r=3, lora_alpha=7, target_modules=r".*_proj"), theirs
    )

    # There is no dropout; where nothing is trained it computes in bfloat16 on some processors.
    adapted.train()

    state = {key: value for key, value in model.state_dict().items() if ".lora_" in key}

    assert state and not adapted.load_state_dict(state, strict=False).unexpected_keys

    num_theirs = sum(type(m).__name__ == "Linear4bit" for m in adapted.modules())

    # Besides peft's, of the same name, each has bitsandbytes'.
    assert num_theirs == 2 * len(quantised(model))

    torch.testing.assert_close(logits("hg", model), logits("hg", adapted), atol=1e-5, rtol=1e-5)


def test_what_is_not_adapted_is_held_in_4_bits_too_and_what_is_trained_is_not() -> None:
    model = attach_nf4(
        "mistral",
        targets=[r".*\.self_attn\.q_proj"],
        train_beside=[r"decoder\.layers\.0\.ffn\.inner_proj", r"decoder\.layers\.1\.ffn"],
    )

    assert {name.removesuffix(".base_layer") for name in quantised(model)} == {
        *(
            f"decoder.layers.{layer}.self_attn.{name}_proj"
            for layer in (0, 1)
            for name in ("q", "k", "v", "output")
        ),
        "decoder.layers.0.ffn.gate_proj",
        "decoder.layers.0.ffn.output_proj",
    }

    assert model.get_parameter("final_proj.weight").dtype == torch.bfloat16


def test_a_layer_that_shares_its_weights_is_not() -> None:
    base = build("mistral")

    layers = [base.get_submodule(f"decoder.layers.{idx}.ffn.inner_proj") for idx in (0, 1)]

    layers[1].weight = layers[0].weight

    model = attach("mistral", base, base_dtype="nf4", targets=[r".*\.self_attn\..*"])

    assert len(quantised(model)) == NUM_TARGETS["mistral"] - 2


def test_the_size_is_that_of_half_bytes() -> None:
    plain, model = build("mistral"), attach_nf4("mistral")

    size, whole = TrainedSize.of(model), TrainedSize.of(plain)

    assert size.num_parameters == whole.num_parameters + size.num_trained

    layers = [plain.get_submodule(n.removesuffix(".base_layer")).weight for n in quantised(model)]

    num_weights = sum(w.numel() for w in layers if isinstance(w, Tensor))

    num_blocks = sum(-(-w.numel() // 64) for w in layers if isinstance(w, Tensor))

    # Embeddings, the projection to the vocabulary, and what normalizes.
    num_rest = whole.num_parameters - num_weights

    num_norms = sum(p.numel() for p in plain.parameters() if p.dim() < 2)

    assert size.num_bytes - size.num_bytes_trained == (
        num_weights // 2 + 4 * num_blocks + 2 * (num_rest - num_norms) + 4 * num_norms
    )


def test_a_machine_that_lacks_something_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = LoraAdapter(LoraConfig(base_dtype="nf4"))

    adapter.check_machine(torch.device("cuda", 0))

    with pytest.raises(AdapterError, match=r"`adapter.config.base_dtype: nf4` needs a CUDA GPU, b"):
        adapter.check_machine(torch.device("cpu"))

    monkeypatch.setattr("fairseq2_jest.adapters.lora.find_spec", lambda name: None)

    with pytest.raises(AdapterError, match="needs bitsandbytes, which is not installed: pip inst"):
        adapter.check_machine(torch.device("cuda", 0))

    LoraAdapter(LoraConfig(base_dtype="bfloat16")).check_machine(torch.device("cpu"))
