"""mBART checkpoints of fairseq 1: a folder with ``*.pt``, ``dict*.txt`` and a SentencePiece model.

The dictionary says where each piece is in the embeddings. The languages come behind it, in the
order in which they were trained: by a file ``*langs*.txt`` with one a line, or by the arguments
that the checkpoint holds.
"""

from __future__ import annotations

import re
from argparse import Namespace
from pathlib import Path
from typing import Any, Final

import numpy as np
from torch import Tensor

from fairseq2_jest.models.errors import ModelError
from fairseq2_jest.models.hugging_face.vocabulary import reordered
from fairseq2_jest.models.pickled import load_pickled

_LANGUAGE: Final = re.compile(r"(?:\[|__)?([a-z]{2,3}_[A-Z]{2})(?:\]|__)?")

_MAX_CC25: Final = 25

_SCALAR: Final = np.float64(0.0).__reduce__()[0]

_ALLOWED: Final = (
    Namespace,
    np.dtype,
    type(np.dtype(np.float64)),
    type(np.dtype(np.int64)),
    # By the names that numpy 1 and 2 have for it.
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
)
"""What fairseq 1 stores beside weights; of these, none runs anything when it is loaded."""


def holds_fairseq_dictionary(folder: Path) -> bool:
    """Whether ``folder`` is laid out as fairseq 1 does it."""
    return not (folder / "config.json").exists() and bool(_dictionaries(folder))


def read_fairseq_checkpoint(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads the weights of the checkpoint in ``folder``, and the arguments of its training.

    :raises ModelError: There is not one checkpoint, or it holds more than what is known.
    """
    files = sorted(folder.glob("*.pt"))

    if len(files) != 1:
        raise ModelError(
            f"{folder} holds {len(files)} checkpoints (*.pt): leave exactly one there."
        )

    content = load_pickled(files[0], _ALLOWED)

    weights, args = content.get("model"), content.get("args")

    if not isinstance(weights, dict) or not all(isinstance(w, Tensor) for w in weights.values()):
        raise ModelError(f"{files[0]} is no checkpoint of fairseq 1: it holds no `model`.")

    return weights, dict(vars(args)) if isinstance(args, Namespace) else {}


def read_fairseq_config(folder: Path) -> dict[str, object]:
    """What the checkpoint in ``folder`` says of its architecture, by the fields of MBartConfig.

    :raises ModelError: As :func:`read_fairseq_checkpoint`, or it is no mBART.
    """
    weights, args = read_fairseq_checkpoint(folder)

    try:
        table = weights["encoder.embed_tokens.weight"]
        positions = weights["encoder.embed_positions.weight"]

        ffns = {side: weights[f"{side}.layers.0.fc1.weight"] for side in ("encoder", "decoder")}
    except KeyError as ex:
        raise ModelError(f"The checkpoint in {folder} is not of mBART: it lacks {ex}.") from ex

    def num_layers(side: str) -> int:
        pattern = re.compile(rf"{side}\.layers\.(\d+)\.")

        return 1 + max(int(m[1]) for key in weights if (m := pattern.match(key)))

    return {
        "model_dim": table.size(1),
        "max_seq_len": positions.size(0) - 2,
        "vocab_size": table.size(0),
        "num_encoder_layers": num_layers("encoder"),
        "num_decoder_layers": num_layers("decoder"),
        "num_encoder_attn_heads": args.get("encoder_attention_heads", 16),
        "num_decoder_attn_heads": args.get("decoder_attention_heads", 16),
        "encoder_ffn_inner_dim": ffns["encoder"].size(0),
        "decoder_ffn_inner_dim": ffns["decoder"].size(0),
        "activation": args.get("activation_fn", "gelu"),
        "scale_embedding": not args.get("no_scale_embedding", False),
        "dropout_p": args.get("dropout", 0.1),
        "attn_dropout_p": args.get("attention_dropout", 0.1),
        "ffn_inner_dropout_p": args.get("activation_dropout", 0.0),
    }


def read_fairseq_tokenizer(folder: Path) -> Any:
    """Makes the tokenizer of transformers that has the vocabulary of the checkpoint in ``folder``.

    With 25 languages or fewer it is that of mBART-cc25, with more that of mBART-50.

    :raises ModelError: A file is missing or damaged.
    """
    from transformers import MBart50TokenizerFast, MBartTokenizerFast

    models = sorted(folder.glob("*.model"))

    if len(models) != 1:
        raise ModelError(
            f"{folder} holds {len(models)} SentencePiece models (*.model): leave exactly one there."
        )

    pieces = _read_dictionary(folder)

    languages = [_bare(piece) for piece in pieces if _LANGUAGE.fullmatch(piece)]

    behind: list[str] = []

    if not languages:
        languages = _languages(folder)

        behind = [*languages, "<mask>"]

    tokens = ["<s>", "<pad>", "</s>", "<unk>", *map(_bare, pieces), *behind]

    is_cc25 = len(languages) <= _MAX_CC25

    kls: Any = MBartTokenizerFast if is_cc25 else MBart50TokenizerFast

    try:
        backend = kls(vocab_file=str(models[0])).backend_tokenizer
    except Exception as ex:  # The backend raises plain ones.
        raise ModelError(f"{models[0]} is not a SentencePiece model: get the file again.") from ex

    return kls(tokenizer_object=reordered(backend, tokens), additional_special_tokens=languages)


def _dictionaries(folder: Path) -> list[Path]:
    return sorted({*folder.glob("dict.txt"), *folder.glob("dict.*.txt")})


def _read_dictionary(folder: Path) -> list[str]:
    files = _dictionaries(folder)

    try:
        contents = {file.read_text(encoding="utf-8") for file in files}
    except (OSError, UnicodeDecodeError) as ex:
        raise ModelError(f"{files[0]} is not a dictionary of fairseq 1: get it again.") from ex

    if len(contents) != 1:
        raise ModelError(f"The dictionaries in {folder} differ, but mBART shares one: mend them.")

    pieces = [line.rsplit(" ", 1)[0] for line in contents.pop().split("\n") if line]

    return [piece for piece in pieces if piece != "<mask>"] + ["<mask>"] * ("<mask>" in pieces)


def _languages(folder: Path) -> list[str]:
    for file in sorted(folder.glob("*langs*.txt")):
        try:
            languages = re.split(r"[\s,]+", file.read_text(encoding="utf-8").strip())
        except (OSError, UnicodeDecodeError) as ex:
            raise ModelError(f"{file} is not a list of languages: get it again.") from ex

        break
    else:
        args = read_fairseq_checkpoint(folder)[1]

        named = args.get("langs")

        if not named:
            raise ModelError(
                f"The checkpoint in {folder} does not say its languages: put a file langs.txt "
                f"there, with one a line in the order of its training."
            )

        languages = named.split(",") if isinstance(named, str) else list(named)

    return [_bare(language) for language in languages]


def _bare(token: str) -> str:
    match = _LANGUAGE.fullmatch(token)

    return token if match is None else match[1]
