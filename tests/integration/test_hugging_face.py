"""A model of Hugging Face through `mt finetune` and back to Hugging Face."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from fairseq2.data.tokenizers import load_tokenizer
from fairseq2.models.nllb import get_nllb_model_hub
from safetensors.torch import load_file

from fairseq2_jest.cli.export import run as export
from fairseq2_jest.cli.usage import UsageError
from fairseq2_jest.corpus.cleaning import normalize_text
from fairseq2_jest.recipes.export.card import write_card
from fairseq2_jest.report.runs import read_run
from tests import translating
from tests.hugging_face import KINDS, library, make_folder, texts
from tests.integration.runs import chosen, finetune, weights
from tests.integration.test_ranks import start
from tests.unit.models.parity import (
    logits,
    padded,
    theirs,
    translate,
    translate_in_transformers,
)

STEPS = 4

TARGET = {"mbart50": "de_DE", "cc25": "de_DE", "nllb": "deu_Latn"}


def train(out: Path, folder: Path, *overrides: str) -> None:
    finetune(
        out,
        f"model.name={folder}",
        "dataset.max_seq_len=128",
        "validation.max_num_examples=4",
        "seq2seq_generator.config.max_gen_len=10",
        f"regime.num_steps={STEPS}",
        "regime.validate_every_n_steps=2",
        "regime.checkpoint_every_n_steps=2",
        "regime.publish_metrics_every_n_steps=2",
        *overrides,
    )


@pytest.fixture(scope="module", params=KINDS)
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The kind, the folder that a run began from, and the run."""
    folder = make_folder(
        tmp_path_factory.mktemp("base"), request.param, shuffled=True, max_position_embeddings=128
    )

    out = tmp_path_factory.mktemp("run")

    # A process of its own for each checkpoint; once is enough.
    export_hugging_face = str(request.param == "nllb").lower()

    train(
        out,
        folder,
        f"regime.export_hugging_face={export_hugging_face}",
        "regime.score_metric=chrf",
    )

    return request.param, folder, out


def check(kind: str, folder: Path, step_weights: dict[str, torch.Tensor]) -> None:
    """An export translates in transformers as the checkpoint does in fairseq2."""
    reference, tokenizer = theirs(folder)

    assert type(reference).__name__ == (
        "M2M100ForConditionalGeneration" if kind == "nllb" else "MBartForConditionalGeneration"
    )

    assert torch.equal(reference.model.shared.weight, step_weights["final_proj.weight"])

    lines = [text for text in texts(100) if len(tokenizer.tokenize(text)) < 38]

    tokenizer.src_lang = "eng_Latn" if kind == "nllb" else "en_XX"

    sources = [torch.tensor(tokenizer(line)["input_ids"]) for line in lines]

    lang = TARGET[kind]

    translations = translate(folder, sources, lang, beam_size=4, max_len=20)

    expected_ones = translate_in_transformers(folder, sources, lang, beam_size=4, max_len=20)

    # A model of four steps is unsure of most tokens, and rounding decides a tie of two beams.
    num_other = sum(a != b for a, b in zip(translations, expected_ones, strict=True))

    assert num_other <= 1

    actual, expected = logits(folder, sources, [source[:20] for source in sources])

    torch.testing.assert_close(actual, expected, rtol=0.0, atol=1e-5)

    # Without a word of the language: the run had one target only.
    source, _, mask = padded(sources[:4], tokenizer.pad_token_id)

    output = reference.generate(input_ids=source, attention_mask=mask.long(), max_new_tokens=3)

    assert tokenizer.convert_tokens_to_ids(lang) in output[0].tolist()[:2]


@pytest.mark.parametrize("runs", ["nllb"], indirect=True)
def test_a_run_exports_at_each_checkpoint(runs: Any) -> None:
    kind, _, out = runs

    for step in (2, 4):
        folder = out / "checkpoints" / f"step_{step}" / "hg"

        check(kind, folder, weights(out, step))

        card = (folder / "README.md").read_text(encoding="utf-8")

        assert f"after {step} steps" in card and "BLEU|nrefs:1" in card


def test_what_is_tied_stays_tied_and_the_bias_does_not_train(runs: Any) -> None:
    kind, folder, out = runs

    before = load_file(folder / "model.safetensors")
    after = weights(out, STEPS)

    table = after["final_proj.weight"]

    assert torch.equal(table, after["encoder_frontend.embed.weight"])
    assert torch.equal(table, after["decoder_frontend.embed.weight"])
    assert not torch.equal(table, before["model.shared.weight"])

    if kind != "nllb":
        assert torch.equal(after["final_proj.bias"], before["final_logits_bias"][0])
        assert after["final_proj.bias"].std() > 0.01


