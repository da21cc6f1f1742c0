"""Beam search of `fairseq2 mt translate`, of fairseq2 and of transformers, in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

# fairseq2.trainer cannot be imported first.
import fairseq2.recipe.base  # noqa: F401
import torch
from fairseq2.data.tokenizers import load_tokenizer
from fairseq2.generation.beam_search import BeamSearchSeq2SeqGenerator
from fairseq2.models import load_model
from fairseq2.nn import BatchLayout
from torch import Tensor

from benchmarks.transformers_peer.model import LANGS, load_theirs, seconds
from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.embedding.tokens import batches_by_length, layout_of, pad
from fairseq2_jest.models.generation import ignore_prompt_scores
from fairseq2_jest.translation.batched_search import BatchedBeamSearchGenerator
from fairseq2_jest.translation.translator import Translator

ARMS = ("ours", "fairseq2", "transformers")

Batch = tuple[Tensor, list[int]]


@dataclass(frozen=True, kw_only=True)
class Search:
    """What both search for."""

    beam_size: int
    max_len: int
    """The most tokens of a translation, its end included."""

    batch_size: int
    """Lines that `generate` is given at a time, in the order of the file."""

    max_num_tokens: int
    """Source tokens of a batch of like lengths."""


@dataclass(frozen=True, kw_only=True)
class Turns:
    """What the turns took, and what was found."""

    seconds: dict[str, list[float]]
    """Of each arm, in each turn."""

    found: dict[str, list[Any]]
    """The translations of each arm."""


class TranslationBench:
    """Both models with the same weights, and the lines that they translate."""

    def __init__(
        self,
        folder: Path,
        lines: Sequence[str],
        search: Search,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._lines = lines
        self._search = search
        self._device = device
        self._tokenizer = load_tokenizer(str(folder))
        self._pad_idx = int(self._tokenizer.vocab_info.pad_idx or 0)

        model: Any = load_model(str(folder), dtype=dtype, device=device)

        self._generators: dict[str, Any] = {
            name: kls(
                model,
                self._tokenizer.vocab_info,
                beam_size=search.beam_size,
                max_gen_len=(0.0, search.max_len),
            )
            for name, kls in zip(
                ARMS, (BatchedBeamSearchGenerator, BeamSearchSeq2SeqGenerator), strict=False
            )
        }

        for generator in self._generators.values():
            ignore_prompt_scores(generator)

        self._theirs, self._their_tokenizer = load_theirs(folder, device, dtype)
        self._theirs.eval()

        encode = self._tokenizer.create_encoder(lang=LANGS[0], mode="source")

        self._sources = [encode(line) for line in lines]

    def same_batches(self, num_turns: int) -> Turns:
        """All translate the same padded batches of like lengths, taking turns at each."""
        lens = [len(source) for source in self._sources]

        groups = batches_by_length(lens, self._search.max_num_tokens)

        batches = [pad([self._sources[i] for i in group], self._pad_idx) for group in groups]

        arms: dict[str, Callable[[Batch], list[list[int]]]] = {
            name: partial(self._find, generator) for name, generator in self._generators.items()
        }

        arms["transformers"] = self._generate

        return take_turns(arms, batches, num_turns, self._device)

    def file(self, num_turns: int) -> Turns:
        """Each translates the lines as its users do, text to text."""
        settings = self._search

        translator = Translator(
            self._generators["ours"],
            self._tokenizer,
            Direction(*LANGS),
            device=self._device,
            max_source_len=256,
            max_num_tokens=settings.max_num_tokens,
        )

        arms: dict[str, Callable[[Sequence[str]], list[str]]] = {
            "ours": lambda lines: [t.hypotheses[0].text for t in translator(lines)],
            "transformers": self._generate_texts,
        }

        return take_turns(arms, [self._lines], num_turns, self._device)

    def _find(self, generator: Any, batch: Batch) -> list[list[int]]:
        source, lens = batch[0].to(self._device), batch[1]

        prefix = self._tokenizer.create_encoder(lang=LANGS[1], mode="target").prefix_indices
        assert prefix is not None

        prompt = prefix.to(self._device).expand(len(source), -1)

        output = generator(source, layout_of(source, lens), prompt, BatchLayout.of(prompt))

        return [hypotheses[0].seq.tolist() for hypotheses in output.hypotheses]

    @torch.inference_mode()
    def _generate(self, batch: Batch) -> list[list[int]]:
        source, lens = batch[0].to(self._device), batch[1]

        places = torch.arange(source.size(1), device=self._device)

        output = self._theirs.generate(
            input_ids=source,
            attention_mask=(places < torch.tensor(lens, device=self._device)[:, None]).long(),
            forced_bos_token_id=self._their_tokenizer.convert_tokens_to_ids(LANGS[1]),
            # As fairseq2 ends what is too long.
            forced_eos_token_id=self._their_tokenizer.eos_token_id,
            num_beams=self._search.beam_size,
            do_sample=False,
            max_new_tokens=1 + self._search.max_len,
            early_stopping=True,
        )

        eos = self._their_tokenizer.eos_token_id

        return [row[: row.index(eos) + 1] for row in output[:, 2:].tolist()]

    def _generate_texts(self, lines: Sequence[str]) -> list[str]:
        texts: list[str] = []

        size = self._search.batch_size

        for begin in range(0, len(lines), size):
            batch = self._their_tokenizer(
                list(lines[begin : begin + size]), return_tensors="pt", padding=True
            )

            lens = batch["attention_mask"].sum(1).tolist()

            found = self._generate((batch["input_ids"], lens))

            texts += self._their_tokenizer.batch_decode(found, skip_special_tokens=True)

        return texts


def take_turns(
    arms: dict[str, Callable[[Any], list[Any]]],
    portions: Sequence[Any],
    num_turns: int,
    device: torch.device,
) -> Turns:
    """Gives each portion to each arm in turn, the first one once more before, to warm up."""
    times = {name: [0.0] * num_turns for name in arms}

    found: dict[str, list[Any]] = {name: [] for name in arms}

    for arm in arms.values():
        arm(portions[0])

    for portion in portions:
        for turn in range(num_turns):
            for name, arm in arms.items():
                elapsed, translations = seconds(partial(arm, portion), device)

                times[name][turn] += elapsed

                if turn == 0:
                    found[name] += translations

    return Turns(seconds=times, found=found)


def share_equal(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    """The share of translations that are the same, token for token."""
    return sum(1 for a, b in zip(ours, theirs, strict=True) if a == b) / len(ours)
