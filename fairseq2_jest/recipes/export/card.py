"""The model card of an export: what the model came from, how good it is, how to make it again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from fairseq2.models.hg import HG_FAMILY

from fairseq2_jest.recipes.yaml_text import to_yaml
from fairseq2_jest.report.measures import MEASURES
from fairseq2_jest.report.runs import Run, Validation

_HUB_LANGUAGE: Final = re.compile("[a-z]{2,3}")
"""ISO 639-1, 639-2 and 639-3; the hub refuses a card with others."""

_WITH_SCRIPT: Final = re.compile("[a-z]{3}_[A-Z][a-z]{3}")
"""As FLORES has them, and as NLLB's own card has them in ``language_details``."""


def write_card(file: Path, run: Run, step: int, *, library: str = "transformers") -> None:
    """Writes the card of the model at ``step`` of ``run``.

    :param library: What loads it, by its name on the hub.

    :raises OSError: The file cannot be written.
    """
    base = base_model(run.config)

    lines = [
        *_front_matter(run, library),
        "",
        f"# {run.folder.resolve().name}",
        "",
        f"{base} after {step:,} steps of `fairseq2 mt finetune`, which trained on the pairs that "
        f"the batch selector `{run.selector}` chose.",
        "",
        "## Scores",
        "",
        *_scores(run, step),
        "",
        "## Data",
        "",
        *_section(run.config.get("dataset", {})),
        "",
        "## Selection",
        "",
        *_selection(run, step),
        "",
        "## How to make it again",
        "",
        "Put this into `config.yaml` and run `fairseq2 mt finetune OUT --config-file config.yaml`.",
        "",
        "```yaml",
        to_yaml(run.config).rstrip(),
        "```",
        "",
    ]

    file.write_text("\n".join(lines), encoding="utf-8")


def base_model(config: Mapping[str, Any]) -> str:
    """What a run began from, in words."""
    model = config.get("model", {})

    if model.get("path"):
        return str(model["path"])

    if model.get("name"):
        return str(model["name"])

    # A new model of this family has the weights of the hub.
    if model.get("family") == HG_FAMILY and (name := _overrides(model).get("hf_name")):
        return f"hg://{name}"

    return f"A new model of the architecture {model.get('family')}/{model.get('arch')}"


def _overrides(model: Mapping[str, Any]) -> Mapping[str, Any]:
    return model.get("config_overrides") or {}


def hub_name(config: Mapping[str, Any]) -> str | None:
    """What a run began from, by its name on Hugging Face's hub; ``None`` if it is not there."""
    base = base_model(config)

    if not base.startswith(("hg://", "hf://")):
        return None

    return base.removeprefix("hg://").removeprefix("hf://").partition("?")[0]


def _front_matter(run: Run, library: str) -> list[str]:
    lines = ["---", f"library_name: {library}", "pipeline_tag: translation"]

    if (repo := hub_name(run.config)) is not None:
        lines.append(f"base_model: {repo}")

    if run.validations:
        langs = sorted({lang for name in run.validations for lang in name.split("-")[:2]})

        # The hub takes codes without script and region, and some of them are words of YAML's.
        codes = sorted({lang.partition("_")[0].lower() for lang in langs})

        if codes := [json.dumps(code) for code in codes if _HUB_LANGUAGE.fullmatch(code)]:
            lines.append(f"language: [{', '.join(codes)}]")

        if scripts := [lang for lang in langs if _WITH_SCRIPT.fullmatch(lang)]:
            lines.append(f"language_details: {json.dumps(', '.join(scripts))}")

    return [*lines, "tags: [fairseq2, translation]", "---"]


def _scores(run: Run, step: int) -> list[str]:
    found = {d: _at(validations, step) for d, validations in sorted(run.validations.items())}

    present = {direction: v for direction, v in found.items() if v is not None}

    if not present:
        return ["It was not validated by this step."]

    measures = [m for m in MEASURES if any(m.key in v.scores for v in present.values())]

    rows = []

    for direction, validation in present.items():
        scores = validation.scores

        cells = [m.format(scores[m.key]) if m.key in scores else "" for m in measures]

        rows.append(f"| {direction} | {validation.step:,} | {' | '.join(cells)} |")

    header = " | ".join(measure.label for measure in measures)

    dataset = run.config.get("dataset", {})

    return [
        f"On the split `{dataset.get('valid_split')}`:",
        "",
        f"| direction | step | {header} |",
        "|---|---|" + "---|" * len(measures),
        *rows,
        "",
        *(f"- {signature}" for signature in _signatures(run)),
    ]


def _at(validations: Sequence[Validation], step: int) -> Validation | None:
    by_then = [validation for validation in validations if validation.step <= step]

    return by_then[-1] if by_then else None


def _signatures(run: Run) -> list[str]:
    from fairseq2_jest.evaluation.comet.scorer import read_identity
    from fairseq2_jest.evaluation.validation import score_signatures

    validation = run.config.get("validation", {})

    directions: dict[str, list[str]] = {}

    for direction in sorted(run.validations):
        found = score_signatures(
            direction.partition("-")[2],
            bleu=bool(validation.get("bleu", True)),
            chrf=bool(validation.get("chrf", True)),
            bleu_tokenizer=validation.get("bleu_tokenizer"),
        )

        for signature in found:
            directions.setdefault(signature, []).append(direction)

    signatures = [
        signature if len(names) == len(run.validations) else f"{signature} ({', '.join(names)})"
        for signature, names in directions.items()
    ]

    if comet := read_identity(run.folder):
        signatures.append(f"COMET|{comet.signature}")

    num = validation.get("max_num_examples")

    return signatures + ([f"over at most {num:,} pairs of a direction"] if num else [])


def _selection(run: Run, step: int) -> list[str]:
    by_then = [point for point in run.training if point.step <= step]

    section = run.config.get("batch_selector", {})

    lines = _section(section if isinstance(section, Mapping) else {})

    if by_then:
        spent = by_then[-1].spent

        lines += [
            "",
            f"By step {by_then[-1].step:,} it had read {spent.seen:,.0f} pairs and trained on "
            f"{spent.samples:,.0f}.",
        ]

    return lines


def _section(section: Mapping[str, Any]) -> list[str]:
    return ["```yaml", to_yaml(section).rstrip(), "```"]
