"""How the README's commands of the program are run: on small models and little text."""

from __future__ import annotations

import gzip
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import yaml

from fairseq2_jest.corpus.builtin import BuiltinConfig, generate
from tests.fake_comet import write_fake
from tests.integration.forked import run_program
from tests.integration.readme.text import COMMANDS, blocks
from tests.integration.runs import chosen
from tests.unit.report.synthetic import write_run

SHORT: Final = (
    "common.torch.num_threads=1",
    "validation.max_num_examples=4",
    "regime.num_steps=2",
)

# What the big presets download, and what they need a GPU for.
SMALL_MODELS: Final = (
    "model.name=null",
    "model.family=nllb",
    "model.arch=tiny_builtin",
    "tokenizer.name=builtin-ende",
    "reference_encoder.name=builtin",
    "trainer.mixed_precision.mode=off",
    "lr_scheduler={name: passthrough, config: null}",
)


def check_help(command: str, folder: Path) -> None:
    result = run_program(*shlex.split(command)[1:], "--help", folder=folder)

    assert result.code == 0, result.err
    assert command in result.out


def check_answer(command: str, folder: Path) -> None:
    result = run_program(*shlex.split(command)[1:], folder=folder)

    assert result.code == 0, result.err
    assert result.out


def check_run(command: str, folder: Path) -> None:
    """On small models, little text and for two steps; all that the command says is kept."""
    args = shlex.split(command)[1:]

    preset = args[args.index("--preset") + 1]

    write_corpora(folder)

    overrides = list(SHORT)

    if not preset.startswith("demo-"):
        overrides += SMALL_MODELS

    if preset.endswith("iid"):
        overrides.append("batch_selector.config.batch_size=60")
    else:
        overrides.append("batch_selector.config.super_batch_size=60")

    if "--config" not in args:
        args.append("--config")

    result = run_program(*args, *overrides, folder=folder)

    assert result.code == 0, result.err[-3000:]

    if "check" in args:
        assert "train: " in result.out and "valid: " in result.out

        return

    (log,) = folder.glob("OUT*/*/selection.jsonl")

    assert [line["step"] for line in chosen(log.parent)] == [1, 2]
    assert list(log.parent.glob("metrics/**/*.jsonl"))


def check_embed(command: str, folder: Path) -> None:
    """With the small reference; the store goes where the README's other commands look for it."""
    args = shlex.split(command)[1:]

    write_corpora(folder)

    if "--config" not in args:
        args.append("--config")

    result = run_program(*args, "reference_encoder.name=builtin", folder=folder)

    assert result.code == 0, result.err[-3000:]
    assert list(folder.glob("OUT/*/embed.json"))


def write_corpora(folder: Path) -> None:
    """`my.yaml` as the README has it, and the files that it names."""
    (text,) = blocks("yaml")

    (folder / "my.yaml").write_text(text, encoding="utf-8")

    pairs = [(p.source, p.target) for p in generate(BuiltinConfig(part="trusted", size=150))]

    def write(name: str, lines: Iterator[str]) -> None:
        content = "".join(f"{line}\n" for line in lines).encode()

        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    for corpus in yaml.safe_load(text)["dataset"]["config_overrides"]["corpora"]:
        if "path" in corpus:
            write(corpus["path"], ("\t".join(pair) for pair in pairs))
        else:
            write(corpus["source"], (source for source, _ in pairs))
            write(corpus["target"], (target for _, target in pairs))


def check_select(command: str, folder: Path) -> None:
    """With a tiny model that is warmed up for two steps, on a few pairs."""
    pool, seeds = (
        [(pair.source, pair.target) for pair in generate(config)]
        for config in (
            BuiltinConfig(part="pretrain", size=60),
            BuiltinConfig(part="trusted", size=8),
        )
    )

    for name, pairs in (("pool", pool), ("seeds", [pair for pair in seeds if pair not in pool])):
        text = "".join(f"{source}\t{target}\n" for source, target in pairs)

        (folder / f"{name}.tsv").write_text(text, encoding="utf-8")

    corpora = [
        {"split": split, "direction": "eng_Latn-deu_Latn", "path": f"{name}.tsv"}
        for split, name in (("train", "pool"), ("seeds", "seeds"))
    ]

    section = {"name": None, "family": "parallel_text", "config_overrides": {"corpora": corpora}}

    (folder / "pool.yaml").write_text(yaml.safe_dump({"dataset": section}), encoding="utf-8")

    args = shlex.split(command)[1:]

    if "--config-file" not in args:
        args += ["--config-file", "pool.yaml"]

    result = run_program(
        *(*args, "--config", "common.torch.num_threads=1", "tokenizer.name=builtin-ende"),
        *("warmup.num_steps=2", "warmup.batch_size=8", "scoring.amp=false", "layers.stride=1"),
        *("model={name: null, family: nllb, arch: tiny_builtin}", "dataset.seed_split=seeds"),
        *("curvature.num_pairs=20", "curvature.num_shards=1", "diversity.num_selected=10"),
        folder=folder,
    )

    assert result.code == 0, result.err[-3000:]
    assert (folder / "OUT" / "scores.parquet").is_file()
    assert (folder / "OUT" / "selected.yaml").is_file()


