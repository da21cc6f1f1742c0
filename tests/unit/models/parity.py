"""The same model through fairseq2 and through transformers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from fairseq2.data.tokenizers import Tokenizer, load_tokenizer
from fairseq2.generation.beam_search import BeamSearchSeq2SeqGenerator
from fairseq2.generation.step_processor import NGramRepeatBlockProcessor
from fairseq2.models import load_model
from fairseq2.models.transformer import TransformerModel
from fairseq2.nn import BatchLayout
from torch import Tensor

from fairseq2_jest.models.generation import ignore_prompt_scores
from tests.hugging_face import library


@cache
def ours(folder: Path) -> tuple[TransformerModel, Tokenizer]:
    """The model and the tokenizer in ``folder`` by its name alone."""
    library()

    model = load_model(str(folder), dtype=torch.float32)

    assert isinstance(model, TransformerModel)

    return model.eval(), load_tokenizer(str(folder))


@cache
def theirs(folder: Path) -> tuple[Any, Any]:
    """The same in transformers."""
    import transformers

    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()

    kls: Any = transformers.AutoTokenizer

    return model, kls.from_pretrained(folder)


def padded(sequences: Sequence[Tensor], pad_idx: int) -> tuple[Tensor, BatchLayout, Tensor]:
    """*Shapes:* ``(N, S)`` of the sequences and of the mask of what is no padding."""
    seqs = torch.nn.utils.rnn.pad_sequence(list(sequences), True, pad_idx)

    lens = [len(s) for s in sequences]

    mask = torch.arange(seqs.size(1)) < torch.tensor(lens)[:, None]

    return seqs, BatchLayout.of(seqs, lens), mask


@torch.no_grad()
def logits(
    folder: Path, sources: Sequence[Tensor], targets: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Those of each at all places that are no padding. *Shape:* ``(T, V)``."""
    model, tokenizer = ours(folder)
    reference, _ = theirs(folder)

    pad_idx = tokenizer.vocab_info.pad_idx
    assert pad_idx is not None

    source, source_layout, source_mask = padded(sources, pad_idx)
    target, target_layout, target_mask = padded(targets, pad_idx)

    actual = model(source, source_layout, target, target_layout)

    expected = reference(
        input_ids=source, attention_mask=source_mask.long(), decoder_input_ids=target
    ).logits

    return actual[target_mask], expected[target_mask]


def translate(
    folder: Path,
    sources: Sequence[Tensor],
    lang: str,
    *,
    beam_size: int,
    max_len: int,
    kls: Any = BeamSearchSeq2SeqGenerator,
) -> list[list[int]]:
    """The best hypothesis of a beam search for each source, end included; by default fairseq2's.

    No two tokens come twice, for a random model has little else to say.
    """
    model, tokenizer = ours(folder)

    pad_idx = tokenizer.vocab_info.pad_idx
    assert pad_idx is not None

    generator = kls(
        model,
        tokenizer.vocab_info,
        beam_size=beam_size,
        max_gen_len=(0, max_len),
        step_processors=[NGramRepeatBlockProcessor(2)],
    )

    ignore_prompt_scores(generator)

    source, source_layout, _ = padded(sources, pad_idx)

    prefix = tokenizer.create_encoder(lang=lang, mode="target").prefix_indices
    assert prefix is not None

    prompt, prompt_layout, _ = padded([prefix] * len(sources), pad_idx)

    output = generator(source, source_layout, prompt, prompt_layout)

    return [hypotheses[0].seq.tolist() for hypotheses in output.hypotheses]


def translate_in_transformers(
    folder: Path, sources: Sequence[Tensor], lang: str, *, beam_size: int, max_len: int
) -> list[list[int]]:
    """The same by transformers' ``generate``, set to what fairseq2 does."""
    model, tokenizer = theirs(folder)

    eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id

    code = tokenizer.convert_tokens_to_ids(lang)

    prompt = [code] if "MBartTokenizer" in type(tokenizer).__name__ else [eos, code]

    def end_at_last(ids: Tensor, scores: Tensor) -> Tensor:
        # Of transformers' own forced end the score is not counted, of fairseq2's it is.
        if ids.size(1) < len(prompt) + max_len - 1:
            return scores

        return scores.masked_fill(torch.arange(scores.size(1)) != eos, -torch.inf)

    source, _, mask = padded(sources, pad)

    output = model.generate(
        input_ids=source,
        attention_mask=mask.long(),
        decoder_start_token_id=prompt[0],
        forced_bos_token_id=None if len(prompt) == 1 else code,
        forced_eos_token_id=None,
        num_beams=beam_size,
        do_sample=False,
        max_new_tokens=max_len + len(prompt) - 1,
        length_penalty=1.0,
        early_stopping=beam_size > 1,
        bad_words_ids=[[pad]],
        no_repeat_ngram_size=2,
        logits_processor=[end_at_last],
    )

    bodies = [row[len(prompt) :] for row in output.tolist()]

    return [body[: body.index(eos) + 1] for body in bodies]
