"""What the benchmark of back-translation asks for is valid, and its parts work; as a whole it takes
too long to be run here."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import sacrebleu

from benchmarks.back_translation import __main__ as benchmark
from benchmarks.back_translation.arms import ARMS, LEADING, UNTUNED, arm
from benchmarks.back_translation.result import Judged, corpus_scores
from benchmarks.back_translation.setting import REVERSED, Setting
from benchmarks.back_translation.synthesis import SYNTHESES, counts_file, overrides
from benchmarks.back_translation.table import CLAIMED, tell
from benchmarks.back_translation.text import Text, read_text
from fairseq2_jest.cli.config import ConfigSources, load_config
from fairseq2_jest.cli.presets import find_preset
from fairseq2_jest.recipes.backtranslate.config import BacktranslateConfig
from fairseq2_jest.recipes.backtranslate.recipe import BacktranslateRecipe
from fairseq2_jest.recipes.finetune.recipe import FinetuneRecipe
from tests.translating import write_lines


def setting(out: Path) -> Setting:
    text = Text(trusted=[], reverse=[], genuine=[], monolingual=[], tests={})

    return Setting(out=out, text=text, num_pretrain_steps=300)


def test_no_pair_has_two_roles_and_no_test_line_is_translated_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NUM_TRUSTED", "NUM_REVERSE", "NUM_GENUINE", "NUM_NEWS"):
        monkeypatch.setattr(f"benchmarks.back_translation.text.{name}", 3)

    def write(name: str, size: int) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)

        for lang in ("en", "de"):
            write_lines(tmp_path / f"{name}.{lang}", [f"{name} {lang} {i} ." for i in range(size)])

    write("multi30k-ende/train", 10)
    write("multi30k-ende/valid", 2)
    write("wmt-demo-ende/valid", 5)

    lines = ["Ein Hund.", "MULTI30K-ende/valid de 1 .", "Eine Katze."]

    (tmp_path / "multi30k-mono-de").mkdir()

    with gzip.open(tmp_path / "multi30k-mono-de" / "mono.de.gz", "wt", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))

    text = read_text(tmp_path, len(lines))

    parts = (text.trusted, text.reverse, text.genuine)

    assert [len(part) for part in parts] == [3, 3, 3]
    assert len({pair for part in parts for pair in part}) == 9
    assert sorted(text.monolingual) == ["Ein Hund.", "Eine Katze."]
    assert len(text.tests["captions"]) == 2
    # Undone, since captions are running text.
    assert text.tests["news"][0] == ("wmt-demo-ende/valid en 0.", "wmt-demo-ende/valid de 0.")


def test_without_the_corpora_it_is_skipped_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["back_translation", "--data", str(tmp_path)])

    assert benchmark.main() == 0
    assert capsys.readouterr().out.startswith("Skipped: there is no ")


def load_arm(out: Path, name: str) -> Any:
    run = arm(setting(out), name, seed=2, steps=75)

    sources = ConfigSources(
        preset=find_preset("finetune", run.preset).file,
        files=[run.file] if run.file else [],
        overrides=[list(run.overrides)],
    )

    with load_config(FinetuneRecipe(), sources) as (config, _):
        return config


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder where nothing needs to be translated back."""
    for name in SYNTHESES:
        file = counts_file(setting(tmp_path), name).with_suffix(".parquet")

        file.parent.mkdir(exist_ok=True)
        file.touch()

    return tmp_path


def test_every_arm_trains_by_a_valid_config_on_what_its_name_says(made: Path) -> None:
    assert set(LEADING) <= set(ARMS)

    for name in ARMS:
        config = load_arm(made, name)

        assert (config.common.seed, config.regime.num_steps) == (2, 75)

        corpora = [c for c in config.dataset.config_overrides["corpora"] if c["split"] == "train"]

        kinds = [c.get("synthetic", False) for c in corpora]

        if name.startswith("both"):
            assert kinds == [False, True]
            assert f"both, {config.dataset.synthetic_ratio:.0f}:1" in name
        else:
            assert kinds == [name.startswith("synthetic")]

        assert (config.adapter.name == "lora") == ("LoRA" in name)
        assert (config.batch_selector.name == "joint") == ("joint" in name)

        if "rank" in name:
            assert name.endswith(f"rank {config.adapter.config.rank}")


