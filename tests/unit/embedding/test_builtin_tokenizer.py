"""The built-in tokenizer, loaded through fairseq2 as a recipe loads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fairseq2.runtime.dependency
import pytest
from fairseq2 import init_fairseq2
from fairseq2.assets import AssetDownloadError, AssetStore
from fairseq2.composition import register_package_assets
from fairseq2.data.tokenizers import Tokenizer, load_tokenizer
from fairseq2.data.tokenizers.hub import GlobalTokenizerLoader
from fairseq2.device import CPU
from fairseq2.error import NotSupportedError
from fairseq2.gang import create_fake_gangs
from fairseq2.runtime.dependency import DependencyContainer, DependencyResolver
from fairseq2.utils.uri import Uri

from fairseq2_jest.corpus.builtin import BuiltinConfig, generate
from fairseq2_jest.embedding.builtin_tokenizer import (
    BUILTIN_TOKENIZER,
    BuiltinAssetManager,
    TokenizerTraining,
    ensure_builtin_tokenizer,
    register_builtin_tokenizer,
)
from fairseq2_jest.models.tiny import BUILTIN_VOCAB_SIZE

SMALL = TokenizerTraining(pretrain_size=300, trusted_size=300, vocab_size=200)


def register(container: DependencyContainer) -> None:
    register_builtin_tokenizer(container)
    register_package_assets(container, "fairseq2_jest._data.assets")


@pytest.fixture(scope="module")
def resolver() -> Iterator[DependencyResolver]:
    """fairseq2 with the tokenizer registered by hand, whatever the extension does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fairseq2.runtime.dependency, "_resolver", None)
        patch.setattr("fairseq2.composition.lib._register_extensions", lambda container: None)
        yield init_fairseq2(extras=register, no_progress=True)


@pytest.fixture(scope="module")
def tokenizer(
    resolver: DependencyResolver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tokenizer]:
    """The tokenizer of the card, trained into an empty cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAIRSEQ2_JEST_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield load_tokenizer(BUILTIN_TOKENIZER)


def test_text_of_both_languages_survives(tokenizer: Tokenizer) -> None:
    decode = tokenizer.create_decoder()
    encode = {
        lang: tokenizer.create_encoder(task="translation", lang=lang, mode=mode)
        for lang, mode in (("eng_Latn", "source"), ("deu_Latn", "target"))
    }
    for pair in generate(BuiltinConfig(part="test", size=200)):
        assert decode(encode["eng_Latn"](pair.source)) == pair.source
        assert decode(encode["deu_Latn"](pair.target)) == pair.target


def test_special_tokens_are_nllbs(tokenizer: Tokenizer) -> None:
    info = tokenizer.vocab_info
    assert (info.pad_idx, info.unk_idx, info.bos_idx, info.eos_idx) == (0, 1, 2, 3)
    assert info.size == BUILTIN_VOCAB_SIZE

    source = tokenizer.create_encoder(lang="eng_Latn", mode="source").encode_as_tokens("the")
    assert (source[0], source[-1]) == ("__eng_Latn__", "</s>")
    target = tokenizer.create_encoder(lang="deu_Latn", mode="target").encode_as_tokens("die")
    assert (target[0], target[1], target[-1]) == ("</s>", "__deu_Latn__", "</s>")
    synthetic = tokenizer.create_encoder(lang="eng_Latn", mode="source_mmt_bt")
    assert synthetic.encode_as_tokens("the")[:2] == ["__eng_Latn__", "<MMT_BT_DATA>"]
    assert int(tokenizer.create_raw_encoder()("the").max()) < info.size


def test_words_are_few_pieces(tokenizer: Tokenizer) -> None:
    encode = tokenizer.create_raw_encoder()
    texts = [pair.target for pair in generate(BuiltinConfig(part="valid", size=200))]
    pieces = sum(len(encode(text)) for text in texts)
    assert pieces < 2.5 * sum(len(text.split()) for text in texts)


def test_unknown_language_is_named(tokenizer: Tokenizer) -> None:
    with pytest.raises(NotSupportedError, match="supported language, but is fra_Latn"):
        tokenizer.create_encoder(lang="fra_Latn", mode="source")


def test_a_recipe_finds_it(resolver: DependencyResolver, tokenizer: Tokenizer) -> None:
    """A recipe's tokenizer section goes through the loader and the card store."""
    card = resolver.resolve(AssetStore).retrieve_card(BUILTIN_TOKENIZER)
    assert card.field("tokenizer_family").as_(str) == "nllb"
    loader = resolver.resolve(GlobalTokenizerLoader)
    again = loader.load(card, create_fake_gangs(CPU), None)
    assert again.vocab_info.size == tokenizer.vocab_info.size


def test_training_is_deterministic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = []
    for name in ("a", "b"):
        monkeypatch.setenv("FAIRSEQ2_JEST_CACHE_DIR", str(tmp_path / name))
        files.append(ensure_builtin_tokenizer(SMALL))
    assert files[0].read_bytes() == files[1].read_bytes()
    other = TokenizerTraining(pretrain_size=300, trusted_size=300, vocab_size=201)
    assert ensure_builtin_tokenizer(other) != files[1]


def test_other_uris_of_the_scheme_are_refused() -> None:
    manager = BuiltinAssetManager()
    with pytest.raises(AssetDownloadError, match="it makes fairseq2-jest:builtin-ende"):
        manager.download_tokenizer(Uri.parse("fairseq2-jest:other"))
    with pytest.raises(NotSupportedError, match="for tokenizers"):
        manager.download_model(Uri.parse("fairseq2-jest:builtin-ende"))
