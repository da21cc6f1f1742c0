"""German: inflection in the noun phrase, verb forms, and the order of words in the clause."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from fairseq2_jest.corpus.builtin.conjugation import HABEN, SEIN, WERDEN
from fairseq2_jest.corpus.builtin.lexicon import DAT, GEN, NOM, Adverbial
from fairseq2_jest.corpus.builtin.syntax import (
    CONJUNCTIONS,
    COORDINATING,
    QUESTION_WORDS,
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

# Columns: nominative, accusative, dative, genitive.
_DER: Final = {
    "m": ("der", "den", "dem", "des"),
    "f": ("die", "die", "der", "der"),
    "n": ("das", "das", "dem", "des"),
    "p": ("die", "die", "den", "der"),
}
_RELATIVE: Final = {**_DER, "p": ("die", "die", "denen", "deren")}
_DIES: Final = {
    "m": ("er", "en", "em", "es"),
    "f": ("e", "e", "er", "er"),
    "n": ("es", "es", "em", "es"),
    "p": ("e", "e", "en", "er"),
}
_EIN: Final = {
    "m": ("", "en", "em", "es"),
    "f": ("e", "e", "er", "er"),
    "n": ("", "", "em", "es"),
    "p": ("e", "e", "en", "er"),
}
_WEAK: Final = {
    "m": ("e", "en", "en", "en"),
    "f": ("e", "e", "en", "en"),
    "n": ("e", "e", "en", "en"),
    "p": ("en", "en", "en", "en"),
}
_MIXED: Final = {
    "m": ("er", "en", "en", "en"),
    "f": ("e", "e", "en", "en"),
    "n": ("es", "es", "en", "en"),
    "p": ("en", "en", "en", "en"),
}
_STRONG: Final = {
    "m": ("er", "en", "em", "en"),
    "f": ("e", "e", "er", "er"),
    "n": ("es", "es", "em", "en"),
    "p": ("e", "e", "en", "er"),
}
_POSSESSIVES: Final = {
    "my": "mein",
    "your": "dein",
    "his": "sein",
    "her": "ihr",
    "our": "unser",
    "their": "ihr",
    "no": "kein",
}
_QUANTIFIERS: Final = {
    "many": "viel",
    "some": "einig",
}
_NUMBERS: Final = {
    "two": "zwei",
    "three": "drei",
    "four": "vier",
    "five": "fünf",
    "six": "sechs",
    "seven": "sieben",
    "eight": "acht",
    "nine": "neun",
    "ten": "zehn",
    "twelve": "zwölf",
}
_PRONOUNS: Final = (
    ("ich", "mich", "mir"),
    ("du", "dich", "dir"),
    ("er", "ihn", "ihm"),
    ("sie", "sie", "ihr"),
    ("wir", "uns", "uns"),
    ("sie", "sie", "ihnen"),
    ("es", "es", "ihm"),
)
_CONTRACTIONS: Final = {
    "in dem": "im",
    "in das": "ins",
    "an dem": "am",
    "an das": "ans",
    "zu dem": "zum",
    "zu der": "zur",
    "von dem": "vom",
    "bei dem": "beim",
}


@lru_cache(maxsize=1 << 16)
def _determined(determiner: str, gender: str, case: int) -> tuple[str, str]:
    """The determiner with a space after it, and the ending that an adjective takes."""
    if determiner == "the":
        return _DER[gender][case] + " ", _WEAK[gender][case]
    if determiner == "a":
        if gender == "p":
            return "", _STRONG["p"][case]
        return f"ein{_EIN[gender][case]} ", _MIXED[gender][case]
    if determiner == "zero":
        return "", _STRONG[gender][case]
    if determiner in _POSSESSIVES:
        return f"{_POSSESSIVES[determiner]}{_EIN[gender][case]} ", _MIXED[gender][case]
    if determiner in ("this", "every"):
        stem = "dies" if determiner == "this" else "jed"
        return f"{stem}{_DIES[gender][case]} ", _WEAK[gender][case]
    if determiner in _QUANTIFIERS:
        return f"{_QUANTIFIERS[determiner]}{_STRONG['p'][case]} ", _STRONG["p"][case]
    return f"{_NUMBERS[determiner]} ", _STRONG["p"][case]


def phrase(node: Phrase, case: int, negated: bool = False) -> str:
    """A phrase in a case; ``negated`` makes an indefinite one *kein*."""
    if isinstance(node, NounPhrase):
        return _noun_phrase(node, case, negated)
    if isinstance(node, Pronoun):
        return _PRONOUNS[node.which][case]
    if isinstance(node, Name):
        return node.text
    if isinstance(node, Pair):
        return f"{phrase(node.first, case)} und {phrase(node.second, case)}"
    if isinstance(node, Gap):
        return _RELATIVE["p" if node.plural else node.noun.gender][case]
    return ("wer", "wen", "wem")[case] if node.person else "was"


def _noun_phrase(node: NounPhrase, case: int, negated: bool) -> str:
    noun = node.noun
    gender = "p" if node.plural else noun.gender
    determiner = node.determiner
    if negated and determiner in ("a", "zero"):
        determiner = "no"
    article, ending = _determined(determiner, gender, case)
    form = (noun.plural_forms if node.plural else noun.singular)[case]
    if node.adjective is not None:
        text = f"{article}{node.adjective.attributive}{ending} {form}"
    else:
        text = article + form
    if node.owner is not None:
        owner = node.owner
        if isinstance(owner, Name):
            suffix = "'" if owner.text[-1] in "sxz" else "s"
            return f"{owner.text}{suffix} {text[len(article) :]}"
        text = f"{text} {phrase(owner, GEN)}"
    if node.relative is not None:
        text = f"{text}, {relative(node.relative)},"
    return text


def prepositional(preposition: str, node: Phrase, case: int) -> str:
    """A preposition and its phrase, contracted where German does (*im*, *zur*)."""
    text = f"{preposition} {phrase(node, case)}"
    # A head with a relative clause keeps its full article: *in dem Haus, das ...*.
    if isinstance(node, NounPhrase) and node.determiner == "the" and node.relative is None:
        first, article, rest = text.split(" ", 2)
        short = _CONTRACTIONS.get(f"{first} {article}")
        if short is not None:
            return f"{short} {rest}"
    return text


def _verb_forms(clause: Clause, asked: bool) -> tuple[str, str]:
    """The finite verb and what closes the clause, separable prefix aside."""
    verb, tense = clause.verb.german, clause.tense
    who = agreement(clause.subject)
    if clause.modal is not None:
        table = clause.modal.past if tense == "past" else clause.modal.present
        return table[who], verb.infinitive
    if tense == "future":
        return WERDEN.present[who], verb.infinitive
    # Spoken German asks about the past in the perfect, except with haben and sein.
    spoken = asked and tense == "past" and verb.infinitive not in ("haben", "sein")
    if tense == "perfect" or spoken:
        return (SEIN if verb.with_sein else HABEN).present[who], verb.participle
    return (verb.past if tense == "past" else verb.present)[who], ""


def _extraposed(node: Phrase, after: list[str]) -> Phrase:
    """Move the relative clause of an object behind the closing verb."""
    if isinstance(node, NounPhrase) and node.relative is not None:
        after.append(", " + relative(node.relative))
        return node._replace(relative=None)
    return node


def _middle(clause: Clause) -> tuple[list[str], list[str]]:
    """The middle field after the subject, and what is moved behind the closing verb."""
    verb = clause.verb
    pronouns: list[str] = []
    early: list[str] = []
    late: list[str] = []
    after: list[str] = []
    negated_object = False
    target = clause.object
    if target is not None and not isinstance(target, (Gap, Asked)):
        if verb.government[0]:
            target = _extraposed(target, after)
            late.append(prepositional(verb.government[0], target, verb.government[1]))
        elif isinstance(target, Pronoun):
            pronouns.append(phrase(target, verb.government[1]))
        else:
            indefinite = isinstance(target, NounPhrase) and target.determiner in ("a", "zero")
            negated_object = clause.negated and indefinite
            target = _extraposed(target, after)
            early.append(phrase(target, verb.government[1], negated_object))
            # Before an indefinite object stand an adverb of place and one of manner.
            if indefinite and isinstance(clause.place, Adverbial) and verb.frame == "tr":
                early.insert(0, clause.place.german)
            if indefinite and clause.manner is not None:
                early.insert(0, clause.manner.german)
    if clause.recipient is not None:
        text = phrase(clause.recipient, DAT)
        (pronouns if isinstance(clause.recipient, Pronoun) else early).insert(0, text)
    if clause.manner is not None and clause.manner.german not in early:
        late.insert(0, clause.manner.german)
    place = clause.place
    if isinstance(place, Adverbial):
        if place.german not in early:
            late.append(place.german)
    elif place is not None and not isinstance(place.phrase, Gap):
        late.append(prepositional(place.german, place.phrase, place.case))
    if clause.predicate is not None:
        if clause.than is not None:
            late.append(clause.predicate.german_comparative)
            after.append(f" als {phrase(clause.than, NOM)}")
        else:
            late.append(clause.predicate.german)
    adverbs: list[str] = []
    if clause.time is not None and not clause.fronted:
        adverbs.append(clause.time.german)
    if clause.tense == "progressive":
        adverbs.append("gerade")
    if clause.frequency is not None:
        adverbs.append(clause.frequency.german)
    if clause.negated and not negated_object:
        late.insert(0, "nicht")
    if clause.content is not None:
        if verb.frame == "to":
            after.append(", " + _zu(clause.content))
        else:
            after.append(", dass " + _clause(clause.content, "last"))
    return pronouns + adverbs + early + late, after


def _zu(clause: Clause) -> str:
    middle, after = _middle(clause)
    return " ".join([*middle, clause.verb.german.zu_infinitive]) + "".join(after)


def _clause(clause: Clause, order: str) -> str:
    """A clause with its finite verb ``second``, ``first`` or ``last``; ``asked`` is first too."""
    finite, closing = _verb_forms(clause, order == "asked")
    middle, after = _middle(clause)
    words = []
    if not isinstance(clause.subject, Gap):
        words.append(phrase(clause.subject, NOM))
    if order == "last":
        words += middle
        if closing:
            words += [closing, finite]
        else:
            words.append(clause.verb.german.prefix + finite)
        return " ".join(words) + "".join(after)
    if order == "second" and not (clause.fronted and clause.time is not None):
        words.append(finite)
    else:
        words.insert(0, finite)
        if order == "second" and clause.time is not None:
            words.insert(0, clause.time.german)
    words += middle
    if closing or clause.verb.german.prefix:
        words.append(closing or clause.verb.german.prefix)
    return " ".join(words) + "".join(after)


def relative(clause: Clause) -> str:
    """A relative clause, its pronoun first and its finite verb last."""
    place = clause.place
    if isinstance(clause.subject, Gap):
        lead = phrase(clause.subject, NOM)
    elif isinstance(clause.object, Gap):
        preposition, case, _ = clause.verb.government
        lead = f"{preposition} {phrase(clause.object, case)}".strip()
    elif isinstance(place, Place):
        lead = f"{place.german} {phrase(place.phrase, place.case)}"
    else:
        raise ValueError("a relative clause must have a gap")
    return f"{lead} {_clause(clause, 'last')}"


def _joined(sentence: Sentence) -> str:
    assert sentence.joined is not None
    word = CONJUNCTIONS[sentence.conjunction][0]
    if sentence.conjunction == "in order to":
        return f"{word} {_zu(sentence.joined)}"
    order = "second" if sentence.conjunction in COORDINATING else "last"
    return f"{word} {_clause(sentence.joined, order)}"


def _tidy(text: str, mark: str) -> str:
    # A relative clause closes with a comma, unless another mark follows it.
    text = (text + mark).replace(",,", ",").replace(",.", ".").replace(",?", "?")
    return text[0].upper() + text[1:]


def realise(sentence: Sentence) -> str:
    """The German sentence, capitalised and punctuated."""
    main, mood = sentence.main, sentence.mood
    if mood == "ask":
        return _tidy(_clause(main, "asked"), "?")
    if mood == "who":
        # *wer* is the subject and stands first; the question still speaks in the perfect.
        finite_first = _clause(main, "asked").split(" ", 2)
        return _tidy(" ".join([finite_first[1], finite_first[0], *finite_first[2:]]), "?")
    if mood != "tell":
        return _tidy(f"{QUESTION_WORDS[mood][0]} {_clause(main, 'asked')}", "?")
    if sentence.joined is None:
        return _tidy(_clause(main, "second"), ".")
    if sentence.joined_first:
        return _tidy(f"{_joined(sentence)}, {_clause(main, 'first')}", ".")
    return _tidy(f"{_clause(main, 'second')}, {_joined(sentence)}", ".")