def check_report(command: str, folder: Path) -> None:
    runs = [write_run(folder / name, {20: 3.0}) for name in ("a", "b")]

    args = shlex.split(command.replace("RUN...", " ".join(run.name for run in runs)))[1:]

    assert run_program(*args, folder=folder).code == 0
    assert (folder / "OUT" / "report.html").is_file()


def once(made: Path, make: Callable[[], object]) -> None:
    """Calls ``make``, which writes a folder, or copies what it wrote for another test."""
    kept = made.parent.parent / f"{made.name}-of-another-test"

    if kept.exists():
        shutil.copytree(kept, made)
    else:
        make()

        shutil.copytree(made, kept)


def write_finished_run(folder: Path) -> None:
    """A short run of the demo in ``RUN``."""
    once(folder / "RUN", lambda: make_finished_run(folder))


def make_finished_run(folder: Path, *overrides: str) -> None:
    result = run_program(
        *("mt", "finetune", "RUN", "--preset", "demo-iid", "--config", *SHORT),
        *("batch_selector.config.batch_size=12", "dataset.valid_split=null"),
        *("regime.validate_every_n_steps=null", "regime.score_metric=null"),
        *overrides,
        folder=folder,
    )

    assert result.code == 0, result.err[-3000:]


def check_translate(command: str, folder: Path) -> None:
    """With the model of a run of two steps."""
    write_finished_run(folder)

    (folder / "FILE").write_text("The dog sees a cat.\n\nA man sleeps.\n", encoding="utf-8")

    args = shlex.split(command)[1:]

    result = run_program(
        *args,
        *("common.torch.num_threads=1", "seq2seq_generator.config.max_gen_len=8"),
        folder=folder,
    )

    assert result.code == 0, result.err[-3000:]

    lines = (folder / "OUT" / "translations.txt").read_text(encoding="utf-8").split("\n")

    assert len(lines) == 4 and lines[1] == lines[3] == ""


def check_backtranslate(command: str, folder: Path) -> None:
    once(folder / "OUT", lambda: make_synthetic(command, folder))


def make_synthetic(command: str, folder: Path) -> None:
    """With the model of a run of two steps, whose words are in no language."""
    write_finished_run(folder)

    pairs = generate(BuiltinConfig(part="trusted", size=80))

    (folder / "MONO").write_text("".join(f"{p.target}\n" for p in pairs), encoding="utf-8")

    result = run_program(
        *shlex.split(command)[1:],
        *("common.torch.num_threads=1", "seq2seq_generator.config.max_gen_len=24"),
        *("filters.min_language_likelihood=null", "filters.max_loop_share=null"),
        folder=folder,
    )

    assert result.code == 0, result.err[-3000:]
    assert (folder / "OUT" / "synthetic.yaml").is_file()


def check_mixed(command: str, folder: Path) -> None:
    (before,) = (c for c in COMMANDS if c.startswith("fairseq2 mt backtranslate OUT"))

    once(folder / "OUT", lambda: make_synthetic(before, folder))
    check_run(command, folder)


def check_export(command: str, folder: Path) -> None:
    write_finished_run(folder)

    result = run_program(*shlex.split(command)[1:], folder=folder)

    assert result.code == 0, result.err[-3000:]
    assert {"config.json", "model.safetensors", "README.md"} <= {
        file.name for file in (folder / "OUT").iterdir()
    }


def check_adapter_export(command: str, folder: Path) -> None:
    make_finished_run(folder, "adapter.name=lora")

    result = run_program(*shlex.split(command)[1:], folder=folder)

    assert result.code == 0, result.err[-3000:]
    assert {"adapter_config.json", "adapter_model.safetensors", "README.md"} == {
        file.name for file in (folder / "OUT").iterdir()
    }


def check_evaluate(command: str, folder: Path) -> None:
    """With a program in the place of COMET's environment."""
    pairs = list(generate(BuiltinConfig(part="trusted", size=20)))

    for name in ("FILE", "FILE2", "REF", "SRC"):
        lines = [pair.source if name == "SRC" else pair.target for pair in pairs]

        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    write_fake(folder / ".comet" / "bin")

    result = run_program(*shlex.split(command)[1:], folder=folder)

    assert result.code == 0, result.err[-3000:]
    assert ("COMET|" in result.out) == ("--preset comet" in command)
    assert {"evaluate.json", "evaluate.html"} <= {f.name for f in (folder / "OUT").iterdir()}
