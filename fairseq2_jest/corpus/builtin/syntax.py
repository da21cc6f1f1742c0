"""The abstract syntax that all three languages are realised from.

A translation is a function of these trees: nothing is chosen at random while a tree is turned
into words.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from fairseq2_jest.corpus.builtin.conjugation import (
    SHE,
    THEY,
    EnglishVerb,
    GermanVerb,
    Modal,
)
from fairseq2_jest.corpus.builtin.lexicon import Adjective, Adverbial, Noun, Verb

PRONOUNS: Final = ("I", "you", "he", "she", "we", "they", "it")
PERSONS: Final = (0, 1, 2, 2, 3, 4, 2)
"""Person and number of each pronoun, as an index into finite forms."""


class Pronoun(NamedTuple):
    """A personal pronoun, by its index in ``PRONOUNS``; ``you`` is one familiar person."""

    which: int


class Name(NamedTuple):
    """A person's or a city's name, the same in English and German."""

    text: str
    esperanto: str


class NounPhrase(NamedTuple):
    """A noun with its dependents.

    ``determiner`` is ``the``, ``a`` (zero in the plural and for mass nouns), ``this``, ``every``,
    ``many``, ``some``, a possessive, or a number word.
    """

    noun: Noun
    plural: bool = False
    determiner: str = "the"
    adjective: Adjective | None = None
    owner: Phrase | None = None
    relative: Clause | None = None


class Pair(NamedTuple):
    """Two phrases joined by *and*."""

    first: Phrase
    second: Phrase


class Gap(NamedTuple):
    """What a relative pronoun stands for: the head that it agrees with."""

    noun: Noun
    plural: bool


class Asked(NamedTuple):
    """*who* (a person) or *what*."""

    person: bool


Phrase: TypeAlias = Pronoun | Name | NounPhrase | Pair | Gap | Asked


class Place(NamedTuple):
    """A place or goal: prepositions in English and German, and the German case."""

    phrase: Phrase
    english: str
    german: str
    case: int
    goal: bool = False


class Clause(NamedTuple):
    """A clause; ``fronted`` puts its adverbial of time first, in both languages."""

    subject: Phrase
    verb: Verb
    tense: str = "present"
    modal: Modal | None = None
    negated: bool = False
    object: Phrase | None = None
    recipient: Phrase | None = None
    predicate: Adjective | None = None
    than: Phrase | None = None
    time: Adverbial | None = None
    frequency: Adverbial | None = None
    manner: Adverbial | None = None
    place: Place | Adverbial | None = None
    fronted: bool = False
    content: Clause | None = None


class Sentence(NamedTuple):
    """A main clause and what goes with it.

    ``mood`` is ``tell``, ``ask`` (yes or no), or the question word ``where``, ``when``, ``why``,
    ``what`` or ``who``. ``joined`` is a second clause after ``conjunction``, which subordinates
    it unless it is in ``COORDINATING``; ``joined_first`` fronts a subordinate one.
    """

    main: Clause
    mood: str = "tell"
    conjunction: str = ""
    joined: Clause | None = None
    joined_first: bool = False


CONJUNCTIONS: Final = {
    "because": ("weil", "ĉar"),
    "if": ("wenn", "se"),
    "although": ("obwohl", "kvankam"),
    "when": ("als", "kiam"),
    "while": ("während", "dum"),
    "before": ("bevor", "antaŭ ol"),
    "and": ("und", "kaj"),
    "but": ("aber", "sed"),
    "in order to": ("um", "por"),
}
COORDINATING: Final = frozenset({"and", "but"})

QUESTION_WORDS: Final = {
    "where": ("wo", "kie"),
    "when": ("wann", "kiam"),
    "why": ("warum", "kial"),
    "what": ("was", "kion"),
    "who": ("wer", "kiu"),
}


def special_verb(english: EnglishVerb, german: GermanVerb, frame: str, esperanto: str) -> Verb:
    """A verb outside the tables (copula, existence, weather) for a frame of its own."""
    return Verb(english, german, frame, ("", 1, ""), (), (), (), esperanto, True, True)


def agreement(phrase: Phrase) -> int:
    """Person and number of a subject as an index into finite forms."""
    if isinstance(phrase, Pronoun):
        return PERSONS[phrase.which]
    if isinstance(phrase, (NounPhrase, Gap)):
        return THEY if phrase.plural else SHE
    return THEY if isinstance(phrase, Pair) else SHE