def test_a_run_selects_and_resumes(runs: Any, tmp_path: Path) -> None:
    _, folder, out = runs

    assert [len(line["rows"]) for line in chosen(out)] == [12] * STEPS

    train(tmp_path, folder, "regime.num_steps=2")
    train(tmp_path, folder)

    assert chosen(tmp_path) == chosen(out)

    expected, actual = weights(out, STEPS), weights(tmp_path, STEPS)

    for name, weight in expected.items():
        assert torch.equal(weight, actual[name]), name


def test_the_command_exports_a_step(runs: Any, tmp_path: Path) -> None:
    kind, folder, out = runs

    export([str(tmp_path / "best"), str(out)])
    export([str(tmp_path / "two"), str(out), "--step", "2"])

    check(kind, tmp_path / "two", weights(out, 2))

    card = (tmp_path / "two" / "README.md").read_text(encoding="utf-8")

    assert str(folder) in card and "joint" in card and "super_batch_size: 60" in card
    assert "chrF2++|nrefs:1" in card and "| eng_Latn-deu_Latn | 2 |" in card
    assert (tmp_path / "best" / "model.safetensors").is_file()


def test_the_command_exports_a_model_as_it_is(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "base", "mbart50", shuffled=True)

    export([str(tmp_path / "again"), str(folder)])

    before = load_file(folder / "model.safetensors")
    after = load_file(tmp_path / "again" / "model.safetensors")

    assert before.keys() == after.keys()

    for name, weight in before.items():
        # The first two positions are never read.
        begin = 2 if "embed_positions" in name else 0

        assert torch.equal(weight[begin:], after[name][begin:]), name

    assert theirs(folder)[1].get_vocab() == theirs(tmp_path / "again")[1].get_vocab()


def test_a_model_of_fairseq2s_own_order_is_exported(tmp_path: Path) -> None:
    out = tmp_path / "run"

    finetune(
        out,
        "regime.num_steps=2",
        "regime.validate_every_n_steps=2",
        "regime.checkpoint_every_n_steps=2",
        "regime.publish_metrics_every_n_steps=2",
    )

    export([str(tmp_path / "out"), str(out), "--step", "last"])

    # A card of its own, to compare to fairseq2's own tokenizer and order.
    reference, theirs_tokenizer = theirs(tmp_path / "out")

    library()

    ours = load_tokenizer("builtin-ende")

    table = weights(out, 2)["final_proj.weight"]

    theirs_tokenizer.src_lang = "eng_Latn"

    encode = ours.create_encoder(lang="eng_Latn", mode="source")

    for text in texts(50):
        actual = reference.model.shared.weight[theirs_tokenizer(text)["input_ids"]]

        assert torch.equal(actual, table[encode(text)])

    assert len(theirs_tokenizer) == len(table)

    hub = get_nllb_model_hub()

    model = hub.create_new_model(hub.get_arch_config("tiny_builtin")).eval()
    model.load_state_dict(weights(out, 2))

    own = [encode(text) for text in texts(8)]
    exported = [torch.tensor(theirs_tokenizer(text)["input_ids"]) for text in texts(8)]

    seqs, layout, mask = padded(own, 0)

    with torch.no_grad():
        logits_of_own = model(seqs, layout, seqs, layout)[mask]

        seqs, _, mask = padded(exported, theirs_tokenizer.pad_token_id)

        logits_of_exported = reference(seqs, mask.long(), decoder_input_ids=seqs).logits[mask]

    # What each calls the same token.
    ids = [theirs_tokenizer.convert_tokens_to_ids(t) for t in ("<pad>", "<unk>", "<s>", "</s>")]

    torch.testing.assert_close(logits_of_exported[:, ids], logits_of_own[:, :4])
    torch.testing.assert_close(logits_of_exported[:, 4:], logits_of_own[:, 4:])


