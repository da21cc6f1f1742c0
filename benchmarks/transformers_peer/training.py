"""Training steps of `fairseq2 mt finetune` and of Seq2SeqTrainer, in turns."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# fairseq2.trainer cannot be imported first.
import fairseq2.recipe.base  # noqa: F401
import torch
from fairseq2.data.tokenizers import load_tokenizer
from fairseq2.datasets import Seq2SeqBatch
from fairseq2.gang import create_fake_gangs
from fairseq2.models import load_model

from benchmarks.steps import SteppedRun
from benchmarks.transformers_peer.model import load_theirs, now, seconds
from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.sampling import CorpusSampler
from fairseq2_jest.selection.batching import MicroBatcher
from fairseq2_jest.selection.embedder import SuperBatchEmbedder
from fairseq2_jest.selection.iid import IidConfig, IidSelector
from fairseq2_jest.selection.reader import SelectingDataReader
from fairseq2_jest.selection.tokenizing import PairTokenizer, SuperBatchReader

LEARNING_RATE = 5e-4

BETAS = (0.9, 0.98)

LABEL_SMOOTHING = 0.1

Example = dict[str, list[int]]


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What the measured steps train on."""

    num_pairs: int
    """Pairs a step."""

    num_batches: int
    """Into how many batches Seq2SeqTrainer divides them, in the order that they come."""

    max_num_tokens: int
    """Of a side of a micro-batch of ours, which are made of pairs of like length."""

    num_steps: int
    """How many steps are measured; one more comes before."""


@dataclass(frozen=True, kw_only=True)
class Turns:
    """What the steps took, and what they did."""

    ours: list[float]
    """Seconds of each step."""

    theirs: list[float]
    """Seconds of each step."""

    tokens: list[int]
    """Source and target tokens of each step, without padding, the same for both."""

    our_padding: float
    """The share of padding in what our model was given."""

    their_padding: float
    """The share in what theirs was given."""


