from __future__ import annotations

from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer
from torch.nn import Module

from fairseq2_jest.adapters.errors import AdapterError
from fairseq2_jest.adapters.lora import LoraAdapter
from fairseq2_jest.adapters.lora_config import LoraConfig
from fairseq2_jest.adapters.merging import LORA_KEY, LoraMerger
from fairseq2_jest.adapters.size import TrainedSize
from tests.unit.adapters.families import FAMILIES, NUM_TARGETS, build, disturb, logits

VARIANTS: list[dict[str, Any]] = [{}, {"rslora": True}, {"dora": True}]


def attach(family: str, model: Module, seed: int = 1, **options: Any) -> Module:
    config = LoraConfig(**{"rank": 3, "alpha": 7, "dropout": 0.0, **options})

    LoraAdapter(config).attach(model, family=family, seed=seed)

    return model


def adapted_layers(model: Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, LoraLayer)]


def merge(model: Module, **config: Any) -> dict[str, torch.Tensor]:
    config = {"alpha": 7, "rslora": False, "dora": False, **config}

    return dict(LoraMerger().merge(model.state_dict().items(), config))


@pytest.mark.parametrize("family", FAMILIES)
def test_only_adapters_are_trained(family: str) -> None:
    model = attach(family, build(family))

    assert len(adapted_layers(model)) == NUM_TARGETS[family]

    before = {name: value.clone() for name, value in model.state_dict().items()}

    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)

    for _ in range(2):
        logits(family, model).square().mean().backward()

        optimizer.step()
        optimizer.zero_grad()

    changed = {name for name, value in model.state_dict().items() if not value.equal(before[name])}

    assert changed == {name for name in before if ".lora_" in name}

    with_state = {id(parameter) for parameter in optimizer.state}

    assert with_state == {id(p) for name, p in model.named_parameters() if ".lora_" in name}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_it_begins_as_the_model_and_merged_equals_unmerged(
    family: str, variant: dict[str, Any]
) -> None:
    plain = build(family).eval()

    model = attach(family, build(family), **variant).eval()

    torch.testing.assert_close(logits(family, model), logits(family, plain), atol=1e-6, rtol=1e-5)

    disturb(model)

    assert not torch.allclose(logits(family, model), logits(family, plain), atol=1e-2)

    merged = merge(model, **variant)

    assert merged.keys() == plain.state_dict().keys()

    plain.load_state_dict(merged)

    torch.testing.assert_close(logits(family, model), logits(family, plain), atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_merging_is_what_the_papers_print(variant: dict[str, Any]) -> None:
    model = attach("nllb", build("nllb"), **variant)

    disturb(model)

    name = "decoder.layers.1.ffn.inner_proj"

    state = model.state_dict()

    b, a = (state[f"{name}.lora_{matrix}.default.weight"].double() for matrix in "BA")

    scale = 7 / 3**0.5 if variant.get("rslora") else 7 / 3

    expected = state[f"{name}.base_layer.weight"].double() + scale * b @ a

    if variant.get("dora"):
        magnitude = state[f"{name}.lora_magnitude_vector.default.weight"].double()

        expected *= (magnitude / expected.norm(dim=1)).unsqueeze(1)

    merged = merge(model, **variant)

    torch.testing.assert_close(merged[f"{name}.weight"].double(), expected, atol=1e-6, rtol=0.0)

    assert merged[f"{name}.bias"].equal(state[f"{name}.base_layer.bias"])


def test_weights_in_bfloat16_are_merged_in_float32() -> None:
    model = attach("nllb", build("nllb"), base_dtype="bfloat16")

    name = "encoder.layers.0.self_attn.q_proj"

    with torch.no_grad():
        layer = model.get_submodule(name)
        assert isinstance(layer, LoraLayer)

        # Less than what bfloat16 can tell apart.
        layer.lora_A.get_parameter("default.weight").fill_(1e-5)
        layer.lora_B.get_parameter("default.weight").fill_(1.0)

    merged = merge(model)[f"{name}.weight"]

    difference = merged - model.state_dict()[f"{name}.base_layer.weight"].float()

    assert merged.dtype == torch.float32
    torch.testing.assert_close(difference, torch.full_like(merged, 7e-5), atol=1e-7, rtol=1e-2)


@pytest.mark.parametrize("family", FAMILIES)
def test_frozen_weights_are_held_as_told_and_trained_ones_in_float32(family: str) -> None:
    model = attach(
        family, build(family), base_dtype="bfloat16", dora=True, train_beside=[".*embed.*"]
    )

    for parameter in model.parameters():
        narrow = parameter.dim() > 1 and not parameter.requires_grad

        assert parameter.dtype == (torch.bfloat16 if narrow else torch.float32)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = logits(family, model).float().square().mean()

    loss.backward()

    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("family", "tied"),
    [
        ("nllb", ("encoder_frontend.embed", "decoder_frontend.embed", "final_proj")),
        ("mbart", ("encoder_frontend.embed", "decoder_frontend.embed", "final_proj")),
        ("hg", ("model.embed_tokens", "lm_head")),
    ],
)
def test_embeddings_that_are_trained_beside_stay_tied(family: str, tied: tuple[str, ...]) -> None:
    model = attach(family, build(family), train_beside=[r".*\.embed(_tokens)?"])

    weights = [model.get_submodule(name).weight for name in tied]

    assert len({id(weight) for weight in weights}) == 1
    assert isinstance(weights[0], torch.nn.Parameter) and weights[0].requires_grad

    trained = {name for name, p in model.named_parameters() if p.requires_grad}

    assert {name for name in trained if ".lora_" not in name} == {f"{tied[0]}.weight"}

    disturb(model)

    assert merge(model)[f"{tied[0]}.weight"].equal(weights[0])


