"""English: auxiliaries and do-support, agreement, articles, and the order of words."""

from __future__ import annotations

from fairseq2_jest.corpus.builtin.conjugation import (
    BE_PAST,
    BE_PRESENT,
    HAVE_PRESENT,
    SHE,
)
from fairseq2_jest.corpus.builtin.lexicon import Adverbial
from fairseq2_jest.corpus.builtin.syntax import (
    Asked,
    Clause,
    Gap,
    Name,
    NounPhrase,
    Pair,
    Phrase,
    Place,
    Pronoun,
    Sentence,
    agreement,
)

_SUBJECTS = ("I", "you", "he", "she", "we", "they", "it")
_OBJECTS = ("me", "you", "him", "her", "us", "them", "it")


def phrase(node: Phrase, subject: bool = False) -> str:
    """A phrase; pronouns take their subject or object form, a gap is empty."""
    if isinstance(node, NounPhrase):
        return _noun_phrase(node)
    if isinstance(node, Pronoun):
        return (_SUBJECTS if subject else _OBJECTS)[node.which]
    if isinstance(node, Name):
        return node.text
    if isinstance(node, Pair):
        return f"{phrase(node.first, subject)} and {phrase(node.second, subject)}"
    if isinstance(node, Asked):
        return "who" if node.person else "what"
    return ""


def _noun_phrase(node: NounPhrase) -> str:
    noun = node.noun
    text = noun.english_plural if node.plural else noun.english
    if node.adjective is not None:
        text = f"{node.adjective.english} {text}"
    determiner = node.determiner
    if node.owner is not None:
        owner = phrase(node.owner)
        text = f"{owner}'s {text}"
    elif determiner == "a":
        if not node.plural:
            # The lexicon's one vowel letter with a consonant's sound is the u of *university*.
            vowel = text[0] in "aeiou" and not text.startswith("uni") and text[:3] != "hon"
            text = f"{'an' if vowel or text.startswith('hones') else 'a'} {text}"
    elif determiner == "this":
        text = f"{'these' if node.plural else 'this'} {text}"
    elif determiner != "zero":
        text = f"{determiner} {text}"
    if node.relative is not None:
        text = f"{text} {relative(node)}"
    return text


def relative(node: NounPhrase) -> str:
    """The relative clause of ``node``: *who* for a person's subject, *that* otherwise."""
    clause = node.relative
    assert clause is not None
    place = clause.place
    person = node.noun.kind == "p"
    if isinstance(place, Place) and isinstance(place.phrase, Gap):
        return f"{place.english} which {_clause(clause)}"
    if isinstance(clause.subject, Gap):
        return f"{'who' if person else 'that'} {_clause(clause)}"
    return f"{'whom' if person else 'that'} {_clause(clause)}"


def _agreement(clause: Clause) -> int:
    if clause.verb.frame == "exist" and clause.object is not None:
        return agreement(clause.object)
    return agreement(clause.subject)


def _verb_forms(clause: Clause, inverted: bool) -> tuple[str, str]:
    """The auxiliary (empty without one) and the rest of the verb."""
    verb, tense, who = clause.verb.english, clause.tense, _agreement(clause)
    third = who == SHE
    copula = clause.verb.frame in ("be", "exist")
    support = inverted or clause.negated
    modal = clause.modal
    if modal is not None:
        form = modal.english_past if tense == "past" else modal.english_present[third]
        if modal.auxiliary:
            return form, verb.base
        if not support:
            return "", f"{form} {verb.base}"
        do = "did" if tense == "past" else "does" if third else "do"
        return do, f"{modal.english_present[0]} {verb.base}"
    if tense == "future":
        return "will", verb.base
    if tense == "perfect":
        return HAVE_PRESENT[who], verb.participle
    if copula:
        return (BE_PAST if tense == "past" else BE_PRESENT)[who], ""
    if tense == "progressive":
        return BE_PRESENT[who], verb.progressive
    if support:
        return "did" if tense == "past" else "does" if third else "do", verb.base
    if tense == "past":
        return "", verb.past
    return "", verb.third if third else verb.base


def _tail(clause: Clause) -> list[str]:
    verb = clause.verb
    words = [verb.english.particle]
    if clause.predicate is not None:
        if clause.than is not None:
            words.append(f"{clause.predicate.english_comparative} than {phrase(clause.than, True)}")
        else:
            words.append(clause.predicate.english)
    if clause.object is not None and not isinstance(clause.object, Asked):
        words.append(phrase(clause.object))
    if clause.recipient is not None:
        words.append(f"to {phrase(clause.recipient)}")
    place = clause.place
    manner = clause.manner.english if clause.manner is not None else ""
    goal = isinstance(place, Place) and place.goal
    if manner and not goal:
        words.append(manner)
    if isinstance(place, Adverbial):
        words.append(place.english)
    elif place is not None and not isinstance(place.phrase, Gap):
        words.append(f"{place.english} {phrase(place.phrase)}")
    if manner and goal:
        words.append(manner)
    if clause.time is not None and not clause.fronted:
        words.append(clause.time.english)
    if clause.content is not None:
        if verb.frame == "to":
            words.append(f"to {_infinitive(clause.content)}")
        else:
            words.append(f"that {_clause(clause.content)}")
    return words


def _join(words: list[str]) -> str:
    return " ".join([word for word in words if word])


def _infinitive(clause: Clause) -> str:
    return _join([clause.verb.english.base, *_tail(clause)])


def _clause(clause: Clause, inverted: bool = False) -> str:
    auxiliary, rest = _verb_forms(clause, inverted)
    negation = "not" if clause.negated else ""
    if auxiliary == "can" and negation and not inverted:
        auxiliary, negation = "cannot", ""
    subject = phrase(clause.subject, True)
    if clause.verb.frame == "exist":
        subject = "there"
    frequency = clause.frequency.english if clause.frequency is not None else ""
    core = [negation, frequency, rest]
    head = [auxiliary, subject] if inverted else [subject, auxiliary]
    text = _join([*head, *core, *_tail(clause)])
    if clause.fronted and clause.time is not None:
        return f"{clause.time.english} {text}"
    return text


def realise(sentence: Sentence) -> str:
    """The English sentence, capitalised and punctuated."""
    main, mood, joined = sentence.main, sentence.mood, sentence.joined
    mark = "." if mood == "tell" else "?"
    if mood == "who":
        text = _clause(main)
    elif mood == "ask":
        text = _clause(main, inverted=True)
    elif mood != "tell":
        text = f"{mood} {_clause(main, inverted=True)}"
    elif joined is None:
        text = _clause(main)
    else:
        purpose = sentence.conjunction == "in order to"
        second = _infinitive(joined) if purpose else _clause(joined)
        second = f"{sentence.conjunction} {second}"
        if sentence.joined_first:
            text = f"{second}, {_clause(main)}"
        else:
            comma = "," if sentence.conjunction in ("and", "but") else ""
            text = f"{_clause(main)}{comma} {second}"
    return text[0].upper() + text[1:] + mark
