"""Beam search over a block of texts: long ones in parts, like lengths together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.device import Device
from fairseq2.generation import Hypothesis as GeneratedHypothesis
from fairseq2.generation import SequenceGenerationError
from torch import Tensor

from fairseq2_jest.corpus.cleaning import normalize_text
from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.embedding.forward_pass import autocast
from fairseq2_jest.embedding.tokens import batches_by_length, layout_of, pad
from fairseq2_jest.embedding.translation_format import (
    AnyGenerator,
    EncoderDecoderTranslation,
    TranslationFormat,
)
from fairseq2_jest.translation.errors import TranslationError
from fairseq2_jest.translation.result import Hypothesis, Translation
from fairseq2_jest.translation.splitting import joint_of, split_text

OnBatch = Callable[[float], None]
"""Is told the share of the texts that is done after each batch."""

# What became of a part: hypotheses, best first, and the length of each in tokens.
_Part = list[tuple[Hypothesis, int]]


# The parts of a text that are cut for less would be scraps of words.
_MIN_ROOM = 8


def check_room(translation: TranslationFormat, max_source_len: int) -> None:
    """
    :param max_source_len: See :class:`Translator`.

    :raises TranslationError: What stands around each text leaves too little room for a part of one.
    """
    num_special, num_prompt = translation.source.num_special, len(translation.encode(""))

    if num_prompt == 0:
        if num_special >= max_source_len:
            raise TranslationError(
                f"translation.max_source_len is {max_source_len}, which the tokenizer's "
                f"{num_special} special tokens fill; raise it."
            )

        return

    length = num_prompt + num_special

    if length + _MIN_ROOM > max_source_len:
        raise TranslationError(
            f"translation.max_source_len is {max_source_len}, but prompt.template takes {length} "
            f"tokens of it before there is a text: translations of scraps would be put together; "
            f"raise it to {length + _MIN_ROOM} at the very least, or shorten the template."
        )


class Translator:
    """Translates texts in one direction.

    The result depends on the texts of a call together, through the rounding of padded batches and
    through what the generator derives from the longest source of a batch, but not on anything else.
    """

    def __init__(
        self,
        generator: AnyGenerator,
        tokenizer: Tokenizer,
        direction: Direction,
        *,
        device: Device,
        max_source_len: int,
        max_num_tokens: int,
        max_batch_size: int = 256,
        long_lines: Literal["split", "report"] = "split",
        num_hypotheses: int = 1,
        autocast_dtype: torch.dtype | None = None,
        translation: TranslationFormat | None = None,
    ) -> None:
        """
        :param max_source_len: The most tokens of a source, special tokens included.
        :param max_num_tokens: The most source tokens of a batch, padding included.
        :param max_batch_size: The most texts, or parts of one, in a batch.
        :param num_hypotheses: At most as many as the generator gives.
        :param autocast_dtype: The dtype of mixed precision, ``None`` for none.
        :param translation: How ``generator`` is used; by default as one of an encoder-decoder
            model.

        :raises fairseq2.error.NotSupportedError: The tokenizer lacks a language of ``direction``.
        :raises TranslationError: ``max_source_len`` leaves no room for a text.
        """
        translation = translation or EncoderDecoderTranslation(tokenizer, direction)

        self._generator = generator
        self._translation = translation
        self._encode = translation.encode
        self._format = translation.source
        self._joint = joint_of(direction.target)
        self._device = device
        self._max_source_len = max_source_len
        self._max_num_tokens = max_num_tokens
        self._max_batch_size = max_batch_size
        self._long_lines = long_lines
        self._num_hypotheses = num_hypotheses
        self._autocast_dtype = autocast_dtype

        check_room(translation, max_source_len)

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str], on_batch: OnBatch | None = None) -> list[Translation]:
        """Translates N texts of one line each; returns N translations in their order.

        :raises TranslationError: The model gives no numbers.
        """
        # Of each text that is translated, where its parts are among all parts.
        places: dict[int, range] = {}

        results = [Translation()] * len(texts)

        sources: list[Tensor] = []

        for index, text in enumerate(texts):
            body = self._encode(text) if text else torch.empty(0)

            # A text may also consist of what the tokenizer leaves out.
            if len(body) == 0:
                continue

            if not self._fits(body) and self._long_lines == "report":
                results[index] = Translation(num_tokens=self._length(body))

                continue

            bodies = self._bodies(text, body)

            places[index] = range(len(sources), len(sources) + len(bodies))

            sources += [self._format(body.long()) for body in bodies]

        parts = self._translate(sources, on_batch)

        for index, place in places.items():
            results[index] = self._join([parts[i] for i in place])

        return results

    def _bodies(self, text: str, body: Tensor) -> list[Tensor]:
        """The bare tokens of the parts of a text, given those of the whole."""
        if self._fits(body):
            return [body]

        parts = split_text(text, lambda part: self._fits(self._encode(part)))

        return [tokens for part in parts if len(tokens := self._encode(part)) > 0]

    def _length(self, body: Tensor) -> int:
        return len(body) + self._format.num_special

    def _fits(self, body: Tensor) -> bool:
        return self._length(body) <= self._max_source_len

    def _translate(self, sources: Sequence[Tensor], on_batch: OnBatch | None) -> list[_Part]:
        parts: list[_Part] = [[] for _ in sources]

        num_done = 0

        for batch in self._batches(sources):
            for index, hypotheses in zip(
                batch, self._generate([sources[i] for i in batch]), strict=True
            ):
                parts[index] = self._part(hypotheses)

            num_done += len(batch)

            if on_batch is not None:
                on_batch(num_done / len(sources))

        return parts

    def _batches(self, sources: Sequence[Tensor]) -> Iterator[list[int]]:
        for batch in batches_by_length([len(seq) for seq in sources], self._max_num_tokens):
            for begin in range(0, len(batch), self._max_batch_size):
                yield batch[begin : begin + self._max_batch_size]

    def _generate(self, sources: Sequence[Tensor]) -> list[list[GeneratedHypothesis]]:
        seqs, lengths = pad(sources, self._translation.pad_idx)

        seqs = seqs.to(self._device)

        try:
            with autocast(self._device, self._autocast_dtype):
                return self._translation.search(self._generator, seqs, layout_of(seqs, lengths))
        except SequenceGenerationError as ex:
            raise TranslationError(
                "The model gives NaN where it should give probabilities; set model.dtype to "
                "float32 or bfloat16 if it is float16, else its weights are damaged."
            ) from ex

    def _part(self, hypotheses: Sequence[GeneratedHypothesis]) -> _Part:
        if not hypotheses:
            raise TranslationError(
                "The generator found no translation of a line; widen the beam or raise "
                "seq2seq_generator.config.max_gen_len."
            )

        return [
            (
                Hypothesis(
                    text=normalize_text(self._translation.decode(hypothesis.seq)),
                    score=0.0 if hypothesis.score is None else float(hypothesis.score),
                ),
                len(hypothesis.seq),
            )
            for hypothesis in hypotheses[: self._num_hypotheses]
        ]

    def _join(self, parts: Sequence[_Part]) -> Translation:
        """Puts the n-th hypotheses of the parts of a line together, or the last that a part has."""
        joined = []

        for rank in range(max(map(len, parts))):
            chosen = [part[min(rank, len(part) - 1)] for part in parts]

            num_tokens = sum(length for _, length in chosen)

            joined.append(
                Hypothesis(
                    text=self._joint.join(h.text for h, _ in chosen if h.text),
                    # Rounded, for the last digits depend on the machine.
                    score=round(sum(h.score * length for h, length in chosen) / num_tokens, 6),
                )
            )

        return Translation(hypotheses=joined, num_parts=len(parts))
