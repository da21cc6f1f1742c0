"""fairseq2's beam search for all sentences of a batch at once.

fairseq2 searches sentence by sentence in Python. Here a step is a fixed number of tensor
operations, whatever the number of sentences; what is found is the same, rounding aside. How much
faster that is, `benchmarks/transformers_peer` measures.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, final

import torch
from fairseq2.data.tokenizers import VocabularyInfo
from fairseq2.error import NotSupportedError
from fairseq2.generation import (
    GenerationCounters,
    Seq2SeqGenerator,
    SequenceGenerationError,
    SequenceGeneratorOutput,
    StepHook,
)
from fairseq2.generation.step_processor import StepProcessor
from fairseq2.models.transformer import TransformerModel
from fairseq2.nn import BatchLayout
from fairseq2.utils.stopwatch import Stopwatch
from torch import Tensor
from torch.utils.hooks import RemovableHandle
from typing_extensions import override

from fairseq2_jest.translation.beam_decoder import BeamDecoder, check_decoder
from fairseq2_jest.translation.beams import Beams

BATCHED_BEAM_SEARCH: Final = "batched_beam_search"


@final
class BatchedBeamSearchGenerator(Seq2SeqGenerator):
    """Finds what :class:`~fairseq2.generation.beam_search.BeamSearchSeq2SeqGenerator` finds.

    The prompts of a batch must be of one length. A step hook is shown the hypotheses of the
    sentences that are not finished, as fairseq2 shows them.
    """

    def __init__(
        self,
        model: TransformerModel,
        vocab_info: VocabularyInfo,
        *,
        beam_size: int = 5,
        min_gen_len: int = 1,
        max_gen_len: tuple[float, int] = (1.0, 128),
        max_seq_len: int | None = None,
        echo_prompt: bool = False,
        normalize_scores: bool = True,
        temperature: float = 1.0,
        unk_penalty: float = 0.0,
        len_penalty: float = 1.0,
        step_processors: Sequence[StepProcessor] = (),
    ) -> None:
        """The parameters are those of fairseq2's generator.

        :raises ValueError: The vocabulary has no end of sentence, or fewer tokens than the search
            looks at.
        :raises NotSupportedError: The model has another decoder than fairseq2's, is compiled, or
            its decoder has relative positions.
        """
        if vocab_info.eos_idx is None:
            raise ValueError("The vocabulary has no end of sentence.")

        if vocab_info.size < 2 * beam_size:
            raise ValueError(
                f"A beam of {beam_size} needs a vocabulary of at least {2 * beam_size} tokens, but "
                f"it has {vocab_info.size}."
            )

        check_decoder(model)

        model.eval()

        self._model = model
        self._pad_idx = vocab_info.pad_idx
        self._unk_idx = vocab_info.unk_idx
        self._eos_idx = vocab_info.eos_idx
        self._beam_size = beam_size
        self._echo_prompt = echo_prompt
        self._min_gen_len = min_gen_len
        self._max_gen_len = max_gen_len
        self._max_seq_len = min(max_seq_len or model.max_target_seq_len, model.max_target_seq_len)
        self._normalize_scores = normalize_scores
        self._temperature = temperature
        self._unk_penalty = unk_penalty
        self._len_penalty = len_penalty
        self._step_processors = step_processors
        self._step_hooks: dict[int, StepHook] = OrderedDict()

    @override
    @torch.inference_mode()
    def __call__(
        self,
        source_seqs: Tensor,
        source_seqs_layout: BatchLayout,
        prompt_seqs: Tensor,
        prompt_seqs_layout: BatchLayout,
    ) -> SequenceGeneratorOutput:
        """
        :raises NotSupportedError: The prompts are of different lengths.
        :raises ValueError: No translation can be as short or as long as asked for.
        :raises SequenceGenerationError: The model gives NaN.
        """
        if source_seqs_layout.packed or prompt_seqs_layout.packed or prompt_seqs_layout.padded:
            raise NotSupportedError("The prompts of a batch must be of one length, and not packed.")

        prompt_len = prompt_seqs.size(1)

        slope, offset = self._max_gen_len

        max_gen_len = int(slope * max(source_seqs_layout.seq_lens) + offset)

        if max_gen_len < self._min_gen_len:
            raise ValueError(
                f"The most tokens to generate, {max_gen_len}, must be at least min_gen_len, "
                f"{self._min_gen_len}."
            )

        if prompt_len >= self._max_seq_len:
            raise ValueError(
                f"The prompt has {prompt_len} tokens, but max_seq_len is {self._max_seq_len}."
            )

        # As in fairseq2, the shortest and the longest with their prompts.
        min_len, max_len = (
            min(self._max_seq_len, prompt_len + num) for num in (self._min_gen_len, max_gen_len)
        )

        beams = Beams(prompt_seqs, self._beam_size, max_len, self._eos_idx)

        counters = GenerationCounters(prefill_size=prompt_seqs.numel())

        watch = Stopwatch(device=source_seqs.device)

        with BeamDecoder(self._model, self._beam_size, max_len) as decoder:
            logits = decoder.prefill(source_seqs, source_seqs_layout, prompt_seqs)

            self._score_prompts(beams, logits[:, :-1], prompt_seqs)

            logits = logits[:, -1]

            watch.start()

            for step in range(prompt_len, max_len):
                counters.num_generated_elements += len(logits)

                lprobs = self._log_probs(logits, step)

                if step == max_len - 1:
                    _allow_only(self._eos_idx, lprobs)
                else:
                    self._process(lprobs, beams, step, can_end=step >= min_len - 1)

                rows, sentences = beams.advance(step, *self._best(lprobs, beams, step))

                if len(rows) == 0:
                    break

                self._call_hooks(beams, step + 1, prefill=False)

                decoder.reorder(rows, sentences)

                if step + 1 < max_len:
                    logits = decoder.decode(beams.seqs[..., step].flatten())

            watch.stop()

        counters.generation_time = watch.get_elapsed_time()

        hypotheses = beams.hypotheses(
            len_penalty=self._len_penalty if self._normalize_scores else None,
            echo_prompt=self._echo_prompt,
        )

        return SequenceGeneratorOutput(hypotheses, counters)

    def _score_prompts(self, beams: Beams, logits: Tensor, prompts: Tensor) -> None:
        """
        :param logits: Of all places of the prompts but the last. *Shape:* ``(N, P - 1, V)``
        """
        if logits.size(1) == 0:
            return

        lprobs = self._log_softmax(logits)

        if lprobs[..., 0].isnan().any():
            raise SequenceGenerationError()

        scores = lprobs.gather(2, prompts[:, 1:, None]).squeeze(2).cumsum(dim=1)

        beams.scores[:, 0, 1 : prompts.size(1)] = scores

        self._call_hooks(beams, prompts.size(1), prefill=True)

    def _call_hooks(self, beams: Beams, num_steps: int, *, prefill: bool) -> None:
        if not self._step_hooks:
            return

        prompts = beams.sentences.repeat_interleave(beams.seqs.size(1))

        # Views, for a hook may change scores.
        seqs, scores = (x.flatten(0, 1)[:, :num_steps] for x in (beams.seqs, beams.scores))

        for hook in self._step_hooks.values():
            hook(prompts, seqs, scores, prefill=prefill)

    def _log_softmax(self, logits: Tensor) -> Tensor:
        if self._temperature != 1.0:
            logits = logits / self._temperature

        return torch.log_softmax(logits, dim=-1, dtype=torch.float32)

    def _log_probs(self, logits: Tensor, step: int) -> Tensor:
        lprobs = self._log_softmax(logits)

        # NaN spreads through its row: one token stands for all.
        if lprobs[:, 0].isnan().any():
            raise SequenceGenerationError(step)

        return lprobs

    def _process(self, lprobs: Tensor, beams: Beams, step: int, *, can_end: bool) -> None:
        for processor in self._step_processors:
            processor(beams.seqs.flatten(0, 1)[:, :step], lprobs, lprob=True)

        if self._unk_idx is not None:
            lprobs[:, self._unk_idx] -= self._unk_penalty

        if self._pad_idx is not None:
            lprobs[:, self._pad_idx] = -torch.inf

        if not can_end:
            lprobs[:, self._eos_idx] = -torch.inf

    def _best(self, lprobs: Tensor, beams: Beams, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """The scores, hypotheses and tokens of the best continuations of each sentence."""
        vocab_size = lprobs.size(1)

        lprobs += beams.scores.flatten(0, 1)[:, step - 1, None]

        scores, indices = lprobs.view(len(beams.sentences), -1).topk(2 * self._beam_size)

        return scores, indices // vocab_size, indices % vocab_size

    @override
    def register_step_hook(self, hook: StepHook) -> RemovableHandle:
        handle = RemovableHandle(self._step_hooks)

        self._step_hooks[handle.id] = hook

        return handle

    @property
    @override
    def model(self) -> TransformerModel:
        return self._model


def _allow_only(token: int, lprobs: Tensor) -> None:
    kept = lprobs[:, token].clone()

    lprobs.fill_(-torch.inf)

    lprobs[:, token] = kept
