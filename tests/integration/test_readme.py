"""Every command of the README is run, or its arguments are read where it would take too long.

A command that no rule of :data:`RULES` covers fails: add a rule with the command.
"""

from __future__ import annotations

import gzip
import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from importlib.metadata import metadata
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

import pytest
import yaml
from torch.distributed.run import get_args_parser

from fairseq2_jest.cli.presets import list_presets
from fairseq2_jest.corpus.builtin import BuiltinConfig, generate
from tests.fake_comet import write_fake
from tests.integration.forked import fork, run_program
from tests.integration.runs import chosen
from tests.unit.report.synthetic import write_run

REPOSITORY: Final = Path(__file__).parents[2]

README: Final = (REPOSITORY / "README.md").read_text(encoding="utf-8")

PROGRAMS: Final = {
    "bash", "conda", "docker", "fairseq2", "fairseq2-jest", "git", "make", "pip", "pytest",
    "python", "python3", "sbatch", "sh", "srun", "torchrun", "uv",
}  # fmt: skip

BLOCK: Final = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)

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


def blocks(language: str) -> list[str]:
    return [dedent(text) for _, name, text in BLOCK.findall(README) if name == language]


def find_commands() -> list[str]:
    """The lines of shell blocks, and what inline code opens with the name of a program."""
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()

    found = [line.split(" #")[0].strip() for line in lines]

    for code in re.findall(r"`([^`]+)`", BLOCK.sub("", README)):
        if code.split()[0] in PROGRAMS:
            found.append(" ".join(code.split()))

    return list(dict.fromkeys(command for command in found if command))


COMMANDS: Final = find_commands()


def check_make_target(command: str, folder: Path) -> None:
    subprocess.run([*shlex.split(command), "-n"], cwd=REPOSITORY, check=True, capture_output=True)


def check_install(command: str, folder: Path) -> None:
    # Nothing is downloaded or installed, but the metadata is built.
    options = ["--dry-run", "--no-deps", "--no-index", "--no-build-isolation", "--quiet"]

    subprocess.run(
        [sys.executable, "-m", *shlex.split(command), *options], cwd=REPOSITORY, check=True
    )


def check_arguments(command: str, folder: Path) -> None:
    """A benchmark may take an hour: it is stopped once its arguments are read."""
    _, _, module, *args = shlex.split(command)

    def call() -> None:
        parse = ArgumentParser.parse_args

        def parse_and_end(self: ArgumentParser, *values: Any) -> Namespace:
            parse(self, *values)

            sys.exit(77)

        sys.argv = [module, *args]

        ArgumentParser.parse_args = parse_and_end  # type: ignore[assignment,method-assign]

        runpy.run_module(module, run_name="__main__")

    result = fork(call, folder).wait()

    assert result.code == 77, result.err


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


def little_text(direction: str = "eng_Latn-deu_Latn") -> str:
    sizes = {"pretrain": 60, "pool": 60, "trusted": 12, "valid": 20}

    corpora = [
        {
            "split": "train" if part == "pool" else part,
            "direction": direction,
            "builtin": {"part": part, "size": size},
        }
        for part, size in sizes.items()
    ]

    return f"dataset.config_overrides.corpora={json.dumps(corpora)}"


# By the folder that a command of "All of it together" writes: what will be there, and what makes it
# short.
TOGETHER: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "all/base": (
        "selection.jsonl",
        (*SHORT, "batch_selector.config.batch_size=12", little_text()),
    ),
    "all/reverse": (
        "*/selection.jsonl",
        (*SHORT, "batch_selector.config.batch_size=12", little_text("deu_Latn-eng_Latn")),
    ),
    "all/selected": (
        "selected.yaml",
        (
            little_text(),
            "warmup={num_steps: 2, batch_size: 8}",
            "dataset.num_seeds=8",
            "curvature={num_pairs: 20, num_shards: 1}",
            "rule.quantile=0.5",
            "diversity={num_selected: 20, num_clusters: 4}",
        ),
    ),
    "all/synthetic": (
        "synthetic.yaml",
        (
            "input.builtin.size=30",
            "seq2seq_generator.config.max_gen_len=24",
            "filters.min_language_likelihood=null",
            "filters.max_loop_share=null",
        ),
    ),
    "all/tuned": (
        "selection.jsonl",
        (*SHORT, "batch_selector.config={super_batch_size: 20, filter_ratio: 0.5}"),
    ),
    "all/before": ("translations.txt", ("seq2seq_generator.config.max_gen_len=8",)),
    "all/after": ("translations.txt", ("seq2seq_generator.config.max_gen_len=8",)),
    "all/scores": ("evaluate.html", ("significance.num_samples=20", "metrics.ter=false")),
    "all/report": ("report.html", ()),
}


