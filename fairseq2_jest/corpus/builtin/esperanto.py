"""Esperanto: the third language, for noise whose target is in the wrong language."""

from __future__ import annotations

from typing import Final

from fairseq2_jest.corpus.builtin.conjugation import THEY, WE
from fairseq2_jest.corpus.builtin.lexicon import Adverbial
from fairseq2_jest.corpus.builtin.syntax import (
    CONJUNCTIONS,
    QUESTION_WORDS,
    Asked,
    Clause,
    Gap,
    Name,
    Pair,
    Phrase,
    Place,
    Pronoun,
    Sentence,
    agreement,
)

_PRONOUNS: Final = ("mi", "vi", "li", "ŝi", "ni", "ili", "ĝi")
_DETERMINERS: Final = {
    "the": "la",
    "many": "multaj",
    "some": "kelkaj",
    "two": "du",
    "three": "tri",
    "four": "kvar",
    "five": "kvin",
    "six": "ses",
    "seven": "sep",
    "eight": "ok",
    "nine": "naŭ",
    "ten": "dek",
    "twelve": "dek du",
}
_AGREEING: Final = {
    "this": "tiu",
    "every": "ĉiu",
    "my": "mia",
    "your": "via",
    "his": "lia",
    "her": "ŝia",
    "our": "nia",
    "their": "ilia",
}
_PREPOSITIONS: Final = {
    "in": "en",
    "into": "en",
    "at": "ĉe",
    "on": "sur",
    "onto": "sur",
    "to": "al",
}


def _phrase(node: Phrase, accusative: bool = False) -> str:
    n = "n" if accusative else ""
    if isinstance(node, Pronoun):
        return _PRONOUNS[node.which] + n
    if isinstance(node, Name):
        return node.esperanto + n
    if isinstance(node, Pair):
        return f"{_phrase(node.first, accusative)} kaj {_phrase(node.second, accusative)}"
    if isinstance(node, Gap):
        return "kiu" + ("j" if node.plural else "") + n
    if isinstance(node, Asked):
        return ("kiu" if node.person else "kio") + n
    ending = ("j" if node.plural else "") + n
    words = []
    if node.owner is not None:
        words.append("la")
    elif node.determiner in _DETERMINERS:
        words.append(_DETERMINERS[node.determiner])
    elif node.determiner in _AGREEING:
        words.append(_AGREEING[node.determiner] + ending)
    if node.adjective is not None:
        words.append(f"{node.adjective.esperanto}a{ending}")
    words.append(f"{node.noun.esperanto}o{ending}")
    if node.owner is not None:
        words.append(f"de {_phrase(node.owner)}")
    text = " ".join(words)
    if node.relative is not None:
        text += f", {_relative(node.relative)}"
    return text


def _relative(clause: Clause) -> str:
    if isinstance(clause.subject, Gap):
        return f"{_phrase(clause.subject)} {_clause(clause)}"
    if isinstance(clause.object, Gap):
        preposition = clause.verb.government[2]
        return f"{preposition} {_phrase(clause.object, not preposition)} {_clause(clause)}".strip()
    assert isinstance(clause.place, Place)
    return f"kie {_clause(clause)}"


def _verb(clause: Clause) -> str:
    ending = {"past": "is", "perfect": "is", "future": "os"}.get(clause.tense, "as")
    root = clause.verb.esperanto
    if clause.modal is None:
        return root + ending
    modal = clause.modal.esperanto
    return f"{modal}{'' if modal.endswith('us') else ending} {root}i"


def _rest(clause: Clause) -> list[str]:
    words = []
    if clause.predicate is not None:
        if clause.than is not None:
            words.append("pli")
        plural = agreement(clause.subject) in (WE, THEY)
        words.append(clause.predicate.esperanto + ("aj" if plural else "a"))
        if clause.than is not None:
            words.append(f"ol {_phrase(clause.than)}")
    if clause.object is not None and not isinstance(clause.object, (Gap, Asked)):
        preposition = clause.verb.government[2]
        words.append(f"{preposition} {_phrase(clause.object, not preposition)}".strip())
    if clause.recipient is not None:
        words.append(f"al {_phrase(clause.recipient)}")
    if clause.manner is not None:
        words.append(clause.manner.esperanto)
    place = clause.place
    if isinstance(place, Adverbial):
        words.append(place.esperanto)
    elif place is not None and not isinstance(place.phrase, Gap):
        into = place.goal and place.english != "to"
        words.append(f"{_PREPOSITIONS[place.english]} {_phrase(place.phrase, into)}")
    if clause.time is not None and not clause.fronted:
        words.append(clause.time.esperanto)
    if clause.content is not None:
        if clause.verb.frame == "to":
            words.append(_infinitive(clause.content))
        else:
            words.append(f", ke {_clause(clause.content)}")
    return words


def _infinitive(clause: Clause) -> str:
    return " ".join([f"{clause.verb.esperanto}i", *_rest(clause)])


def _clause(clause: Clause) -> str:
    words = []
    if clause.fronted and clause.time is not None:
        words.append(clause.time.esperanto)
    impersonal = clause.verb.frame in ("exist", "weather")
    if not isinstance(clause.subject, Gap) and not impersonal:
        words.append(_phrase(clause.subject))
    if clause.negated:
        words.append("ne")
    if clause.frequency is not None:
        words.append(clause.frequency.esperanto)
    words += [_verb(clause), *_rest(clause)]
    return " ".join(words)


def realise(sentence: Sentence) -> str:
    """The Esperanto sentence, capitalised and punctuated."""
    text = _clause(sentence.main)
    if sentence.mood == "ask":
        text = f"ĉu {text}"
    elif sentence.mood not in ("tell", "who"):
        text = f"{QUESTION_WORDS[sentence.mood][1]} {text}"
    if sentence.joined is not None:
        word = CONJUNCTIONS[sentence.conjunction][1]
        purpose = sentence.conjunction == "in order to"
        joined = f"{word} {_infinitive(sentence.joined) if purpose else _clause(sentence.joined)}"
        text = f"{joined}, {text}" if sentence.joined_first else f"{text}, {joined}"
    text = text.replace(" ,", ",")
    return text[0].upper() + text[1:] + ("." if sentence.mood == "tell" else "?")
