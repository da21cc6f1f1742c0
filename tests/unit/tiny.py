"""The smallest tokenizer, models, corpora and gangs that the package can be tested with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier, Lock
from typing import NoReturn, TypeVar

import pytest
import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.device import CPU, Device
from fairseq2.gang import FakeGang, Gang, Gangs, ReduceOperation
from fairseq2.models.nllb import NllbConfig
from fairseq2.models.nllb.factory import create_nllb_model
from fairseq2.models.nllb.tokenizer import NllbTokenizerConfig, load_nllb_tokenizer
from fairseq2.models.transformer import TransformerModel
from torch import Tensor
from torch.distributed import ProcessGroup
from typing_extensions import override

from fairseq2_jest.corpus.builtin import BuiltinConfig, generate
from fairseq2_jest.corpus.config import CorpusConfig, ParallelTextConfig
from fairseq2_jest.corpus.dataset import Corpus, open_parallel_text
from fairseq2_jest.embedding.builtin_tokenizer import TokenizerTraining, ensure_builtin_tokenizer
from fairseq2_jest.embedding.tokens import TokenizedPairs

ENG, DEU = "eng_Latn", "deu_Latn"

T = TypeVar("T")

_RANDOM_STATE = Lock()


@cache
def tokenizer() -> Tokenizer:
    """NLLB's tokenizer around 200 pieces of the built-in corpus."""
    training = TokenizerTraining(pretrain_size=300, trusted_size=300, vocab_size=200)

    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAIRSEQ2_JEST_CACHE_DIR", folder)

        return load_nllb_tokenizer(
            ensure_builtin_tokenizer(training),
            NllbTokenizerConfig(langs=[ENG, DEU], default_lang=ENG),
        )


def model(seed: int = 0) -> TransformerModel:
    """An encoder-decoder model for :func:`tokenizer`, in training mode, with dropout."""
    config = NllbConfig(
        model_dim=16,
        max_seq_len=64,
        vocab_size=tokenizer().vocab_info.size,
        num_encoder_layers=2,
        num_decoder_layers=1,
        num_encoder_attn_heads=2,
        num_decoder_attn_heads=2,
        ffn_inner_dim=32,
        dropout_p=0.3,
    )

    # Ranks that are threads share torch's random state.
    with _RANDOM_STATE, torch.random.fork_rng():
        torch.manual_seed(seed)

        return create_nllb_model(config).train()


def random_pairs(num: int, *, seed: int = 0, max_len: int = 20) -> TokenizedPairs:
    """Pairs of random tokens in either direction, one token at the least."""
    generator = torch.Generator().manual_seed(seed)

    size = tokenizer().vocab_info.size

    def side() -> list[Tensor]:
        lengths = torch.randint(1, max_len + 1, (num,), generator=generator).tolist()

        # The first four are special.
        return [torch.randint(4, size - 5, (length,), generator=generator) for length in lengths]

    return TokenizedPairs(
        source=side(),
        target=side(),
        source_langs=[(ENG, DEU)[i % 2] for i in range(num)],
        target_langs=[(DEU, ENG)[i % 2] for i in range(num)],
    )


@cache
def sentences(num: int) -> tuple[tuple[str, str], ...]:
    """Pairs of different sentences, whose text :func:`tokenizer` can give back."""
    config = BuiltinConfig(part="pretrain", size=num)

    pairs = tuple((pair.source, pair.target) for pair in generate(config))

    assert len(set(pairs)) == num

    return pairs


def open_corpus(
    folder: Path,
    parts: Sequence[tuple[str, Sequence[tuple[str, ...]]]],
) -> Corpus:
    """A corpus whose parts are a direction and rows of source, target and perhaps a label."""
    corpora = []

    for number, (direction, rows) in enumerate(parts):
        path = folder / f"part{number}.tsv"
        path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")

        corpora.append(
            CorpusConfig(
                split="train",
                direction=direction,
                path=path,
                label_column=2 if len(rows[0]) == 3 else None,
            )
        )

    config = ParallelTextConfig(corpora=corpora, cache_dir=folder / "cache")

    return open_parallel_text(config).open("train")


class ThreadGang(Gang):
    """One of several ranks that are threads of this process; it gathers, and nothing else."""

    def __init__(self, rank: int, mailbox: list[Tensor], barrier: Barrier) -> None:
        self._rank = rank
        self._mailbox = mailbox
        self._barrier = barrier

    @override
    def all_gather_to_list(self, output_tensors: list[Tensor], input_tensor: Tensor) -> None:
        self._mailbox[self._rank] = input_tensor.clone()

        self._barrier.wait()

        for output, received in zip(output_tensors, self._mailbox, strict=True):
            # As in gloo and NCCL, what is of another shape or type is a mistake.
            assert (output.shape, output.dtype) == (received.shape, received.dtype)

            output.copy_(received)

        self._barrier.wait()

    @property
    @override
    def rank(self) -> int:
        return self._rank

    @property
    @override
    def size(self) -> int:
        return len(self._mailbox)

    @property
    @override
    def device(self) -> Device:
        return CPU

    @property
    @override
    def supports_process_group(self) -> bool:
        return False

    @override
    def close(self) -> None:
        self._unexpected()

    @override
    def create_gang(self, ranks: Sequence[int]) -> Gang | None:
        self._unexpected()

    @override
    def as_process_group(self) -> ProcessGroup:
        self._unexpected()

    @override
    def barrier(self) -> None:
        self._unexpected()

    @override
    def all_reduce(self, tensor: Tensor, op: ReduceOperation) -> None:
        self._unexpected()

    @override
    def all_gather(self, output_tensor: Tensor, input_tensor: Tensor) -> None:
        self._unexpected()

    @override
    def broadcast(self, tensor: Tensor, source_rank: int = 0) -> None:
        self._unexpected()

    @override
    def broadcast_objects(self, objects: list[object], source_rank: int = 0) -> None:
        self._unexpected()

    def _unexpected(self) -> NoReturn:
        raise AssertionError("Only gathering to a list is expected.")


def gangs_of(dp: Gang) -> Gangs:
    """Gangs of pure data parallelism."""
    alone = FakeGang(CPU)

    return Gangs(root=dp, dp=dp, rdp=dp, sdp=alone, tp=alone, pp=alone)


def on_ranks(num_ranks: int, work: Callable[[Gangs], T]) -> list[T]:
    """What ``work`` returns on each of several ranks that run at once."""
    barrier = Barrier(num_ranks, timeout=120.0)

    mailbox = [torch.empty(0)] * num_ranks

    def run(rank: int) -> T:
        try:
            return work(gangs_of(ThreadGang(rank, mailbox, barrier)))
        except BaseException:
            # The others must not wait for one that is gone.
            barrier.abort()

            raise

    with ThreadPoolExecutor(num_ranks) as executor:
        return list(executor.map(run, range(num_ranks)))