def check_together(command: str, folder: Path) -> None:
    """Each command goes on with what those above it left, in a folder beside the tests' own."""
    shared = folder.parent / "together"

    shared.mkdir(exist_ok=True)

    (block,) = (text.splitlines() for text in blocks("sh") if command in text.splitlines())

    for line in block[: block.index(command) + 1]:
        if found := re.search(r"all/\w+", line):
            check_one_of_all(line, shared, found[0])
        elif not (shared / "test.en").exists():
            check_module(line, shared)

            assert (shared / "test.de").is_file()


def check_one_of_all(command: str, folder: Path, out: str) -> None:
    if (folder / out).exists():
        return

    file, overrides = TOGETHER[out]

    args = shlex.split(command.replace("step_200", "step_2"))[1:]

    if overrides and "--config" not in args:
        args.append("--config")

    result = run_program(*args, *overrides, folder=folder)

    assert result.code == 0, result.err[-3000:]
    assert list((folder / out).glob(file))


def check_module(command: str, folder: Path) -> None:
    _, _, module, *args = shlex.split(command)

    def call() -> None:
        sys.argv = [module, *args]

        runpy.run_module(module, run_name="__main__")

    result = fork(call, folder).wait()

    assert result.code == 0, result.err


def check_torchrun(command: str, folder: Path) -> None:
    """What stands before a command: its options are those of torchrun."""
    parser = get_args_parser()

    options, _ = parser.parse_known_args([*shlex.split(command)[1:], "a command"])

    assert options.no_python and options.nproc_per_node == "4"


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


def check_uv(command: str, folder: Path) -> None:
    """Nothing is installed, but what it names is there, and pins what COMET is tested with."""
    args = shlex.split(command)[1:]

    if args[0] == "venv":
        return

    assert args[:2] == ["pip", "install"]

    files = [REPOSITORY / arg for arg in args if arg.startswith("requirements/")]

    assert files and all(file.is_file() for file in files)
    assert any("unbabel-comet==2.2.7" in file.read_text(encoding="utf-8") for file in files)


def check_requirement(command: str, folder: Path) -> None:
    """sacrebleu has an extra of this name."""
    (extra,) = re.findall(r"\[(\w+)\]", command)

    assert extra in (metadata("sacrebleu").get_all("Provides-Extra") or [])


RULES: Final[dict[str, Callable[[str, Path], None]]] = {
    r"make [\w-]+": check_make_target,
    r"pip install \.": check_install,
    r"python -m benchmarks\.[\w.]+( .+)?": check_arguments,
    r"fairseq2 mt (finetune|embed|check)": check_help,
    r"fairseq2 (mt presets|assets list)": check_answer,
    r"fairseq2 mt embed OUT --preset .+": check_embed,
    r"fairseq2 mt (finetune OUT|check) --preset .+": check_run,
    r"fairseq2 mt report OUT RUN...": check_report,
    r"fairseq2 mt select OUT --preset .+": check_select,
    r"fairseq2 mt translate OUT --preset .+": check_translate,
    r"fairseq2 mt backtranslate OUT --preset .+": check_backtranslate,
    r"fairseq2 mt finetune OUT2 --preset .+": check_mixed,
    r"fairseq2 mt evaluate OUT .+": check_evaluate,
    r"python -m fairseq2_jest\..+|fairseq2 mt \w+ all/.+": check_together,
    r"uv .+": check_uv,
    r"pip install 'sacrebleu.+": check_requirement,
    r"torchrun --no-python --nproc-per-node 4": check_torchrun,
    r"fairseq2 mt export OUT RUN": check_export,
    r"fairseq2 mt export OUT RUN --adapter": check_adapter_export,
}


def test_the_commands_are_found() -> None:
    programs = {command.split()[0] for command in COMMANDS}

    assert {"make", "fairseq2", "python", "pip"} <= programs


@pytest.mark.parametrize("command", COMMANDS, ids=COMMANDS)
def test_command(command: str, tmp_path: Path) -> None:
    rules = [rule for pattern, rule in RULES.items() if re.fullmatch(pattern, command)]

    assert len(rules) == 1, "RULES must say how this command is run."

    rules[0](command, tmp_path)


def test_every_preset_that_is_named_is_there() -> None:
    known = {p.name for p in list_presets("finetune")}

    (table,) = re.findall(r"^\| preset \|.*?\n\n", README, re.MULTILINE | re.DOTALL)

    listed = set(re.findall(r"`([\w-]+)`", "".join(re.findall(r"^\|[^|]+\|", table, re.MULTILINE))))

    named = set(re.findall(r"--preset ([\w-]+)", README))

    assert listed == known
    others = {
        p.name
        for command in ("backtranslate", "embed", "evaluate", "select", "translate")
        for p in list_presets(command)
    }

    assert named <= known | others