class TrainingBench:
    """Both models, from the same weights, and the corpus that they train on."""

    def __init__(self, folder: Path, corpus: Corpus, device: torch.device, scratch: Path) -> None:
        self._folder = folder
        self._corpus = corpus
        self._device = device
        self._scratch = scratch
        self._gangs = create_fake_gangs(device)
        self._tokenizer = load_tokenizer(str(folder))

    def measure(self, steps: Steps) -> Turns:
        """Trains both on the same pairs, step by step in turns."""
        read = self._reader(steps)

        batches = [next(read) for _ in range(steps.num_steps + 1)]

        theirs, tokenizer = load_theirs(self._folder, self._device, torch.float32)

        run = self._our_run(steps)

        times = []

        def our_turn() -> None:
            times.append(seconds(run.step, self._device)[0])

        trainer = self.trainer(
            theirs,
            tokenizer,
            [example for step in batches for example in self._examples(step)],
            batch_size=steps.num_pairs // steps.num_batches,
            gradient_accumulation_steps=steps.num_batches,
            max_steps=len(batches),
        )

        clock = _clock(our_turn, self._device)

        trainer.add_callback(clock)

        places: list[int] = []

        theirs.register_forward_pre_hook(
            lambda _, args, kwargs: places.append(
                kwargs["input_ids"].numel() + kwargs["decoder_input_ids"].numel()
            ),
            with_kwargs=True,
        )

        trainer.train()

        tokens = [sum(map(_num_tokens, step)) for step in batches]

        our_places = sum(_num_places(batch) for step in batches for batch in step)

        return Turns(
            ours=times[1:],
            theirs=clock.times[1:],
            tokens=tokens[1:],
            our_padding=1.0 - sum(tokens) / our_places,
            their_padding=1.0 - sum(tokens) / sum(places),
        )

    def check_losses(self) -> float:
        """The most that the losses of a few pairs differ, dropout off."""
        steps = Steps(num_pairs=8, num_batches=1, max_num_tokens=4096, num_steps=1)

        (batch,) = next(self._reader(steps))

        inputs, targets = batch.as_auto_regressive()

        model = self._our_model().eval()

        theirs, tokenizer = load_theirs(self._folder, self._device, torch.float32)

        trainer = self.trainer(theirs.eval(), tokenizer, [], batch_size=8, max_steps=1)

        collated = trainer.data_collator(self._examples([batch], shuffled=False))

        with torch.inference_mode():
            ours = model(
                *inputs.as_source_input(),
                *inputs.as_target_input(),
                targets=targets.seqs,
                label_smoothing=LABEL_SMOOTHING,
            )

            expected = trainer.compute_loss(theirs, collated.to(self._device))

        return abs(float(ours) / targets.num_elements - float(expected))

    def examples(self, num_batches: int, batch_size: int) -> list[Example]:
        """Pairs of the corpus, so that those of a batch are of like length."""
        steps = Steps(
            num_pairs=num_batches * batch_size, num_batches=1, max_num_tokens=8192, num_steps=1
        )

        by_length = self._examples(next(self._reader(steps)), shuffled=False)

        begins = list(range(0, len(by_length), batch_size))

        random.Random(1).shuffle(begins)

        return [example for begin in begins for example in by_length[begin : begin + batch_size]]

    def trainer(
        self,
        model: Any,
        tokenizer: Any,
        examples: Sequence[Example],
        *,
        batch_size: int,
        max_steps: int,
        learning_rate: float = LEARNING_RATE,
        gradient_accumulation_steps: int = 1,
    ) -> Any:
        """Seq2SeqTrainer, taking the examples as they come."""
        import transformers
        from torch.utils.data import SequentialSampler

        class InOrder(transformers.Seq2SeqTrainer):
            def _get_train_sampler(self, *args: Any) -> Any:
                return SequentialSampler(examples)

        arguments = transformers.Seq2SeqTrainingArguments(
            output_dir=str(self._scratch / "trainer"),
            per_device_train_batch_size=batch_size,
            gradient_accumulation_steps=gradient_accumulation_steps,
            max_steps=max_steps,
            learning_rate=learning_rate,
            adam_beta1=BETAS[0],
            adam_beta2=BETAS[1],
            optim="adamw_torch",
            weight_decay=0.01,
            lr_scheduler_type="constant",
            label_smoothing_factor=LABEL_SMOOTHING,
            max_grad_norm=1.0,
            bf16=self._device.type == "cuda",
            use_cpu=self._device.type == "cpu",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            logging_steps=1_000_000,
            seed=1,
        )

        return InOrder(
            model=model,
            args=arguments,
            train_dataset=list(examples),
            data_collator=transformers.DataCollatorForSeq2Seq(tokenizer, model=model),
        )

    def _our_model(self) -> Any:
        return load_model(str(self._folder), dtype=torch.float32, device=self._device)

    def _our_run(self, steps: Steps) -> SteppedRun:
        model = self._our_model().train()

        optimizer = torch.optim.AdamW(
            model.parameters(), lr=LEARNING_RATE, betas=BETAS, weight_decay=0.01
        )

        autocast_dtype = torch.bfloat16 if self._device.type == "cuda" else None

        return SteppedRun(
            model, self._reader(steps), optimizer, self._gangs, autocast_dtype=autocast_dtype
        )

    def _reader(self, steps: Steps) -> SelectingDataReader:
        selector = IidSelector(IidConfig(batch_size=steps.num_pairs))

        return SelectingDataReader(
            corpus=self._corpus,
            super_batches=SuperBatchReader(
                CorpusSampler(self._corpus.sizes, self._corpus.weights, seed=1),
                PairTokenizer(self._corpus, self._tokenizer, max_seq_len=128),
                steps.num_pairs,
            ),
            selector=selector,
            embedder=SuperBatchEmbedder(selector, self._gangs),
            batcher=MicroBatcher(self._tokenizer, max_num_tokens=steps.max_num_tokens),
            gangs=self._gangs,
            seed=2,
        )

    def _examples(self, step: Sequence[Seq2SeqBatch], *, shuffled: bool = True) -> list[Example]:
        """The pairs of a step as transformers wants them, in an order of no meaning."""
        examples = [
            {
                "input_ids": source[:source_len].tolist(),
                # The first token of ours is what transformers puts before the labels itself.
                "labels": target[1:target_len].tolist(),
            }
            for batch in step
            for source, source_len, target, target_len in zip(
                batch.source_seqs,
                batch.source_seq_lens or [],
                batch.target_seqs,
                batch.target_seq_lens or [],
                strict=True,
            )
        ]

        if shuffled:
            random.Random(len(examples)).shuffle(examples)

        return examples


def _num_tokens(batch: Seq2SeqBatch) -> int:
    source, target = batch.as_auto_regressive()

    return int(source.num_source_elements + target.num_elements)


def _num_places(batch: Seq2SeqBatch) -> int:
    """With padding, and without the last token of a target, which is no input."""
    source, target = (seqs.numel() for seqs in (batch.source_seqs, batch.target_seqs[:, 1:]))

    return source + target


def _clock(our_turn: Any, device: torch.device) -> Any:
    """A callback that times Seq2SeqTrainer from one step's end to the next, and lets ours step in
    between."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.times: list[float] = []

        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            self._begin = now(device)

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            self.times.append(now(device) - self._begin)

            our_turn()

            self._begin = now(device)

    return Clock()