def test_the_seed_decides_and_nobody_elses_generator_moves() -> None:
    state = torch.get_rng_state()

    first, same, other = (
        attach("nllb", build("nllb"), seed=seed).state_dict() for seed in (1, 1, 2)
    )

    assert torch.get_rng_state().equal(state)

    for name, value in first.items():
        assert value.equal(same[name])
        assert value.equal(other[name]) == (".lora_A." not in name), name


def test_gpus_that_hold_nothing_of_the_model_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def touch(*args: object) -> None:
        raise AssertionError("A GPU is asked for the state of its generator.")

    model = build("nllb")

    # A host with several, of which each rank sees all.
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state", touch)

    attach("nllb", model)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_model_on_the_meta_device_gets_the_same_parameters(variant: dict[str, Any]) -> None:
    with torch.device("meta"):
        empty = attach("nllb", build("nllb"), base_dtype="bfloat16", **variant)

    real = attach("nllb", build("nllb"), base_dtype="bfloat16", **variant)

    assert {p.device.type for p in empty.parameters()} == {"meta"}

    def describe(model: Module) -> list[tuple[str, torch.Size, torch.dtype, bool]]:
        return [(n, p.shape, p.dtype, p.requires_grad) for n, p in model.named_parameters()]

    assert describe(empty) == describe(real)


def test_patterns_choose_the_layers() -> None:
    model = attach("nllb", build("nllb"), targets=[r"encoder\..*\.q_proj", r".*\.1\..*\.v_proj"])

    assert adapted_layers(model) == [
        "encoder.layers.0.self_attn.q_proj",
        "decoder.layers.1.self_attn.v_proj",
        "decoder.layers.1.encoder_decoder_attn.v_proj",
    ]

    assert {m["layer"] for name in model.state_dict() if (m := LORA_KEY.fullmatch(name))} == set(
        adapted_layers(model)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ["q_proj"]}, r"targets has q_proj, which matches no linear layer; mend it"),
        ({"targets": [r".*embed.*"]}, "matches no linear layer"),
        ({"train_beside": ["layer_norm"]}, "train_beside has layer_norm, which matches no module"),
        (
            {"train_beside": [r"encoder\.layers\.0"]},
            r"train_beside matches encoder.layers.0, and adapter.config.targets encoder.layers.0.s",
        ),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(AdapterError, match=message):
        attach("nllb", build("nllb"), **options)


def test_a_layer_that_shares_its_weights_is_not_adapted() -> None:
    with pytest.raises(AdapterError, match="targets matches lm_head, which shares its weights"):
        attach("hg", build("hg"), targets=["lm_head"])


def test_a_family_without_a_default_must_be_told_its_targets() -> None:
    with pytest.raises(AdapterError, match="no default for the model family wav2vec2; name the la"):
        attach("wav2vec2", build("nllb"))

    model = attach("wav2vec2", build("nllb"), targets=[r"encoder\.layers\.0\.ffn\.inner_proj"])

    assert adapted_layers(model) == ["encoder.layers.0.ffn.inner_proj"]


def test_the_size_counts_tied_weights_once() -> None:
    model = build("nllb")

    num_all = sum(p.numel() for p in model.parameters())

    size = TrainedSize.of(attach("nllb", model, targets=[r"encoder\.layers\.0\.ffn\.inner_proj"]))

    # A is 3 x 16, B is 24 x 3.
    assert size.num_trained == 3 * 16 + 24 * 3
    assert size.num_parameters == num_all + size.num_trained
    assert size.num_bytes_trained == 4 * size.num_trained


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "`rank` must be at least 1, but is 0."),
        ({"alpha": 0}, "`alpha` must be at least 1, but is 0."),
        ({"dropout": 1.0}, r"`dropout` must be in [0, 1), but is 1.0."),
        ({"targets": ()}, "`targets` must name a layer, or be null for the default."),
        ({"train_beside": ("(",)}, "`train_beside` has (, which is no regular expression"),
    ],
)
def test_the_config_is_checked(options: dict[str, Any], message: str) -> None:
    assert not LoraConfig().validate().has_error()

    assert message in str(LoraConfig(**options).validate())
