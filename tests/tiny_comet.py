"""Makes a tiny COMET model through COMET's own interface; run with COMET's interpreter.

Usage: python tiny_comet.py FOLDER SEED [referenceless]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
import transformers
from comet.models import ReferencelessRegression, RegressionMetric
from pytorch_lightning.core.saving import save_hparams_to_yaml
from tokenizers import (
    Tokenizer,
    models,
    pre_tokenizers,
    processors,
    trainers,
)

# Its classes are not typed.
TRANSFORMERS: Any = transformers

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def make_encoder(folder: Path) -> None:
    """A random XLM-R of two layers, whose tokens are characters."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()

    letters = [" ".join("abcdefghijklmnopqrstuvwxyzäöüßABCDEFGHIJKLMNOPQRSTUVWXYZ.,!?'")]

    tokenizer.train_from_iterator(
        letters, trainers.BpeTrainer(special_tokens=SPECIAL, show_progress=False)
    )

    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))

    TRANSFORMERS.XLMRobertaTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)

    config = TRANSFORMERS.XLMRobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=130,
        initializer_range=0.6,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )

    TRANSFORMERS.XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(folder)


def main(folder: Path, seed: int, kind: str) -> None:
    """Saves the model as COMET's models are laid out."""
    torch.manual_seed(seed)

    encoder = folder / "encoder"

    make_encoder(encoder)

    kls = ReferencelessRegression if kind == "referenceless" else RegressionMetric

    model = kls(
        encoder_model="XLM-RoBERTa",
        pretrained_model=str(encoder),
        hidden_sizes=[24, 8],
        layer_transformation="softmax",
    )

    trainer = lightning.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(model)
    trainer.save_checkpoint(folder / "checkpoints" / "model.ckpt", weights_only=True)

    save_hparams_to_yaml(str(folder / "hparams.yaml"), model.hparams)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *(sys.argv[3:] or ["reference"]))
