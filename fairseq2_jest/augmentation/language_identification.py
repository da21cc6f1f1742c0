"""Whether a text is in the language that it should be in, by py3langid, which brings its model."""

from __future__ import annotations

from functools import cache
from typing import Any

from fairseq2_jest.corpus.languages import language_keys


class LanguageLikelihood:
    """How likely it is that a text is in one language.

    Of a text that may be in any language, such as a name, it is high for all of them.

    The model is that of py3langid: naive Bayes over n-grams of bytes for 140 languages (Lui and
    Baldwin 2012, "langid.py: An Off-the-shelf Language Identification Tool").
    """

    def __init__(self, lang: str) -> None:
        """
        :param lang: A code of a tokenizer, such as ``deu_Latn``.
        """
        self.lang = lang
        self._label = _label_of(lang)

    @property
    def is_known(self) -> bool:
        """Whether the model knows the language."""
        return self._label is not None

    def __call__(self, text: str) -> float:
        """The likelihood as a share of the likeliest language's, 1 where the language is not
        known."""
        if self._label is None:
            return 1.0

        ranked = _identifier().rank(text)

        return float(dict(ranked)[self._label] / ranked[0][1])


def is_of_language(text: str, language: LanguageLikelihood, threshold: float | None) -> bool:
    """Whether the likelihood reaches ``threshold``, of which there may be none."""
    return threshold is None or language(text) >= threshold


def _label_of(lang: str) -> str | None:
    labels = set(_identifier().labels)

    return next((key for key in language_keys(lang) if key in labels), None)


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
