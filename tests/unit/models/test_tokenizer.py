from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq2.error import NotSupportedError

from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.language_table import NLLB_LANGUAGES
from fairseq2_jest.corpus.languages import check_language
from fairseq2_jest.models.errors import ModelError
from fairseq2_jest.models.hugging_face.nllb import (
    HuggingFaceNllbTokenizerConfig,
    load_nllb_tokenizer,
)
from fairseq2_jest.models.hugging_face.tokenizer import TranslationTokenizer
from fairseq2_jest.models.mbart import MBartTokenizerConfig, load_mbart_tokenizer
from fairseq2_jest.models.mbart.languages import (
    MBART_25_LANGUAGES,
    MBART_50_LANGUAGES,
    mbart_aliases,
)
from tests.hugging_face import (
    KINDS,
    make_folder,
    make_tokenizer,
    sentencepiece,
    texts,
    tokenizer_class,
)
from tests.repository import REPOSITORY

SHARED = Path(os.environ.get("FAIRSEQ2_JEST_SHARED", REPOSITORY.parent / "shared")) / "data"

NUM_LINES = 2_000


def load(folder: Path, kind: str) -> TranslationTokenizer:
    if kind == "nllb":
        return load_nllb_tokenizer(folder, HuggingFaceNllbTokenizerConfig())

    return load_mbart_tokenizer(folder, MBartTokenizerConfig())


def shared_lines() -> list[str]:
    """Lines of nine languages, each file's first."""
    files = sorted(f for f in SHARED.glob("tatoeba-*/test.*") if f.suffix != ".tsv")

    def lines(file: Path) -> Iterator[str]:
        with file.open(encoding="utf-8") as stream:
            yield from islice((line.rstrip("\n") for line in stream), NUM_LINES // len(files) + 1)

    found = [line for file in files for line in lines(file)] if files else []

    # What is no word of any of them.
    odd = [
        "",
        " ",
        "  two  spaces ",
        "a\tb",
        "ﬁ ＡＢＣ ½",
        "🙂 emoji",
        "\u200bzero\u00a0width",
        "x" * 500,
    ]

    return found[: NUM_LINES - len(odd)] + odd if found else []


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"There is no {SHARED}.")
@pytest.mark.parametrize("files", ["sentencepiece.bpe.model", "tokenizer.json", "shuffled"])
@pytest.mark.parametrize("kind", KINDS)
def test_encodes_as_transformers_does(kind: str, files: str, tmp_path: Path) -> None:
    lines = shared_lines()

    assert len(lines) == NUM_LINES

    spm_file = tmp_path / "spm" / "sentencepiece.bpe.model"
    spm_file.parent.mkdir()
    spm_file.write_bytes(sentencepiece([line for line in lines if line.strip()], 2_000))

    saved = make_tokenizer(kind, shuffled=files == "shuffled", spm_file=spm_file)
    saved.save_pretrained(tmp_path)

    if files == "sentencepiece.bpe.model":
        (tmp_path / "tokenizer.json").unlink()

    tokenizer = load(tmp_path, kind)

    reference = tokenizer_class(kind).from_pretrained(tmp_path)

    langs = sorted(tokenizer.languages)

    assert len(langs) == {"mbart50": 52, "cc25": 25, "nllb": 202}[kind]

    # Every language on either side, and every line with some of them.
    for idx, lang in enumerate(langs):
        part = lines[idx :: len(langs)]

        reference.src_lang = reference.tgt_lang = lang

        sources = reference(part)["input_ids"]
        targets = reference(text_target=part)["input_ids"]

        encode_source = tokenizer.create_encoder(lang=lang, mode="source")
        encode_target = tokenizer.create_encoder(lang=lang, mode="target")

        for text, source, target in zip(part, sources, targets, strict=True):
            assert encode_source(text).tolist() == source, text

            # What is to be predicted; and what the decoder reads, by transformers' own shift.
            encoded = encode_target(text)

            assert encoded[1:].tolist() == target, text
            assert encoded[:-1].tolist() == shifted(reference, target), text

    decode = tokenizer.create_decoder(skip_special_tokens=True)

    for line in lines[::50]:
        ids = encode_source(line)

        assert decode(ids) == reference.decode(ids.tolist(), skip_special_tokens=True)


