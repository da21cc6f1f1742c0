"""Scores, signatures and tests are those of sacrebleu's own program on the same files."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from fairseq2.utils.validation import ValidationResult
from sacrebleu.tokenizers import tokenizer_ja_mecab, tokenizer_spm

from fairseq2_jest.evaluation.comet.config import CometConfig
from fairseq2_jest.evaluation.comet.scorer import CometScorer
from fairseq2_jest.evaluation.errors import EvaluationError
from fairseq2_jest.evaluation.metrics import (
    Comet,
    MetricsConfig,
    check_tokenizer_name,
    create_metrics,
    tokenizer_of,
)
from fairseq2_jest.evaluation.significance import MetricScores, SignificanceConfig, score_systems
from tests.fake_comet import overlap, write_fake
from tests.hugging_face import sentencepiece, texts
from tests.sacrebleu_program import ALL, compare_files, score_file, write_texts

REFERENCES = list(texts(80)[1::2])


def worsened(seed: int, share: float) -> list[str]:
    """Translations with words left out and moved."""
    generator = random.Random(seed)

    lines = []

    for reference in REFERENCES:
        words = [word for word in reference.split() if generator.random() > share]

        if words and generator.random() < share:
            words.insert(0, words.pop())

        lines.append(" ".join(words))

    return lines


SYSTEMS = {"base": worsened(1, 0.25), "near": worsened(2, 0.24), "far": worsened(3, 0.5)}


def scores_of(
    systems: dict[str, list[str]],
    references: Sequence[Sequence[str]],
    metrics: MetricsConfig | None = None,
    significance: SignificanceConfig | None = None,
    lang: str = "deu_Latn",
) -> list[MetricScores]:
    created = create_metrics(metrics or MetricsConfig(), lang, references, "metrics")

    return [score_systems(m, systems, significance or SignificanceConfig()) for m in created]


@pytest.fixture
def files(tmp_path: Path) -> tuple[list[Path], list[Path]]:
    """The second reference is the first, word order changed here and there."""
    second = [" ".join(reversed(line.split())) for line in REFERENCES]

    references = [REFERENCES, second]

    return (
        [write_texts(tmp_path / f"ref{n}", lines) for n, lines in enumerate(references)],
        [write_texts(tmp_path / name, lines) for name, lines in SYSTEMS.items()],
    )


def read(files: Sequence[Path]) -> list[list[str]]:
    return [file.read_text(encoding="utf-8").splitlines() for file in files]


@pytest.mark.parametrize("num_references", [1, 2])
def test_scores_of_one_system(files: tuple[list[Path], list[Path]], num_references: int) -> None:
    references = files[0][:num_references]

    found = scores_of({"near": SYSTEMS["near"]}, read(references))

    expected = score_file(references, files[1][1], *ALL)

    for metric, program in zip(found, expected, strict=True):
        assert (metric.name, metric.signature) == (program["name"], program["signature"])
        assert metric.systems["near"].score == pytest.approx(program["score"], abs=1e-6)
        assert metric.test_signature is None and metric.systems["near"].p_value is None
        assert metric.more_is_better == (metric.name != "TER")
        assert 20.0 < metric.systems["near"].score < 90.0


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (SignificanceConfig(), ["--paired-bs"]),
        (SignificanceConfig(num_samples=333), ["--paired-bs", "--paired-bs-n", "333"]),
        (
            SignificanceConfig(test="randomization", num_samples=200),
            ["--paired-ar", "--paired-ar-n", "200"],
        ),
    ],
)
def test_systems_are_compared(
    files: tuple[list[Path], list[Path]], config: SignificanceConfig, options: list[str]
) -> None:
    found = scores_of(SYSTEMS, [REFERENCES], significance=config)

    expected, signatures = compare_files(files[0][:1], files[1], *ALL, *options)

    for metric in found:
        assert metric.test_signature == signatures[metric.name]

        for system, program in zip(metric.systems.values(), expected, strict=True):
            numbers = (system.score, system.mean, system.confidence, system.p_value)

            assert [n for n in numbers if n is not None] == pytest.approx(
                program[metric.name],
                # A p-value has four digits there.
                abs=6e-5,
            )

    # The test tells them apart: neither all is significant, nor nothing.
    p_values = {name: s.p_value or 0.0 for name, s in found[0].systems.items()}

    assert p_values["near"] > 0.05 > p_values["far"]


@pytest.mark.parametrize(
    ("lang", "tokenizer"),
    [
        ("deu_Latn", "13a"), ("de", "13a"), ("en_XX", "13a"), ("jpn_Jpan", "ja-mecab"),
        ("ja_XX", "ja-mecab"), ("ja", "ja-mecab"), ("zho_Hans", "zh"), ("zho_Hant", "zh"),
        ("zh_CN", "zh"), ("yue_Hant", "zh"), ("kor_Hang", "ko-mecab"), ("ko_KR", "ko-mecab"),
        ("jav_Latn", "13a"), ("kon_Latn", "13a"),
    ],
)  # fmt: skip
def test_the_language_chooses_the_tokenizer(lang: str, tokenizer: str) -> None:
    assert tokenizer_of(lang) == tokenizer


CHINESE = ["我们在公园里看到了一只黑色的狗。", "他今天没有来学校，因为下雨。", "这本书很有意思！"]

TRANSLATED = ["我们在公园看到一只黑狗。", "他今天没来学校，因为下了雨。", "这本书有意思。"]


def test_chinese_is_scored_by_characters(tmp_path: Path) -> None:
    bleu, chrf, ter = scores_of({"a": TRANSLATED}, [CHINESE], lang="zho_Hans")

    files = [write_texts(tmp_path / "ref", CHINESE)], write_texts(tmp_path / "hyp", TRANSLATED)

    options = ("-tok", "zh", "--ter-asian-support", "--ter-normalized")

    for metric, program in zip((bleu, chrf, ter), score_file(*files, *ALL, *options), strict=True):
        assert metric.signature == program["signature"]
        assert metric.systems["a"].score == pytest.approx(program["score"], abs=1e-6)

    # As whole words, hardly anything would match.
    assert bleu.systems["a"].score > 20.0 and ter.systems["a"].score < 60.0


def test_another_tokenizer_can_be_named(tmp_path: Path) -> None:
    config = MetricsConfig(bleu_tokenizer="char", chrf=False, ter=False)

    (bleu,) = scores_of({"a": SYSTEMS["near"]}, [REFERENCES], config, lang="jpn_Jpan")

    files = [write_texts(tmp_path / "r", REFERENCES)], write_texts(tmp_path / "h", SYSTEMS["near"])

    (program,) = score_file(*files, "-m", "bleu", "-tok", "char")

    assert bleu.signature == program["signature"]
    assert bleu.systems["a"].score == pytest.approx(program["score"], abs=1e-6)


def test_spbleu_is_bleu_over_the_pieces_of_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a model of the test's own in the place of that which sacrebleu downloads."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "flores200sacrebleuspm").write_bytes(sentencepiece(texts(400), 200))

    monkeypatch.setattr(tokenizer_spm, "SACREBLEU_DIR", str(tmp_path))

    config = MetricsConfig(spbleu=True, chrf=False, ter=False)

    bleu, spbleu = scores_of(SYSTEMS, [REFERENCES], config)

    files = [write_texts(tmp_path / "r", REFERENCES)], write_texts(tmp_path / "h", SYSTEMS["near"])

    options = ("-m", "bleu", "-tok", "flores200")

    (program,) = score_file(*files, *options, env={"SACREBLEU": str(tmp_path)})

    assert (bleu.name, spbleu.name) == ("BLEU", "spBLEU")
    assert spbleu.signature == program["signature"]
    assert spbleu.systems["near"].score == pytest.approx(program["score"], abs=1e-6)
    assert spbleu.systems["near"].score != pytest.approx(bleu.systems["near"].score, abs=0.1)
    assert spbleu.systems["far"].p_value is not None


def test_a_model_that_cannot_be_downloaded_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(tokenizer_spm, "SACREBLEU_DIR", str(tmp_path))
    monkeypatch.setattr(tokenizer_spm, "download_file", fail)

    with pytest.raises(EvaluationError, match=r"metrics\.spbleu needs .*flores200.*\(no network\)"):
        create_metrics(MetricsConfig(spbleu=True), "deu_Latn", [REFERENCES], "metrics")


def test_a_package_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_ja_mecab, "MeCab", None)

    with pytest.raises(EvaluationError, match=r"bleu of ja.*pip install 'sacrebleu\[ja\]'"):
        create_metrics(MetricsConfig(), "ja", [REFERENCES], "metrics")


def test_comet_is_tested_as_sacrebleu_tests(tmp_path: Path) -> None:
    """The bootstrap of a mean, written out."""
    scorer = CometScorer(
        CometConfig(python=write_fake(tmp_path / "env")), tmp_path / "log", field="metrics.comet"
    )

    metric = Comet(scorer, ["source"] * len(REFERENCES), [REFERENCES, ["other"] * len(REFERENCES)])

    found = score_systems(metric, SYSTEMS, SignificanceConfig())

    columns = {
        name: np.array([overlap(*pair) for pair in zip(lines, REFERENCES, strict=True)])
        for name, lines in SYSTEMS.items()
    }

    generator = np.random.default_rng(12345)

    rows = generator.choice(len(REFERENCES), size=(1000, len(REFERENCES)), replace=True)

    for name, column in columns.items():
        system, means = found.systems[name], np.sort(column[rows].mean(axis=1))

        assert system.score == pytest.approx(column.mean())
        assert system.mean == pytest.approx(means.mean(), abs=1e-6)
        assert system.confidence == pytest.approx((means[-26] - means[25]) / 2, abs=1e-6)

        if name == "base":
            assert system.p_value is None

            continue

        differences = np.abs(column[rows].mean(axis=1) - columns["base"][rows].mean(axis=1))

        chance = differences - differences.mean() > abs(column.mean() - columns["base"].mean())

        assert system.p_value == pytest.approx((chance.sum() + 1) / 1001)

    assert found.name == "COMET"
    assert found.signature == (
        "nrefs:1|model:Unbabel/wmt22-comet-da|revision:r1|precision:fp16|version:2.2.7"
    )
    assert found.test_signature == (
        "nrefs:1|bs:1000|seed:12345|model:Unbabel/wmt22-comet-da|revision:r1|precision:fp16|"
        "version:2.2.7"
    )
    # Each system was scored once.
    assert (tmp_path / "env" / "requests").read_text() == "3"


def test_configs_name_the_field_that_is_wrong() -> None:
    nothing = MetricsConfig(bleu=False, chrf=False, ter=False)

    assert "must be asked for" in str(nothing.validate().errors[0])
    assert "`num_samples` must" in str(SignificanceConfig(num_samples=0).validate().errors[0])

    result = ValidationResult()

    check_tokenizer_name("14a", result)

    assert "`bleu_tokenizer` must be one of" in str(result.errors[0])
    assert not MetricsConfig(comet=CometConfig(), bleu_tokenizer="zh").validate().has_error()
