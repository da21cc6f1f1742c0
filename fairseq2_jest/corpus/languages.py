"""Which language a code means, and which known codes are near one that is not known."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from functools import cache
from typing import NamedTuple

from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.language_table import NLLB_LANGUAGES

_MAX_NEAR = 5


class _Language(NamedTuple):
    code: str
    """NLLB's code, e.g. ``deu_Latn``."""

    prefixes: tuple[str, ...]
    """Language codes without a script: ISO 639-3 first, then ISO 639-1 and others."""

    name: str


@cache
def _languages() -> tuple[_Language, ...]:
    languages = []
    for line in NLLB_LANGUAGES.splitlines():
        code, others, name = line.split(" ", 2)
        prefixes = [code.partition("_")[0]]
        if others != "-":
            prefixes += others.split(",")
        languages.append(_Language(code, tuple(prefixes), name))
    return tuple(languages)


def language_keys(code: str) -> tuple[str, ...]:
    """Return the names under which data files may hold the language ``code``.

    ``deu_Latn`` gives ``deu_Latn``, ``deu``, ``de``, ``ger``; ``de_DE`` gives ``de_DE``, ``de``,
    ``deu``, ``ger``. The full code always comes first.
    """
    keys = [code, _prefix(code)]
    for language in _languages():
        if _prefix(code) in language.prefixes:
            keys += language.prefixes
    return tuple(dict.fromkeys(keys))


def language_name(code: str) -> str | None:
    """Return the English name of the language ``code``: ``German`` for ``deu_Latn`` or ``de``."""
    languages = {language.code: language.name for language in reversed(_languages())}
    if code in languages:
        return languages[code]
    # The table has the standard language before its varieties.
    return next((x.name for x in _languages() if _prefix(code) in x.prefixes), None)


def near_languages(code: str, known: Collection[str]) -> list[str]:
    """Return up to five of the ``known`` codes that ``code`` may stand for, the likeliest first.

    ``code`` may be another code of the language (``de``, ``deu``, ``de_DE``), its English name, or
    either with a typo. ``known`` are a tokenizer's codes, NLLB's or any other scheme's.
    """
    wanted = code.casefold().replace("-", "_")
    folded = {k.casefold(): k for k in sorted(known)}
    if wanted in folded:
        return [folded[wanted]]

    near = _known_by_prefix(_prefix(wanted), folded)
    if not near:
        words = wanted.replace("_", " ")
        named = [x for x in _languages() if words in x.name.casefold().split()]
        if not named:
            names = {x.name.casefold(): x for x in _languages()}
            close = get_close_matches(words, names, n=_MAX_NEAR, cutoff=0.75)
            named = [names[name] for name in close]
        for language in named:
            near += _known_by_prefix(language.prefixes[0], folded)

    close = get_close_matches(wanted, folded, n=_MAX_NEAR, cutoff=0.75)
    if near:
        # Of several scripts or dialects, the one that looks like what was typed comes first.
        near.sort(key=lambda k: close.index(k.casefold()) if k.casefold() in close else len(close))
    else:
        near = [folded[c] for c in close]
    return list(dict.fromkeys(near))[:_MAX_NEAR]


def check_language(code: str, known: Collection[str], where: str) -> None:
    """Check that ``code`` is one of ``known``.

    :param where: What names the language, for the message, e.g. ``direction 'de-en'``.

    :raises CorpusError: If it is not; the message lists the near ones.
    """
    if code in known:
        return
    near = near_languages(code, known)
    if near:
        mend = f"did you mean {' or '.join(repr(n) for n in near)}?"
    else:
        mend = f"it knows {len(known)}, such as {', '.join(repr(k) for k in sorted(known)[:5])}."
    raise CorpusError(f"The tokenizer does not know the language '{code}' of {where}: {mend}")


def _prefix(code: str) -> str:
    return code.partition("_")[0]


def _known_by_prefix(prefix: str, folded: dict[str, str]) -> list[str]:
    # In the table's order, which has the standard language before its varieties.
    known = [k for f, k in folded.items() if _prefix(f) == prefix]
    for language in _languages():
        if prefix in language.prefixes:
            known += [k for f, k in folded.items() if _prefix(f) in language.prefixes]
    return known
