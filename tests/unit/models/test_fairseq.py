"""mBART checkpoints as fairseq 1 saves them."""

from __future__ import annotations

import random
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch
from fairseq2.data.tokenizers import load_tokenizer
from fairseq2.models import load_model

from fairseq2_jest.models.errors import ModelError
from fairseq2_jest.models.hugging_face.tokenizer import TranslationTokenizer
from tests.hugging_face import MAX_SEQ_LEN, make_model, make_tokenizer, texts
from tests.unit.models.parity import padded

LANGS = ("de_DE", "en_XX", "fa_IR")


def make_folder(
    folder: Path, *, args: dict[str, Any], langs_file: bool = False, zipped: bool = True
) -> tuple[Any, list[str]]:
    """A folder of fairseq 1, whose dictionary is in an order of its own.

    Returns the model of transformers with the same weights, and the order of the tokens.
    """
    folder.mkdir()

    tokenizer = make_tokenizer("cc25")

    spm = Path(tokenizer.vocab_file)

    (folder / "sentence.bpe.model").write_bytes(spm.read_bytes())

    processor = sentencepiece.SentencePieceProcessor(model_file=str(spm))

    pieces = [processor.id_to_piece(i) for i in range(3, processor.get_piece_size())]

    random.Random(3).shuffle(pieces)

    (folder / "dict.txt").write_text("".join(f"{piece} 1\n" for piece in pieces), encoding="utf-8")

    tokens = ["<s>", "<pad>", "</s>", "<unk>", *pieces, *LANGS, "<mask>"]

    model = make_model("cc25", tokenizer, vocab_size=len(tokens), attention_dropout=0.1)

    model.final_logits_bias.zero_()

    weights = {
        key.removeprefix("model."): value
        for key, value in model.state_dict().items()
        if not key.endswith(("shared.weight", "final_logits_bias", "lm_head.weight"))
    }

    weights["encoder.version"] = weights["decoder.version"] = torch.tensor([3.0])

    content = {
        "args": Namespace(
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            activation_fn="gelu",
            dropout=0.3,
            attention_dropout=0.1,
            **args,
        ),
        "model": weights,
        "optimizer_history": [{"num_updates": 5, "best_loss": np.float64(2.5)}],
        "extra_state": {"epoch": 1},
    }

    torch.save(content, folder / "model.pt", _use_new_zipfile_serialization=zipped)

    if langs_file:
        (folder / "ML50_langs.txt").write_text("\n".join(LANGS))

    return model, tokens


@pytest.mark.parametrize(
    ("args", "langs_file", "zipped"),
    [({"langs": ",".join(LANGS)}, False, True), ({"langs": None}, True, False)],
)
@torch.no_grad()
def test_a_checkpoint_loads_with_its_vocabulary(
    args: dict[str, Any], langs_file: bool, zipped: bool, tmp_path: Path, resolver: object
) -> None:
    folder = tmp_path / "mbart"

    reference, tokens = make_folder(folder, args=args, langs_file=langs_file, zipped=zipped)

    tokenizer = load_tokenizer(str(folder))

    assert isinstance(tokenizer, TranslationTokenizer)
    assert sorted(tokenizer.languages) == sorted(LANGS)
    assert tokenizer.vocab_info.size == len(tokens)

    # SentencePiece itself and the dictionary say what a text is.
    processor = sentencepiece.SentencePieceProcessor(
        model_proto=(folder / "sentence.bpe.model").read_bytes()
    )

    encode = tokenizer.create_encoder(lang="en", mode="source")

    places = {token: place for place, token in enumerate(tokens)}

    for text in texts(100):
        pieces = [*processor.encode(text, out_type=str), "</s>", "en_XX"]

        assert encode(text).tolist() == [places.get(piece, 3) for piece in pieces]

    model = load_model(str(folder)).eval()

    source, layout, mask = padded([encode(text)[:MAX_SEQ_LEN] for text in texts(8)], 1)

    expected = reference(source, attention_mask=mask.long(), decoder_input_ids=source).logits

    actual = model(source, layout, source, layout)

    torch.testing.assert_close(actual[mask], expected[mask], rtol=0.0, atol=1e-5)


class Other:
    """What nobody expects in a checkpoint."""


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("other", r"model\.pt is damaged, or holds more than weights, which is never loaded"),
        ("two", r"holds 2 checkpoints \(\*\.pt\): leave exactly one"),
        ("no spm", r"holds 0 SentencePiece models"),
        ("no model", r"is no checkpoint of fairseq 1"),
        ("no langs", r"does not say its languages: put a file langs\.txt"),
        ("dictionary", r"lacks \d+ of the tokenizer's pieces"),
        ("differ", r"dictionaries in .* differ"),
        ("not mbart", r"is not of mBART: it lacks"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    damage: str, sentence: str, tmp_path: Path, resolver: object
) -> None:
    folder = tmp_path / "mbart"

    make_folder(folder, args={"langs": None if damage == "no langs" else ",".join(LANGS)})

    file = folder / "model.pt"

    if damage == "other":
        torch.save({"model": {}, "args": Namespace(task=Other())}, file)
    elif damage == "two":
        (folder / "checkpoint_last.pt").write_bytes(file.read_bytes())
    elif damage == "no spm":
        (folder / "sentence.bpe.model").unlink()
    elif damage == "no model":
        torch.save({"args": Namespace()}, file)
    elif damage == "dictionary":
        (folder / "dict.txt").write_text("a 1\n")
    elif damage == "differ":
        (folder / "dict.en_XX.txt").write_text("a 1\n")
    elif damage == "not mbart":
        torch.save({"args": Namespace(), "model": {"w": torch.zeros(1)}}, file)

    with pytest.raises(ModelError, match=sentence) as info:
        load_tokenizer(str(folder))
        load_model(str(folder))

    assert "\n" not in str(info.value)
