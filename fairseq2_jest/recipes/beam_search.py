"""The batched beam search as a component of fairseq2's section ``seq2seq_generator``."""

from __future__ import annotations

from typing import Final

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.error import NotSupportedError
from fairseq2.generation import Seq2SeqGenerator
from fairseq2.models.transformer import TransformerModel
from fairseq2.recipe.config import (
    BEAM_SEARCH_GENERATOR,
    STANDARD_BEAM_SEARCH_ALGO,
    BeamSearchConfig,
)
from fairseq2.runtime.dependency import DependencyResolver
from torch.nn import Module

from fairseq2_jest.translation.batched_search import BATCHED_BEAM_SEARCH, BatchedBeamSearchGenerator
from fairseq2_jest.translation.errors import TranslationError

_OTHERWISE: Final = f"set seq2seq_generator.name to {BEAM_SEARCH_GENERATOR}"


def create_batched_beam_search(
    resolver: DependencyResolver, config: BeamSearchConfig
) -> Seq2SeqGenerator:
    """The generator for the recipe's model and tokenizer.

    Prompts are decoded at once and memory grows by itself, so that ``prefill_chunk_size`` and
    ``decode_capacity_increment`` are not looked at.

    :raises TranslationError: The model or the algorithm is one that it cannot search with.
    """
    model = resolver.resolve(Module, key="model")

    if not isinstance(model, TransformerModel):
        raise TranslationError(
            f"{BATCHED_BEAM_SEARCH} cannot search with a {type(model).__name__}; {_OTHERWISE}."
        )

    if config.algo.name != STANDARD_BEAM_SEARCH_ALGO:
        raise TranslationError(
            f"{BATCHED_BEAM_SEARCH} has no algorithm {config.algo.name} "
            f"(seq2seq_generator.config.algo.name); {_OTHERWISE}."
        )

    max_gen_len = config.max_gen_len

    try:
        return BatchedBeamSearchGenerator(
            model,
            resolver.resolve(Tokenizer).vocab_info,
            beam_size=config.beam_size,
            min_gen_len=config.min_gen_len,
            max_gen_len=(0.0, max_gen_len) if isinstance(max_gen_len, int) else max_gen_len,
            max_seq_len=config.max_seq_len,
            echo_prompt=config.echo_prompt,
            normalize_scores=config.normalize_scores,
            temperature=config.temperature,
            unk_penalty=config.unk_penalty,
            len_penalty=config.len_penalty,
        )
    except NotSupportedError as ex:
        reason = str(ex).rstrip(".")

        raise TranslationError(
            f"{BATCHED_BEAM_SEARCH} cannot search with this model ({reason}); {_OTHERWISE}."
        ) from ex
    except ValueError as ex:
        raise TranslationError(f"seq2seq_generator.config does not fit the model: {ex}") from ex
