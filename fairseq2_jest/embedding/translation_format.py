"""How a text is put to a model, and what of its output is the translation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.generation import Hypothesis, Seq2SeqGenerator, SequenceGenerator
from fairseq2.nn import BatchLayout
from torch import Tensor
from typing_extensions import override

from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.corpus.prompt import Prompt
from fairseq2_jest.embedding.prompting import prompt_formats, prompt_padding
from fairseq2_jest.embedding.tokens import SequenceFormat, SequenceFormats

AnyGenerator = Seq2SeqGenerator | SequenceGenerator


class TranslationFormat(ABC):
    """For a kind of model, in one direction."""

    source: SequenceFormat
    """The special tokens around what :meth:`encode` returns."""

    pad_idx: int
    """What fills a batch up."""

    @abstractmethod
    def encode(self, text: str) -> Tensor:
        """The tokens of a text as the model is given it, without special ones."""

    @abstractmethod
    def decode(self, seq: Tensor) -> str:
        """The translation in the tokens that were generated."""

    @abstractmethod
    def search(
        self, generator: AnyGenerator, seqs: Tensor, layout: BatchLayout
    ) -> list[list[Hypothesis]]:
        """Returns the hypotheses of each of N sources, best first.

        :param generator: Of the model's kind.
        :param seqs: Sources with their special tokens. *Shape:* ``(N, S)``.
        """


class EncoderDecoderTranslation(TranslationFormat):
    """The source for the encoder; the decoder begins with the target language's token."""

    def __init__(self, tokenizer: Tokenizer, direction: Direction) -> None:
        """
        :raises fairseq2.error.NotSupportedError: The tokenizer lacks a language of ``direction``.
        """
        formats = SequenceFormats(tokenizer)

        self._encode = tokenizer.create_raw_encoder()
        self._decode = tokenizer.create_decoder(skip_special_tokens=True)
        self._prefix = formats.get(direction.target, "target").prefix

        self.source = formats.get(direction.source, "source")
        self.pad_idx = tokenizer.vocab_info.pad_idx or 0

    @override
    def encode(self, text: str) -> Tensor:
        return self._encode(text)

    @override
    def decode(self, seq: Tensor) -> str:
        return self._decode(seq)

    @override
    def search(
        self, generator: AnyGenerator, seqs: Tensor, layout: BatchLayout
    ) -> list[list[Hypothesis]]:
        assert isinstance(generator, Seq2SeqGenerator)

        prompt = self._prefix.to(seqs.device).expand(len(seqs), -1)

        return generator(seqs, layout, prompt, BatchLayout.of(prompt)).hypotheses


class PromptTranslation(TranslationFormat):
    """A prompt for a decoder-only model; its response is the translation, up to a line's end."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        direction: Direction,
        prompt: Prompt,
        *,
        len_penalty: float | None = 1.0,
    ) -> None:
        """
        :param len_penalty: The power of its length that a response's log-probability is divided by,
            where hypotheses come with the scores of their steps; ``None`` to leave scores alone.

        :raises CorpusError: A language of ``direction`` has no name to put into the prompt.
        :raises EmbeddingError: The tokenizer is not one of a language model.
        """
        prompt.check(direction)

        self._prompt = prompt
        self._direction = direction
        self._encode = tokenizer.create_raw_encoder()
        self._decode = tokenizer.create_decoder(skip_special_tokens=True)
        self._end_idx = tokenizer.vocab_info.eos_idx
        self._len_penalty = len_penalty

        self.source, _ = prompt_formats(tokenizer)
        self.pad_idx = prompt_padding(tokenizer)

    @override
    def encode(self, text: str) -> Tensor:
        return self._encode(self._prompt.render(text, self._direction))

    @override
    def decode(self, seq: Tensor) -> str:
        # Not every decoder leaves it out.
        if len(seq) > 0 and int(seq[-1]) == self._end_idx:
            seq = seq[:-1]

        lines = self._decode(seq).strip().splitlines() if len(seq) > 0 else []

        # A text of a corpus is one line: what a model adds is no translation.
        return lines[0].rstrip() if lines else ""

    @override
    def search(
        self, generator: AnyGenerator, seqs: Tensor, layout: BatchLayout
    ) -> list[list[Hypothesis]]:
        """Searches for prompts of the same length together.

        With others beside it, fairseq2's beam search would not let the response to a shorter prompt
        end before the longest prompt does.
        """
        assert isinstance(generator, SequenceGenerator)

        places: dict[int, list[int]] = defaultdict(list)

        for place, length in enumerate(layout.seq_lens):
            places[length].append(place)

        found: list[list[Hypothesis]] = [[] for _ in layout.seq_lens]

        for length, group in places.items():
            prompts = seqs[group, :length]

            output = generator(prompts, BatchLayout.of(prompts))

            for place, hypotheses in zip(group, output.hypotheses, strict=True):
                found[place] = self._ranked(hypotheses)

        return found

    def _ranked(self, hypotheses: list[Hypothesis]) -> list[Hypothesis]:
        """Ranks by what the response alone scores.

        fairseq2 divides by the length of prompt and response, which hardly tells a long response
        from a short one; transformers leaves the prompt out.
        """
        if self._len_penalty is None:
            return hypotheses

        for hypothesis in hypotheses:
            if hypothesis.step_scores is None:
                return hypotheses

            total = hypothesis.step_scores.sum()

            hypothesis.score = total / len(hypothesis.seq) ** self._len_penalty

        return sorted(hypotheses, key=_score_of, reverse=True)


def _score_of(hypothesis: Hypothesis) -> float:
    assert hypothesis.score is not None

    return float(hypothesis.score)