def test_every_synthesis_is_a_valid_config(tmp_path: Path) -> None:
    common = [item for item in overrides(setting(tmp_path)) if not item.startswith("run.")]

    for synthesis in SYNTHESES.values():
        sources = ConfigSources(overrides=[[*common, *synthesis.decoding, *synthesis.overrides]])

        with load_config(BacktranslateRecipe(), sources) as (config, _):
            assert isinstance(config, BacktranslateConfig)


def test_the_reverse_model_reads_pairs_the_other_way_round(tmp_path: Path) -> None:
    file = setting(tmp_path).reverse.file

    assert file is not None

    dataset = json.loads(file.read_text(encoding="utf-8"))["dataset"]

    corpora = dataset["config_overrides"]["corpora"]

    assert [c["split"] for c in corpora] == ["train", "valid"]

    for corpus in corpora:
        assert corpus["direction"] == REVERSED == "deu_Latn-eng_Latn"
        assert (corpus["source_column"], corpus["target_column"]) == (1, 0)


def test_results_are_told_by_arm_and_counts_by_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def judged(name: str, seed: int, bleu: float) -> Judged:
        return Judged(
            name=name,
            seed=seed,
            loss=2.0,
            best_loss=1.5,
            scores={"captions": {"BLEU": bleu, "chrF2++": 40.0}},
            synthetic_share=0.5,
            samples=7_500,
            seconds=100.0,
        )

    judged(UNTUNED, 1, 10.0).save(tmp_path / "untuned.json")

    for seed, bleu in ((1, 20.0), (2, 22.0)):
        judged("both, 1:1", seed, bleu).save(tmp_path / f"both-75-{seed}.json")

    # Of another number of steps.
    judged("genuine only", 1, 30.0).save(tmp_path / "genuine-only-2-1.json")

    counted = {
        "beam": {
            "lines": 100,
            "pairs": 90,
            "rejected_lines": {"duplicate": 2},
            "rejected_pairs": {"copy": 8},
        },
        "beam, no filters": {
            "lines": 100,
            "pairs": 98,
            "rejected_lines": {"duplicate": 2},
            "rejected_pairs": {},
        },
    }

    (tmp_path / "synthesis.json").write_text(json.dumps(counted), encoding="utf-8")

    tested = {
        "test": "captions",
        "metrics": [
            {
                "name": "BLEU",
                "systems": {
                    "genuine-only": {"score": 20.0, "p_value": None},
                    "both-1-1": {"score": 21.52, "p_value": 0.03},
                },
            }
        ],
    }

    (tmp_path / "significance-captions-75.json").write_text(json.dumps(tested), encoding="utf-8")

    tell(tmp_path, 75)

    text = (tmp_path / "table-75.md").read_text(encoding="utf-8")

    assert text in capsys.readouterr().out

    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]

    assert [row[0] for row in rows[2:4]] == [UNTUNED, "both, 1:1"]
    assert rows[3][1:5] == ["2", "2.000 (2.000-2.000)", "1.500 (1.500-1.500)", "21.0 (20.0-22.0)"]

    # What the paper claims beside it.
    assert [row[0] for row in rows[7:11]] == list(CLAIMED)
    assert rows[10] == [
        "both, 1:1",
        "0.597",
        "1.41",
        "21.0 (20.0-22.0)",
        "40.0 (40.0-40.0)",
        "",
        "",
    ]

    assert rows[14:16] == [["genuine-only", "20.0"], ["both-1-1", "21.5 (p = 0.030)"]]

    assert rows[17] == [
        "synthetic pairs",
        "lines",
        "pairs kept",
        "before: duplicate",
        "after: copy",
    ]
    assert rows[19:] == [
        ["beam", "100", "90", "2", "8"],
        ["beam, no filters", "100", "98", "2", "0"],
    ]


def test_scores_are_sacrebleus() -> None:
    texts = ["Ein Hund läuft über die Wiese.", "Zwei Katzen schlafen."]

    references = ["Ein Hund rennt über die Wiese.", "Zwei Katzen."]

    scores = corpus_scores(texts, references)

    assert scores["BLEU"] == round(sacrebleu.corpus_bleu(texts, [references]).score, 2)
    assert scores["chrF2++"] == round(
        sacrebleu.corpus_chrf(texts, [references], word_order=2).score, 2
    )
