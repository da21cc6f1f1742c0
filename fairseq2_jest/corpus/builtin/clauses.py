"""Draws abstract clauses: from the core of the grammar, or from all of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from typing import Final, TypeVar

from fairseq2_jest.corpus.builtin.conjugation import (
    SEIN,
    YOU,
    english_verb,
    german_verb,
)
from fairseq2_jest.corpus.builtin.groups import GROUPS
from fairseq2_jest.corpus.builtin.lexicon import (
    ACC,
    ADJECTIVES_ALL,
    DAT,
    FREQUENCIES_ALL,
    MANNERS_ALL,
    NOUNS_ALL,
    TIMES_ALL,
    VERBS_ALL,
    Adjective,
    Adverbial,
    Noun,
    Verb,
)
from fairseq2_jest.corpus.builtin.syntax import (
    Clause,
    Name,
    NounPhrase,
    Pair,
    Phrase,
    Place,
    Pronoun,
    agreement,
    special_verb,
)
from fairseq2_jest.corpus.builtin.verbs import ADULT

T = TypeVar("T")

BE: Final = special_verb(english_verb("be was been being"), SEIN, "be", "est")
EXIST: Final = special_verb(
    english_verb("be was been being"), german_verb("geben gibt gab gegeben"), "exist", "est"
)
WEATHER: Final = (
    special_verb(english_verb("rain"), german_verb("regnen"), "weather", "pluv"),
    special_verb(english_verb("snow"), german_verb("schneien"), "weather", "neĝ"),
)
PEOPLE: Final = tuple(
    Name(*pair.split("/"))
    for pair in (
        *("Anna/Anna", "Peter/Petro", "Maria/Maria", "Paul/Paŭlo", "Julia/Julia"),
        *("Thomas/Tomaso", "Sarah/Sara", "Lukas/Luko", "Emma/Ema", "Felix/Felikso"),
    )
)
CITIES: Final = tuple(
    Name(*pair.split("/"))
    for pair in (
        *("Berlin/Berlino", "Hamburg/Hamburgo", "Paris/Parizo", "London/Londono"),
        *("Leipzig/Lepsiko", "Dresden/Dresdeno", "Madrid/Madrido", "Oslo/Oslo"),
    )
)
AT_HOME: Final = Adverbial("at home", "zu Hause", "hejme", frozenset("h"), True)
FIXED_PLACES: Final = (
    AT_HOME,
    Adverbial("here", "hier", "ĉi tie", frozenset("hbo"), True),
    Adverbial("outside", "draußen", "ekstere", frozenset("o"), False),
)
HOME: Final = Adverbial("home", "nach Hause", "hejmen", frozenset(), True)
STATE_TIMES: Final = frozenset(
    ("today", "now", "yesterday", "last week", "last year", "this week", "ten years ago")
)
"""The times that go with a state as well as with an event."""
OWNERS: Final = ("my", "your", "his", "her", "our", "their")
NUMBERS: Final = (
    *("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve"),
)
MAIN_FRAMES: Final = ("intr", "tr", "tr", "tr", "tr", "dat", "ditr", "prep", "motion", "put", "pos")
CORE_FRAMES: Final = ("intr", "tr", "tr", "tr", "dat", "motion")


@cache
def suitable(noun: str, core: bool, comparable: bool) -> tuple[Adjective, ...]:
    """The adjectives that suit a noun, of the core or all, with a comparative or all."""
    return tuple(
        a
        for a in ADJECTIVES_ALL
        if noun in a.nouns and (a.core or not core) and (a.german_comparative or not comparable)
    )


class ClauseSampler:
    """Draws phrases and clauses with ``rng`` alone, of the ``core`` or of everything."""

    def __init__(self, rng: random.Random, core: bool) -> None:
        self._random = rng.random
        self._core = core
        kept = (lambda entry: entry.core) if core else (lambda entry: True)
        frames = CORE_FRAMES if core else MAIN_FRAMES
        self._verbs: dict[str, list[Verb]] = {}
        for verb in (v for v in VERBS_ALL if kept(v)):
            self._verbs.setdefault(verb.frame, []).append(
                verb._replace(
                    subjects=tuple(filter(kept, verb.subjects)),
                    objects=tuple(filter(kept, verb.objects)),
                    places=tuple(filter(kept, verb.places)),
                )
            )
        for frame, verbs in self._verbs.items():
            needs_object = frame in ("tr", "ditr", "put")
            self._verbs[frame] = [v for v in verbs if v.objects or not needs_object]
        self._frames = frames
        self._nouns = tuple(filter(kept, NOUNS_ALL))
        self._people = tuple(n for n in self._nouns if n.kind == "p")
        self._relational = tuple(n for n in self._people if n.english in _RELATIONAL)
        self._countable = tuple(n for n in self._nouns if n.plural_forms)
        self._places = tuple(n for n in self._nouns if n.located[0])
        self._times: dict[str, list[Adverbial]] = {}
        self._frequencies: dict[str, list[Adverbial]] = {}
        for table, entries in (
            (self._times, TIMES_ALL),
            (self._frequencies, FREQUENCIES_ALL),
        ):
            for entry in filter(kept, entries):
                for tense in sorted(entry.fits):
                    table.setdefault(tense, []).append(entry)
        self._manners = tuple(filter(kept, MANNERS_ALL))

    def _one(self, items: Sequence[T]) -> T:
        return items[int(self._random() * len(items))]

    def _chance(self, share: float) -> bool:
        return self._random() < share

    def _noun_phrase(self, noun: Noun, described: float = 0.3) -> NounPhrase:
        draw = self._random()
        plural = bool(noun.plural_forms) and self._chance(0.3)
        owner: Phrase | None = None
        if not noun.plural_forms:
            determiner = "zero" if draw < 0.6 else "the"
        elif draw < 0.45:
            determiner = "the"
        elif draw < 0.7:
            determiner = "a"
        elif draw < 0.85:
            owned = noun.kind not in "pahbow" or noun.english in _RELATIONAL
            determiner = self._one(OWNERS) if owned else "the"
            plural = plural and noun.english not in _UNIQUE
        elif self._core:
            determiner = "the"
        elif draw < 0.9:
            determiner = "this"
        elif draw < 0.96:
            if plural:
                determiner = self._one(("many", "some")) if draw < 0.92 else self._one(NUMBERS)
            else:
                determiner = "every" if draw < 0.92 else "the"
        else:
            if noun.kind in "hbow" or (noun.kind in "pa" and noun.english not in _RELATIONAL):
                return NounPhrase(noun, plural)
            determiner = "the"
            possessor = self._one(self._people)
            owner = (
                NounPhrase(possessor, determiner=self._possessive(possessor))
                if self._chance(0.6)
                else self._one(PEOPLE)
            )
        adjective = None
        if self._chance(described):
            suited = suitable(noun.english, self._core, False)
            adjective = self._one(suited) if suited else None
        return NounPhrase(noun, plural, determiner, adjective, owner)

    def _possessive(self, noun: Noun) -> str:
        owned = noun.kind not in "pbow" or noun.english in _RELATIONAL
        return self._one(("the", *OWNERS)) if owned else "the"

    def _person(self) -> Phrase:
        draw = self._random()
        if draw < 0.3:
            return Pronoun(int(self._random() * 6))
        if draw < 0.42:
            return self._one(PEOPLE)
        if draw < 0.48 and not self._core:
            second = self._one(self._relational)
            return Pair(self._one(PEOPLE), NounPhrase(second, determiner=self._one(OWNERS)))
        return self._noun_phrase(self._one(self._people))

    def _subject(self, verb: Verb) -> Phrase:
        first = verb.subjects[0]
        if first.kind == "p" and len(verb.subjects) > len(GROUPS["sitters"].split()):
            if self._chance(0.4):
                return self._person()
            return self._noun_phrase(self._one(verb.subjects))
        return self._noun_phrase(self._one(verb.subjects))

    def _object(self, verb: Verb, subject: Phrase) -> Phrase:
        if verb.objects[0].kind == "p" and not verb.english.particle and self._chance(0.25):
            phrase = self._person()
        else:
            phrase = self._noun_phrase(self._one(verb.objects))
        taken = who(subject)
        while who(phrase) == taken or _clash(subject, phrase):
            phrase = self._noun_phrase(self._one(verb.objects))
        return phrase

    def _located(self, places: Sequence[Noun]) -> Place | Adverbial:
        if self._chance(0.15):
            kinds = {noun.kind for noun in places}
            fixed = self._one(FIXED_PLACES)
            if fixed.fits & kinds and (fixed.core or not self._core):
                return fixed
        if self._chance(0.12) and any(noun.english == "city" for noun in places):
            return Place(self._one(CITIES), "in", "in", DAT)
        noun = self._one(places)
        return Place(self._site(noun), noun.located[0], noun.located[1], DAT)

    def _site(self, noun: Noun) -> NounPhrase:
        phrase = self._noun_phrase(noun, 0.2)
        home = noun.kind == "h" or noun.english == "garden"
        fits = ("the", "a", "this", *(OWNERS if home else ()))
        determiner = phrase.determiner if phrase.determiner in fits else "the"
        return phrase._replace(plural=False, determiner=determiner, owner=None)

    def _goal(self, verb: Verb) -> Place | Adverbial:
        draw = self._random()
        if draw < 0.1:
            return HOME
        if draw < 0.3 or verb.english.base == "travel":
            return Place(self._one(CITIES), "to", "nach", DAT, True)
        noun = self._one(verb.places)
        english, german = noun.directed
        return Place(self._site(noun), english, german, DAT if german == "zu" else ACC, True)

    def clause(self, tense: str, frame: str = "", subject: Phrase | None = None) -> Clause:
        """A clause without negation, modal or adverbs, in ``tense``."""
        while True:
            verb = self._one(self._verbs[frame or self._one(self._frames)])
            ambiguous = verb.english.past == verb.english.base
            if tense == "past" and ambiguous:
                continue
            if tense == "progressive" and verb.stative:
                continue
            actor = subject if subject is not None else self._subject(verb)
            if not able(actor, verb) or not _suits(actor, verb):
                continue
            if tense == "past" and agreement(actor) == YOU:
                if subject is not None:
                    raise ValueError("the past tense does not address anyone")
                continue
            clause = self._complete(Clause(actor, verb, tense))
            if clause is not None:
                return clause

    def _complete(self, clause: Clause) -> Clause | None:
        verb, frame, subject = clause.verb, clause.verb.frame, clause.subject
        if frame in ("tr", "dat", "prep"):
            target = self._object(verb, subject)
            clause = clause._replace(object=target)
            if not able(subject, verb, target):
                return None
        elif frame == "ditr":
            recipient: Phrase = Pronoun(0)
            for _ in range(8):
                recipient = self._person()
                if who(recipient) != who(subject) and not _clash(subject, recipient):
                    break
            else:
                return None
            thing = self._noun_phrase(self._one(verb.objects))
            clause = clause._replace(recipient=recipient, object=thing)
        elif frame in ("put", "pos"):
            if frame == "put":
                clause = clause._replace(object=self._noun_phrase(self._one(verb.objects), 0.2))
            spot = self._noun_phrase(self._one(verb.places), 0.2)
            if spot.determiner not in ("the", "a", "this", *OWNERS):
                spot = spot._replace(determiner="the")
            spot = spot._replace(plural=False, owner=None)
            put = frame == "put"
            inside = spot.noun.english in ("armchair", "bed") and not put
            place = (
                Place(spot, "in", "in", DAT)
                if inside
                else Place(spot, "on", "auf", ACC if put else DAT, put)
            )
            return clause._replace(place=place)
        elif frame == "motion":
            return clause._replace(place=self._goal(verb))
        if verb.places and self._chance(0.4 if verb.english.base != "live" else 1.0):
            clause = clause._replace(place=self._located(verb.places))
        return clause

    def copula(self, tense: str) -> Clause:
        """*X is ADJECTIVE*, or a comparison of two of a kind."""
        compared = not self._core and self._chance(0.4)
        while True:
            noun = self._one(self._countable)
            suited = suitable(noun.english, self._core, compared)
            if not suited:
                continue
            adjective = self._one(suited)
            subject: Phrase = self._noun_phrase(noun, 0.0)
            if noun.kind == "p" and self._chance(0.4):
                subject = self._person()
            if tense == "past" and agreement(subject) == YOU:
                continue
            clause = Clause(subject, BE, tense, predicate=adjective)
            if compared:
                fellows = [n for n in self._countable if n.kind == noun.kind and n is not noun]
                other = self._one(fellows)
                if other.english not in adjective.nouns:
                    continue
                than = NounPhrase(other, determiner=self._possessive(other))
                clause = clause._replace(than=than)
            return clause

    def _exists(self, tense: str) -> Clause:
        noun = self._one([n for n in self._countable if n.kind in "patkvb"])
        plural = self._chance(0.4)
        determiner = self._one(("many", "some", *NUMBERS, "a")) if plural else "a"
        suited = suitable(noun.english, self._core, False)
        adjective = self._one(suited) if suited and self._chance(0.4) else None
        thing = NounPhrase(noun, plural, determiner, adjective)
        kinds = {"p": "hbo", "a": "o", "t": "h", "k": "h", "v": "o", "b": "o"}[noun.kind]
        names = ("city", "village") if noun.kind == "b" else ()
        sites = [
            n
            for n in self._places
            if n.kind in kinds and n is not noun and (not names or n.english in names)
        ]
        site = self._one(sites)
        place = Place(self._site(site), site.located[0], site.located[1], DAT)
        return Clause(Pronoun(6), EXIST, tense, object=thing, place=place)


def who(phrase: Phrase) -> str:
    """What tells a phrase from another: a noun, a name, the number of a pronoun."""
    if isinstance(phrase, NounPhrase):
        return phrase.noun.english
    if isinstance(phrase, Name):
        return phrase.text
    return str(phrase.which) if isinstance(phrase, Pronoun) else ""


def _clash(subject: Phrase, other: Phrase) -> bool:
    """Whether two phrases overlap in person (*I see us*)."""
    if not isinstance(subject, Pronoun) or not isinstance(other, Pronoun):
        return False
    overlap = ({0, 4}, {1, 4}, {2, 5}, {3, 5})
    return any({subject.which, other.which} == pair for pair in overlap)


def _suits(subject: Phrase, verb: Verb) -> bool:
    """Whether a given subject is one of the verb's; names and pronouns are people."""
    if isinstance(subject, NounPhrase):
        return subject.noun in verb.subjects or subject.noun.kind == "p" == verb.subjects[0].kind
    return verb.subjects[0].kind == "p"


def able(subject: Phrase, verb: Verb, target: Phrase | None = None) -> bool:
    """Whether the subject is old enough for the verb and its object."""
    if not isinstance(subject, NounPhrase) or subject.noun.english not in _UNDERAGE:
        return True
    thing = target.noun.english if isinstance(target, NounPhrase) else ""
    return verb.english.base not in ADULT and thing not in ADULT


_RELATIONAL: Final = frozenset(GROUPS["relational"].split())
_UNIQUE: Final = frozenset(("father", "mother", "boss"))
_UNDERAGE: Final = frozenset(GROUPS["underage"].split())


def negatable(clause: Clause) -> bool:
    """Whether *not* has one clear reading in both languages."""
    target = clause.object
    subject = clause.subject
    if clause.tense == "progressive" or clause.manner is not None:
        return False
    if clause.modal is not None and clause.modal.name in ("must", "have to", "may"):
        return False
    if isinstance(subject, NounPhrase) and subject.determiner in ("a", "every", "many", "some"):
        return False
    if isinstance(target, NounPhrase):
        return target.determiner not in (*NUMBERS, "many", "some", "every")
    return True
