"""The lexicon: the tables of this package parsed into typed, fully inflected entries."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from fairseq2_jest.corpus.builtin.adjectives import ADJECTIVES, FREQUENCIES, MANNERS, TIMES
from fairseq2_jest.corpus.builtin.conjugation import (
    EnglishVerb,
    GermanVerb,
    english_plural,
    english_verb,
    german_verb,
)
from fairseq2_jest.corpus.builtin.groups import GROUPS
from fairseq2_jest.corpus.builtin.nouns import NOUNS
from fairseq2_jest.corpus.builtin.verbs import MATRIX_VERBS, STATIVE, VERBS

NOM, ACC, DAT, GEN = 0, 1, 2, 3

CORE_CYCLE: Final = 5
CORE_OF_CYCLE: Final = 3
"""Three of every five entries of each class belong to the core that ``pretrain`` is drawn from."""


class Noun(NamedTuple):
    """A noun with its forms; ``singular`` and ``plural_forms`` are German, indexed by case."""

    english: str
    english_plural: str
    gender: str
    singular: tuple[str, ...]
    plural_forms: tuple[str, ...]
    esperanto: str
    kind: str
    located: tuple[str, str]
    directed: tuple[str, str]
    core: bool


class Adjective(NamedTuple):
    """An adjective; ``attributive`` is the German stem that endings attach to."""

    english: str
    german: str
    attributive: str
    nouns: frozenset[str]
    esperanto: str
    english_comparative: str
    german_comparative: str
    core: bool


class Verb(NamedTuple):
    """A verb with its frame; ``government`` is (German preposition, case, Esperanto one)."""

    english: EnglishVerb
    german: GermanVerb
    frame: str
    government: tuple[str, int, str]
    subjects: tuple[Noun, ...]
    objects: tuple[Noun, ...]
    places: tuple[Noun, ...]
    esperanto: str
    stative: bool
    core: bool


class Adverbial(NamedTuple):
    """A fixed adverbial and the tenses or English verbs that it goes with."""

    english: str
    german: str
    esperanto: str
    fits: frozenset[str]
    core: bool


def _is_core(index: int) -> bool:
    return index % CORE_CYCLE < CORE_OF_CYCLE


def _genitive(noun: str, gender: str) -> str:
    if gender == "f":
        return noun
    if noun.endswith("nis"):
        return noun + "ses"
    if noun.endswith(("s", "ß", "x", "z", "sch")):
        return noun + "es"
    one_syllable = len(re.findall(r"(?:ei|au|eu|äu|ie|aa|oo|ee|[aeiouäöüy])", noun.lower())) == 1
    return noun + ("es" if one_syllable and noun[-1] in "bdfgkmnrt" else "s")


def _noun(line: str, kind: str, core: bool) -> Noun:
    english, german, gender, plural, esperanto, *flags = line.split()
    singular_en, _, plural_en = english.partition("/")
    named = dict(flag.split("=") for flag in flags if "=" in flag)
    if "weak" in flags:
        singular = (german, plural, plural, plural)
    else:
        singular = (german, german, german, named.get("gen", _genitive(german, gender)))
    dative = plural if plural[-1] in "ns" else plural + "n"
    located, directed = (tuple(named.get(name, ":").split(":", 1)) for name in ("loc", "dir"))
    return Noun(
        english=singular_en,
        english_plural="" if plural == "-" else plural_en or english_plural(singular_en),
        gender=gender,
        singular=singular,
        plural_forms=() if plural == "-" else (plural, plural, dative, plural),
        esperanto=esperanto,
        kind=kind,
        located=(located[0], located[1]),
        directed=(directed[0], directed[1]),
        core=core,
    )


def _nouns() -> tuple[Noun, ...]:
    nouns, kind, index = [], "", 0
    for line in NOUNS.strip().splitlines():
        if line.startswith("["):
            kind, index = line[1], 0
        else:
            nouns.append(_noun(line, kind, _is_core(index)))
            index += 1
    return tuple(nouns)


NOUNS_ALL: Final = _nouns()
NOUN: Final = {noun.english: noun for noun in NOUNS_ALL}


def nouns_of(column: str) -> tuple[Noun, ...]:
    """The nouns that a class column of the verb table stands for, in the table's order."""
    if column == "-":
        return ()
    names: set[str] = set()
    letters = ""
    for token in column.split():
        if token.startswith("="):
            names.update(GROUPS[token[1:]].split())
        else:
            letters += token
    return tuple(n for n in NOUNS_ALL if n.kind in letters or n.english in names)


def _verb(line: str, core: bool) -> Verb:
    english, german, frame, subjects, objects, places, esperanto = (
        column.strip() for column in line.split("|")
    )
    frame, _, rest = frame.partition(":")
    government = ("", DAT if frame == "dat" else ACC, "al" if frame == "dat" else "")
    if rest:
        preposition, case, eo = rest.split(":")
        government = (preposition, ACC if case == "acc" else DAT, eo)
    verb = english_verb(english)
    return Verb(
        english=verb,
        german=german_verb(german),
        frame=frame,
        government=government,
        subjects=nouns_of(subjects),
        objects=nouns_of(objects),
        places=nouns_of(places),
        esperanto=esperanto,
        stative=f"{verb.base} {verb.particle}".strip() in STATIVE,
        core=core,
    )


def _verbs(table: str) -> tuple[Verb, ...]:
    return tuple(_verb(line, _is_core(i)) for i, line in enumerate(table.strip().splitlines()))


def _adjective(line: str, core: bool) -> Adjective:
    english, german, kinds, esperanto, comparative_en, comparative_de, *flags = line.split()
    stem = flags[0].removeprefix("attr=") if flags else german
    suited = frozenset(noun.english for noun in nouns_of(kinds))
    return Adjective(
        english,
        german,
        stem,
        suited,
        esperanto,
        "" if comparative_en == "-" else comparative_en.replace("_", " "),
        "" if comparative_de == "-" else comparative_de,
        core,
    )


def _adverbials(table: str) -> tuple[Adverbial, ...]:
    entries = []
    for index, line in enumerate(table.strip().splitlines()):
        english, german, esperanto, fits = line.split("|")
        entries.append(
            Adverbial(english, german, esperanto, frozenset(fits.split()), _is_core(index))
        )
    return tuple(entries)


VERBS_ALL: Final = _verbs(VERBS)
MATRIX_ALL: Final = _verbs(MATRIX_VERBS)
ADJECTIVES_ALL: Final = tuple(
    _adjective(line, _is_core(i)) for i, line in enumerate(ADJECTIVES.strip().splitlines())
)
TIMES_ALL: Final = _adverbials(TIMES)
FREQUENCIES_ALL: Final = _adverbials(FREQUENCIES)
MANNERS_ALL: Final = _adverbials(MANNERS)
