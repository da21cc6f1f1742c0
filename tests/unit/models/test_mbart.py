from __future__ import annotations

import pytest
import torch
from fairseq2.data.tokenizers import TokenizerFamily
from fairseq2.models import ModelFamily
from fairseq2.models.hg import HuggingFaceConverter
from fairseq2.models.transformer import TransformerModel
from fairseq2.nn import BatchLayout
from fairseq2.runtime.dependency import DependencyResolver

from fairseq2_jest.models.mbart import (
    MBART_FAMILY,
    MBartConfig,
    get_mbart_model_hub,
    get_mbart_tokenizer_hub,
)


@pytest.fixture
def model(resolver: DependencyResolver) -> TransformerModel:
    hub = get_mbart_model_hub()

    model = hub.create_new_model(hub.get_arch_config("tiny"))

    with torch.no_grad():
        model.final_proj.get_buffer("bias").normal_()

    return model


def batch() -> tuple[torch.Tensor, BatchLayout]:
    seqs = torch.randint(5, 2_000, (3, 7))

    return seqs, BatchLayout.of(seqs, [7, 4, 1])


def test_the_family_has_what_fairseq2s_families_have(resolver: DependencyResolver) -> None:
    family = resolver.resolve(ModelFamily, key=MBART_FAMILY)

    assert family.get_archs() == {"large_50", "large_cc25", "tiny"}
    assert family.supports_meta
    assert family.supports_fsdp and family.supports_layerwise_ac and family.supports_compilation
    assert (
        family.supports_model_parallelism
        == resolver.resolve(ModelFamily, key="nllb").supports_model_parallelism
    )

    assert resolver.maybe_resolve(TokenizerFamily, key=MBART_FAMILY) is not None
    assert resolver.maybe_resolve(HuggingFaceConverter, key=MBART_FAMILY) is not None

    config = get_mbart_model_hub().get_model_config("mbart-large-en-ro")

    assert config.vocab_size == 250_027
    assert get_mbart_tokenizer_hub().get_tokenizer_config("mbart-large-50").default_lang == "en_XX"


@pytest.mark.parametrize("arch", ["large_50", "large_cc25"])
def test_published_sizes(arch: str, resolver: DependencyResolver) -> None:
    from fairseq2.device import CPU
    from fairseq2.gang import create_fake_gangs

    family = resolver.resolve(ModelFamily, key=MBART_FAMILY)

    config = family.maybe_get_arch_config(arch)

    assert isinstance(config, MBartConfig)

    model = family.create_new_model(
        config, create_fake_gangs(CPU), torch.float32, meta=True, init_rank0_only=True
    )

    # As transformers counts them, but for the row of positions that fairseq2 does without.
    import transformers

    with torch.device("meta"):
        native = transformers.MBartForConditionalGeneration(
            transformers.MBartConfig(vocab_size=config.vocab_size)
        )

    expected = sum(p.numel() for p in native.parameters()) - 2 * 1024

    assert sum(p.numel() for p in model.parameters()) == expected


def test_checkpointing_and_compiling_change_nothing(
    model: TransformerModel, resolver: DependencyResolver
) -> None:
    family = resolver.resolve(ModelFamily, key=MBART_FAMILY)

    model.eval()

    seqs, layout = batch()

    expected = model(seqs, layout, seqs, layout)

    family.apply_layerwise_ac(model, every_nth_layer=1)

    with_ac = model(seqs, layout, seqs, layout)

    torch.testing.assert_close(with_ac, expected)

    with_ac.sum().backward()

    gradient = model.final_proj.get_parameter("weight").grad

    assert gradient is not None and gradient.abs().sum() > 0

    gradient = gradient.clone()

    family.compile(model, backend="eager")

    torch.testing.assert_close(model(seqs, layout, seqs, layout), expected)


def test_embeddings_are_tied_and_the_bias_is_no_parameter(model: TransformerModel) -> None:
    table = model.get_parameter("final_proj.weight")

    assert model.get_parameter("encoder_frontend.embed.weight") is table
    assert model.get_parameter("decoder_frontend.embed.weight") is table

    assert "final_proj.bias" in model.state_dict()
    assert "final_proj.bias" not in dict(model.named_parameters())

    model.requires_grad_(True)

    assert not model.final_proj.bias.requires_grad

    seqs, layout = batch()

    model.eval()

    without = torch.nn.functional.linear(
        model.decoder(
            *model.decoder_frontend(seqs, layout),
            model.encoder(*model.encoder_frontend(seqs, layout)),
            layout,
        ),
        table,
    )

    torch.testing.assert_close(
        model(seqs, layout, seqs, layout), without + model.state_dict()["final_proj.bias"]
    )


def test_a_sequence_of_the_greatest_length_is_the_last_that_is_taken(
    model: TransformerModel,
) -> None:
    model.eval()

    for length in (256, 257):
        seqs = torch.randint(5, 2_000, (1, length))

        layout = BatchLayout.of(seqs)

        if length == 256:
            assert model(seqs, layout, seqs, layout).isfinite().all()
        else:
            with pytest.raises(ValueError, match="maximum sequence length"):
                model(seqs, layout, seqs, layout)
