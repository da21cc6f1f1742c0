"""What a language model is asked for, to translate a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from fairseq2.utils.validation import Validatable, ValidationResult
from typing_extensions import override

from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.languages import language_name
from fairseq2_jest.corpus.pair import Direction

_FIELDS: Final = ("src_text", "src_lang", "trg_lang")

_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, kw_only=True)
class PromptConfig(Validatable):
    """How a pair is put to a decoder-only model: a prompt, then simply the target as the response.

    The default is the template of G-DIG (ACL 2024, Section 4.1).
    """

    template: str = 'Translate the following text into {trg_lang}.\n\nText:\n"{src_text}"'
    """The prompt: ``{src_text}`` is the source, ``{src_lang}`` and ``{trg_lang}`` are the English
    names of the languages. The response follows directly."""

    language_names: Mapping[str, str] = field(default_factory=dict)
    """Names of languages by their codes, where they should be others than NLLB's, or have none."""

    @override
    def validate(self) -> ValidationResult:
        result = ValidationResult()

        found = _PLACEHOLDER.findall(self.template)

        if "src_text" not in found:
            result.add_error("`template` must contain {src_text}, where the source goes.")

        for name in dict.fromkeys(found):
            if name not in _FIELDS:
                known = ", ".join(f"{{{known}}}" for known in _FIELDS)

                result.add_error(f"`template` contains {{{name}}}, but knows only {known}.")

        return result


class Prompt:
    """Renders prompts of one template."""

    def __init__(self, config: PromptConfig) -> None:
        self._config = config

    def check(self, direction: Direction) -> None:
        """
        :raises CorpusError: A language of ``direction`` that the template names has no name.
        """
        for name in {"src_lang", "trg_lang"}.intersection(
            _PLACEHOLDER.findall(self._config.template)
        ):
            self._name(direction.source if name == "src_lang" else direction.target)

    def render(self, source: str, direction: Direction) -> str:
        """The prompt for a text.

        :raises CorpusError: See :meth:`check`.
        """

        def fill(match: re.Match[str]) -> str:
            if match[1] == "src_text":
                return source

            return self._name(direction.source if match[1] == "src_lang" else direction.target)

        # In one go: a source may contain what looks like a placeholder.
        return _PLACEHOLDER.sub(fill, self._config.template)

    def _name(self, lang: str) -> str:
        name = self._config.language_names.get(lang) or language_name(lang)

        if name is None:
            raise CorpusError(
                f"The language '{lang}' has no known name to put into a prompt; give one in "
                "prompt.language_names."
            )

        return name