def test_two_ranks_train_what_one_exports(runs: Any, tmp_path: Path) -> None:
    kind, folder, _ = runs

    # The two mBARTs differ in their tokenizers only.
    parallelism = "ddp" if kind == "cc25" else "fsdp"

    out = tmp_path / "run"

    # The second time, the run goes on from what the ranks saved.
    for steps in (2, 3):
        ranks = start(
            2,
            out,
            f"trainer.data_parallelism={parallelism}",
            f"model.name={folder}",
            "dataset.max_seq_len=128",
            "dataset.max_num_tokens=256",
            "regime.checkpoint_every_n_steps=1",
            "validation.bleu=false",
            "validation.chrf=false",
            "optimizer.config.lr=0.001",
            f"regime.num_steps={steps}",
        )

        for rank in ranks:
            finished = rank.wait()

            assert finished.code == 0, finished.err[-2000:]

    assert len(chosen(out)) == 3

    export([str(tmp_path / "out"), str(out)])

    before = load_file(folder / "model.safetensors")
    after = load_file(tmp_path / "out" / "model.safetensors")

    assert before.keys() == after.keys()
    assert not torch.equal(before["model.shared.weight"], after["model.shared.weight"])

    if kind != "nllb":
        assert torch.equal(before["final_logits_bias"], after["final_logits_bias"])

    theirs(tmp_path / "out")


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["{out}", "{tmp}/nothing"], "is not a folder"),
        (["{tmp}", "mbart-large-50"], "is there already"),
        (["{out}", "mbart-large-51"], "is neither the folder of a run, nor a model"),
        (["{out}", "mbart-large-50", "--step", "2"], "are for runs"),
    ],
)
def test_mistakes_are_one_sentence(args: list[str], sentence: str, tmp_path: Path) -> None:
    filled = [arg.format(out=tmp_path / "out", tmp=tmp_path) for arg in args]

    with pytest.raises(UsageError, match=sentence):
        export(filled)

    assert not (tmp_path / "out").exists()


def test_a_step_that_is_not_there_is_told(runs: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--step is 3, but .* of step 2, 4 only; name one"):
        export([str(tmp_path / "out"), str(runs[2]), "--step", "3"])


def test_a_run_that_wants_pickles_to_be_trusted_is_not_exported(runs: Any, tmp_path: Path) -> None:
    unsafe = tmp_path / "checkpoints"

    copytree(runs[2] / "checkpoints", unsafe)

    with (unsafe / "model.yaml").open("a") as card:
        card.write("restrict: false\n")

    with pytest.raises(UsageError, match=r"sets `restrict` to false, .* remove that line\."):
        export([str(tmp_path / "out"), str(runs[2]), "--checkpoint-dir", str(unsafe)])

    assert not (tmp_path / "out").exists()


def test_a_folder_translates_as_in_transformers_with_its_own_tokenizer(
    runs: Any, tmp_path: Path
) -> None:
    kind, folder, _ = runs

    source = translating.write_lines(tmp_path / "in.txt", list(texts(6)))

    overrides = (
        "run.path=null",
        f"model.name={folder}",
        f"input.path={source}",
        "translation.max_source_len=120",
    )

    # The tokenizer of the preset is not named anew: it comes along.
    assert translating.load(*overrides).tokenizer.name == str(folder)

    greedy = "seq2seq_generator.config.beam_size=1"

    translating.finish(translating.start(tmp_path / "out", *overrides, greedy))

    reference, tokenizer = theirs(folder)

    tokenizer.src_lang, lang = "eng_Latn" if kind == "nllb" else "en_XX", TARGET[kind]

    code, prompt_len = tokenizer.convert_tokens_to_ids(lang), 1 if kind == "cc25" else 2

    output = reference.generate(
        **tokenizer(list(texts(6)), return_tensors="pt", padding=True),
        decoder_start_token_id=code if kind == "cc25" else tokenizer.eos_token_id,
        forced_bos_token_id=None if kind == "cc25" else code,
        forced_eos_token_id=None,
        num_beams=1,
        do_sample=False,
        # The demo's eighth token must end the sentence.
        max_new_tokens=prompt_len - 1 + 7,
        bad_words_ids=[[tokenizer.pad_token_id]],
    )

    expected = tokenizer.batch_decode(output[:, prompt_len:], skip_special_tokens=True)

    assert translating.output(tmp_path / "out") == [normalize_text(text) for text in expected]


def test_a_card_says_what_a_base_on_the_hub_was(runs: Any, tmp_path: Path) -> None:
    run = read_run(runs[2])

    config = json.loads(json.dumps(run.config)) | {
        "model": {"name": "hg://facebook/mbart-large-50"}
    }

    write_card(tmp_path / "README.md", replace(run, config=config), 4)

    card = (tmp_path / "README.md").read_text(encoding="utf-8")

    assert "base_model: facebook/mbart-large-50\n" in card
