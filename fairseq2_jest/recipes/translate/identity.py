"""What a result depends on: the lines, the model, and how they are put to it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fairseq2.assets import AssetStore
from fairseq2.recipe.config import BeamSearchConfig, ReferenceModelSection, TokenizerSection
from fairseq2.runtime.dependency import DependencyResolver
from fairseq2.utils.structured import ValueConverter

from fairseq2_jest.cli.sections import iter_asset_sections
from fairseq2_jest.corpus.manifest import file_sha256
from fairseq2_jest.recipes.translate.config import TranslateConfig, TranslatorConfig
from fairseq2_jest.translation.config import input_format
from fairseq2_jest.translation.source import Survey

# They say where something is, or how fast, and not what comes out.
_INDIFFERENT = {"path", "mmap", "compile_options", "log_every_seconds"}


def identity_of(
    config: TranslateConfig, survey: Survey, resolver: DependencyResolver
) -> dict[str, object]:
    """Everything that decides a line of the result, ready for JSON.

    :raises OSError: A file cannot be read.
    """
    return {
        "input": {
            "sha256": survey.sha256,
            "num_lines": survey.num_lines,
            "format": input_format(config.input),
            "column": config.input.column,
        },
        "num_hypotheses": config.output.num_hypotheses,
        **identity_of_translator(config, resolver),
    }


def identity_of_translator(
    config: TranslatorConfig, resolver: DependencyResolver
) -> dict[str, object]:
    """Everything that decides how a line is translated, ready for JSON.

    Local files of model and tokenizer count by their bytes; what is downloaded counts by its
    address.

    :raises OSError: A file cannot be read.
    """
    converter = resolver.resolve(ValueConverter)

    def unstructured(section: object) -> dict[str, Any]:
        values = converter.unstructure(section)

        assert isinstance(values, dict)

        return {key: value for key, value in values.items() if key not in _INDIFFERENT}

    return {
        "direction": config.direction,
        "model": {**unstructured(config.model), "files": _files(config.model, resolver)},
        "tokenizer": {
            **unstructured(config.tokenizer),
            "files": _files(config.tokenizer, resolver),
        },
        "translation": {
            key: value
            for key, value in asdict(config.translation).items()
            if key not in _INDIFFERENT
        },
        "seq2seq_generator": unstructured(config.seq2seq_generator),
        "generator": unstructured(config.generator),
        "seed": _seed_of_draws(config),
    }


def _seed_of_draws(config: TranslatorConfig) -> int | None:
    """The seed where translations depend on it."""
    if isinstance(config.seq2seq_generator.config, BeamSearchConfig):
        return None

    return config.common.seed


def _files(
    section: ReferenceModelSection | TokenizerSection, resolver: DependencyResolver
) -> dict[str, str] | str | None:
    if section.path is not None:
        return _digests(section.path)

    (asset,) = iter_asset_sections(section)

    card = resolver.resolve(AssetStore).maybe_retrieve_card(section.name or "")

    if card is None:
        return None

    card = asset.card(resolver) or card

    field = card.maybe_get_field("checkpoint" if asset.kind == "model" else "tokenizer")

    if field is None:
        return None

    uri = field.as_uri()

    return _digests(uri.to_path()) if uri.scheme == "file" else str(uri)


def _digests(path: Path) -> dict[str, str]:
    if path.is_file():
        return {path.name: file_sha256(path)}

    return {
        str(file.relative_to(path)): file_sha256(file)
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }
