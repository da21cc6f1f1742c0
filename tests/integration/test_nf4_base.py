"""A run of `mt finetune` with LoRA on a base in 4 bits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fairseq2_jest.adapters.errors import AdapterError
from fairseq2_jest.cli.export import run as export
from tests import translating
from tests.hugging_face import make_folder
from tests.integration.forked import run_program
from tests.integration.runs import chosen, finetune, weights
from tests.integration.test_adapters import LORA, MIXED, SAMPLE, STEPS, plain_names
from tests.unit.models.parity import ours

pytestmark = pytest.mark.usefixtures("nf4_without_a_gpu")

NF4 = (*LORA, *MIXED, "adapter.config.base_dtype=nf4")

SCALE = 32 / 3


def rounded(weight: Tensor) -> Tensor:
    """What bitsandbytes makes of a weight."""
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    # In one row, since with AVX-512 it takes each row to begin a block.
    packed, state = quantize_4bit(weight.bfloat16().view(1, -1), quant_type="nf4")

    values: Tensor = dequantize_4bit(packed, state)

    return values.view_as(weight)


@pytest.mark.slow
def test_it_learns_resumes_bit_for_bit_and_is_exported(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "base", "nllb", shuffled=True, max_position_embeddings=128)

    whole, halved = tmp_path / "whole", tmp_path / "halved"

    finetune(whole, *NF4, f"model.name={folder}")

    finetune(halved, *NF4, f"model.name={folder}", "regime.num_steps=2")
    finetune(halved, *NF4, f"model.name={folder}")

    assert chosen(halved) == chosen(whole)

    first, last = weights(whole, 2), weights(whole, STEPS)

    again = weights(halved, STEPS)

    assert again.keys() == last.keys()
    assert all(value.equal(again[key]) for key, value in last.items())

    assert {key for key, value in last.items() if not value.equal(first[key])} == {
        key for key in last if ".lora_" in key
    }

    base, frozen = ours(folder)[0].state_dict(), plain_names(last)

    assert frozen.keys() == base.keys()

    is_quantised = re.compile(r".*\.layers\.\d+\..*_proj\.weight").fullmatch

    for key, value in base.items():
        if is_quantised(key):
            assert frozen[key].equal(rounded(value)), key
        else:
            assert frozen[key].equal(value.to(frozen[key].dtype)), key

    log = (whole / "logs" / "rank_0.log").read_text(encoding="utf-8")

    assert "The weights take " in log

    export([str(tmp_path / "merged"), str(whole)])

    for key, value in ours(tmp_path / "merged")[0].state_dict().items():
        layer = key.removesuffix(".weight")

        expected = frozen[key].float()

        if is_quantised(key):
            b, a = (last[f"{layer}.lora_{matrix}.default.weight"] for matrix in "BA")

            expected = expected + SCALE * b @ a

        torch.testing.assert_close(value, expected, atol=1e-6, rtol=1e-6)

    source = translating.write_lines(tmp_path / "in.txt", list(SAMPLE[:4]))

    overrides = (f"input.path={source}", "translation.max_source_len=120")

    by_run = (f"run.path={whole}",)
    by_export = ("run.path=null", f"model.name={tmp_path / 'merged'}")

    for name, options in (("run", by_run), ("export", by_export)):
        translating.finish(translating.start(tmp_path / name, *overrides, *options))

    assert translating.output(tmp_path / "run") == translating.output(tmp_path / "export")


def test_the_check_says_what_4_bits_take(tmp_path: Path) -> None:
    def check(*overrides: str) -> str:
        finished = run_program(
            "mt", "check", "finetune", "--preset", "demo-jest",
            "--config", "adapter.name=lora", *MIXED, *overrides, folder=tmp_path,
        )  # fmt: skip

        assert finished.code == 0, finished.err

        (line,) = (line for line in finished.out.splitlines() if line.startswith("lora: "))

        return line

    line = "lora: 180,224 of 1,362,432 parameters are trained, 13.23%; the weights take {}"

    assert check("adapter.config.base_dtype=bfloat16") == line.format("3.1 MB")
    assert check("adapter.config.base_dtype=nf4") == line.format("1.8 MB")


def test_a_run_without_a_gpu_is_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()

    with pytest.raises(AdapterError, match=r"nf4` needs a CUDA GPU, but the model is trained on c"):
        finetune(tmp_path / "run", *NF4)

    assert not list(tmp_path.rglob("adapter.json"))
