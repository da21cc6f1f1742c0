"""The models that selecting is timed with, and how much they choose from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fairseq2.models.nllb import NllbConfig

TOKENIZER_SIZE: Final = 16_000


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A model, and how many pairs a step chooses from how many."""

    model: NllbConfig
    super_batch_size: int
    max_seq_len: int
    max_num_tokens: int
    num_layers: tuple[int, int, int]
    """How many encoder layers the rows of fewer layers run, falling."""

    num_steps: int
    """Measured steps of each row."""


SHAPES: Final = {
    "small": Shape(
        model=NllbConfig(
            model_dim=256,
            max_seq_len=128,
            vocab_size=TOKENIZER_SIZE,
            num_encoder_layers=6,
            num_decoder_layers=6,
            num_encoder_attn_heads=4,
            num_decoder_attn_heads=4,
            ffn_inner_dim=1024,
        ),
        super_batch_size=160,
        max_seq_len=64,
        max_num_tokens=2048,
        num_layers=(3, 2, 1),
        num_steps=3,
    ),
    "nllb-600m": Shape(
        model=NllbConfig(
            model_dim=1024,
            max_seq_len=1024,
            vocab_size=256_206,
            num_encoder_layers=12,
            num_decoder_layers=12,
            ffn_inner_dim=4096,
        ),
        super_batch_size=4000,
        max_seq_len=256,
        max_num_tokens=8192,
        num_layers=(6, 2, 1),
        num_steps=8,
    ),
}