def shifted(reference: Any, labels: list[int]) -> list[int]:
    from transformers.models.mbart.modeling_mbart import shift_tokens_right

    rows = shift_tokens_right(torch.tensor([labels, labels]), reference.pad_token_id)

    row: list[int] = rows[0].tolist()

    return row


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_cannot_hold_special_tokens(kind: str, folders: dict[Any, Path]) -> None:
    tokenizer = load(folders[kind, True], kind)

    unk = tokenizer.vocab_info.unk_idx

    lang = next(iter(tokenizer.languages))

    ids = tokenizer.create_raw_encoder()(f"a</s>b {lang} c <pad> <mask>").tolist()

    prefix = tokenizer.create_encoder(lang=lang, mode="target").prefix_indices

    assert prefix is not None

    special = [*prefix.tolist(), tokenizer.vocab_info.pad_idx]

    assert not set(special) & set(ids)
    assert unk in ids


@pytest.mark.parametrize("kind", KINDS)
def test_decodes_what_it_encodes(kind: str, folders: dict[Any, Path]) -> None:
    tokenizer = load(folders[kind, True], kind)

    encode = tokenizer.create_encoder(mode="source")

    decode = tokenizer.create_decoder(skip_special_tokens=True)

    for text in texts(50):
        assert decode(encode(text)) == text
        assert decode.decode_from_tokens(encode.encode_as_tokens(text)) == text


def test_languages_go_by_many_names(folders: dict[Any, Path]) -> None:
    tokenizer = load(folders["mbart50", True], "mbart50")

    encode = tokenizer.create_encoder(lang="en_XX", mode="source")

    for name in ("eng_Latn", "en", "eng", "English", "EN_xx", "en-XX"):
        assert name in tokenizer.languages

        other = tokenizer.create_encoder(lang=name, mode="source")

        assert other("one").equal(encode("one"))

    with pytest.raises(NotSupportedError, match="'Germen': did you mean 'de_DE'"):
        tokenizer.create_encoder(lang="Germen")

    with pytest.raises(CorpusError, match="'oci_Latn' of direction x: "):
        check_language("oci_Latn", tokenizer.languages, "direction x")

    check_language("deu_Latn", tokenizer.languages, "direction x")


def test_the_published_languages_and_their_names() -> None:
    from transformers.models.mbart.tokenization_mbart import FAIRSEQ_LANGUAGE_CODES as OF_25
    from transformers.models.mbart50.tokenization_mbart50 import FAIRSEQ_LANGUAGE_CODES as OF_50

    assert list(MBART_50_LANGUAGES) == OF_50
    assert list(MBART_25_LANGUAGES) == OF_25

    aliases = mbart_aliases()

    # The corpora's table and this one are of one mind about codes.
    codes = {line.split(" ")[0]: line.split(" ")[1] for line in NLLB_LANGUAGES.splitlines()}

    nllb = {alias: code for alias, code in aliases.items() if "_" in alias}

    assert nllb.keys() <= codes.keys()

    for alias, code in nllb.items():
        assert aliases[alias.partition("_")[0]] == code
        # NLLB tells some apart that mBART does not, such as North and South Azerbaijani.
        known = {*codes[alias].split(","), "az", "sw", "lv", "ne"}

        assert code.partition("_")[0] in known

    assert set(nllb.values()) == set(MBART_50_LANGUAGES)


def test_modes(folders: dict[Any, Path]) -> None:
    tokenizer = load(folders["nllb", False], "nllb")

    with pytest.raises(NotSupportedError, match="no token <MMT_BT_DATA>"):
        tokenizer.create_encoder(lang="eng_Latn", mode="source_mmt_bt")

    with pytest.raises(ValueError, match="must be 'source' or 'target'"):
        tokenizer.create_encoder(lang="eng_Latn", mode="both")

    with pytest.raises(ValueError, match="must be 'translation'"):
        tokenizer.create_encoder(task="summary")


def test_languages_without_an_embedding_are_not_known(tmp_path: Path) -> None:
    # Cut down to three languages, as people do to save memory; transformers adds the others again.
    tokenizer = make_tokenizer("mbart50")

    vocab = tokenizer.get_vocab()

    tokens = sorted(vocab, key=lambda token: int(vocab[token]))

    kept = [t for t in tokens if t not in MBART_50_LANGUAGES or t in ("en_XX", "de_DE", "fa_IR")]

    from fairseq2_jest.models.hugging_face.vocabulary import reordered
    from tests.hugging_face import make_model

    cut = tokenizer_class("mbart50")(tokenizer_object=reordered(tokenizer.backend_tokenizer, kept))

    cut.save_pretrained(tmp_path)

    make_model("mbart50", cut, vocab_size=len(kept)).save_pretrained(tmp_path)

    ours = load(tmp_path, "mbart50")

    assert sorted(ours.languages) == ["de_DE", "en_XX", "fa_IR"]
    assert ours.vocab_info.size == len(kept)


def test_a_tokenizer_of_another_family_is_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "nllb")

    with pytest.raises(ModelError, match="is a NllbTokenizerFast, not one of mBART"):
        load(folder, "mbart50")
