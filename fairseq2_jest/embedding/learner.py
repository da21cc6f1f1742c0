"""The learner's view of a sentence: the model that is being trained, over its tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from fairseq2.data.tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import normalize

from fairseq2_jest.embedding.forward_pass import ForwardPass
from fairseq2_jest.embedding.text_stack import create_text_stack
from fairseq2_jest.embedding.tokens import TokenizedPairs, layout_of, pad, places_of


class LearnerEncoder:
    """Embeds texts with a model in training.

    Both sides go through the *encoder*, the target side with its own language's token in source
    mode; through the decoder where a model has nothing else, without a prompt. An embedding is the
    masked mean of the last hidden states over the tokens of the text (special tokens left out),
    L2-normalised in fp32. (arXiv 2511.04406 does not publish its pooling; this is our reading.) How
    the model is run, see :class:`ForwardPass`.
    """

    def __init__(
        self,
        forward_pass: ForwardPass,
        tokenizer: Tokenizer,
        *,
        num_layers: int | None = None,
    ) -> None:
        """
        :param num_layers: How many of the layers to run; ``None`` for all.

        :raises EmbeddingError: The model does not translate or has not that many layers, or the
            tokenizer does not suit it.
        """
        self._stack = create_text_stack(forward_pass.model, tokenizer, num_layers=num_layers)
        self._device = forward_pass.device
        self._pass = forward_pass

    @property
    def dim(self) -> int:
        """The dimension of an embedding."""
        return self._stack.dim

    @property
    def share_of_layers(self) -> float:
        """The share of the layers that are run."""
        return self._stack.share

    def encode_source(self, pairs: TokenizedPairs) -> Tensor:
        """Embeds the source side. *Shape of the result:* ``(N, d)``, fp32, on the device."""
        return self._encode(pairs.source, pairs.source_langs)

    def encode_target(self, pairs: TokenizedPairs) -> Tensor:
        """Embeds the target side. *Shape of the result:* ``(N, d)``, fp32, on the device."""
        return self._encode(pairs.target, pairs.target_langs)

    def num_tokens(self, pairs: TokenizedPairs) -> int:
        """The tokens that embedding both sides takes through the model, padding left out."""
        sides = ((pairs.source, pairs.source_langs), (pairs.target, pairs.target_langs))

        return sum(
            len(body) + self._stack.format(lang).num_special
            for bodies, langs in sides
            for body, lang in zip(bodies, langs, strict=True)
        )

    def _encode(self, bodies: Sequence[Tensor], langs: Sequence[str]) -> Tensor:
        formats = [self._stack.format(lang) for lang in langs]

        sequences = [format_(body) for format_, body in zip(formats, bodies, strict=True)]

        begins = [len(format_.prefix) for format_ in formats]

        ends = [begin + len(body) for begin, body in zip(begins, bodies, strict=True)]

        def pool(batch: list[int]) -> Tensor:
            seqs, seq_lens = pad([sequences[i] for i in batch], self._stack.pad_idx)

            mask = places_of(seqs, [ends[i] for i in batch], [begins[i] for i in batch])
            mask = mask.float().unsqueeze(2).to(self._device)

            seqs = seqs.to(self._device)

            output = self._stack(seqs, layout_of(seqs, seq_lens)).float()

            return (output * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1.0)

        embeddings = torch.empty((len(sequences), self.dim), device=self._device)

        self._pass.run([len(sequence) for sequence in sequences], pool, embeddings)

        return normalize(embeddings, dim=1)
