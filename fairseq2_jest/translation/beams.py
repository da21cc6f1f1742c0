"""The hypotheses of a batch of sentences, as tensors."""

from __future__ import annotations

import torch
from fairseq2.generation import Hypothesis
from torch import Tensor


class Beams:
    """The ``B`` best open hypotheses of each sentence, and the first ``B`` that came to an end.

    A sentence with ``B`` ended ones is finished, and is left out from then on.
    """

    def __init__(self, prompts: Tensor, beam_size: int, max_len: int, eos_idx: int) -> None:
        """
        :param prompts: *Shape:* ``(N, P)``
        :param max_len: The most tokens of a hypothesis, prompt included.
        """
        num_sentences, prompt_len = prompts.shape

        device = prompts.device

        self._beam_size = beam_size
        self._eos_idx = eos_idx
        self._prompt_len = prompt_len

        self.seqs = torch.zeros((num_sentences, 1, max_len), dtype=torch.int64, device=device)
        """The tokens. *Shape:* ``(N, B, S)``, at the beginning ``(N, 1, S)``; ``N`` falls."""

        self.scores = torch.zeros((num_sentences, 1, max_len), device=device)
        """The score of a hypothesis up to each token. *Shape:* as of ``seqs``."""

        self.sentences = torch.arange(num_sentences, device=device)
        """Which sentences of the batch are still open. *Shape:* ``(N)``"""

        self.seqs[:, 0, :prompt_len] = prompts

        self._num_ended = torch.zeros_like(self.sentences)

        shape = (num_sentences, beam_size)

        self._ended_seqs = torch.zeros((*shape, max_len), dtype=torch.int64, device=device)
        self._ended_scores = torch.zeros((*shape, max_len), device=device)
        self._ended_lens = torch.zeros(shape, dtype=torch.int64, device=device)

    def advance(
        self, step: int, scores: Tensor, beams: Tensor, tokens: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Goes on with the best candidates, the ``2 x B`` of each sentence, best first.

        As in fairseq2 and fairseq 1, an end counts only among the first ``B``, and the hypotheses
        to go on with are the first ``B`` that are no end.

        :param step: The place of the next token.
        :param scores: *Shape:* ``(N, 2 x B)``
        :param beams: The hypothesis that each goes on from. *Shape:* as of ``scores``.
        :param tokens: Its next token. *Shape:* as of ``scores``.

        :returns: What each hypothesis goes on from, as a row of ``N x B``; and the places of the
            sentences that are open still among those that were, ``None`` if it is all.
        """
        is_end = tokens == self._eos_idx

        ends, rank = self._ends(is_end)

        num_beams = self.seqs.size(1)

        # Here the host waits for the device.
        where = ends.nonzero()

        keep = None

        if len(where) > 0:
            self._end(step, where, rank, scores, beams)

            finished = self._num_ended.index_select(0, self.sentences) == self._beam_size

            keep = (~finished).nonzero().squeeze(1)

            if len(keep) == len(self.sentences):
                keep = None

        # (N, B), stable
        order = is_end.to(torch.uint8).argsort(dim=1, stable=True)[:, : self._beam_size]

        if keep is not None:
            order, scores, beams, tokens = (
                x.index_select(0, keep) for x in (order, scores, beams, tokens)
            )

            self.sentences = self.sentences.index_select(0, keep)

            offsets = keep
        else:
            offsets = torch.arange(len(order), device=order.device)

        rows = (offsets[:, None] * num_beams + beams.gather(1, order)).flatten()

        shape = (len(order), self._beam_size, self.seqs.size(2))

        self.seqs = self.seqs.flatten(0, 1).index_select(0, rows).view(shape)
        self.seqs[..., step] = tokens.gather(1, order)

        self.scores = self.scores.flatten(0, 1).index_select(0, rows).view(shape)
        self.scores[..., step] = scores.gather(1, order)

        return rows, keep

    def _ends(self, is_end: Tensor) -> tuple[Tensor, Tensor]:
        """Which of the candidates end a hypothesis, and the how manieth of its sentence it is."""
        ends = is_end[:, : self._beam_size]

        rank = self._num_ended.index_select(0, self.sentences)[:, None] + ends.cumsum(dim=1) - 1

        return ends & (rank < self._beam_size), rank

    def _end(self, step: int, where: Tensor, rank: Tensor, scores: Tensor, beams: Tensor) -> None:
        place, candidate = where.unbind(dim=1)

        target = self.sentences[place], rank[place, candidate]
        origin = place, beams[place, candidate]

        seqs, history = self.seqs[origin], self.scores[origin]

        seqs[:, step] = self._eos_idx
        history[:, step] = scores[place, candidate]

        self._ended_seqs[target] = seqs
        self._ended_scores[target] = history
        self._ended_lens[target] = step + 1

        self._num_ended.index_add_(0, target[0], torch.ones_like(target[0]))

    def hypotheses(self, *, len_penalty: float | None, echo_prompt: bool) -> list[list[Hypothesis]]:
        """What came to an end, the best of each sentence first.

        :param len_penalty: The power of the length that a score is divided by; ``None`` for none.
        """
        lens = self._ended_lens

        scores = self._ended_scores.gather(2, (lens - 1).clamp(min=0)[..., None]).squeeze(2)

        if len_penalty is not None:
            # The first token is given, and does not count.
            scores = scores / (lens - 1).clamp(min=1) ** len_penalty

        begin = 0 if echo_prompt else self._prompt_len

        all_lens, all_scores = lens.tolist(), scores.tolist()

        hypotheses = []

        for sentence, num_ended in enumerate(self._num_ended.tolist()):
            by_score = sorted(range(num_ended), key=lambda i: -all_scores[sentence][i])

            hypotheses.append(
                [
                    Hypothesis(
                        self._ended_seqs[sentence, i, begin : all_lens[sentence][i]],
                        scores[sentence, i],
                        self._step_scores(sentence, i, begin, all_lens[sentence][i]),
                    )
                    for i in by_score
                ]
            )

        return hypotheses

    def _step_scores(self, sentence: int, index: int, begin: int, end: int) -> Tensor:
        scores = self._ended_scores[sentence, index, begin:end].clone()

        scores[1:] -= self._ended_scores[sentence, index, begin : end - 1]

        return scores
