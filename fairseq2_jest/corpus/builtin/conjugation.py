"""Inflection of English and German verbs from their principal parts."""

from __future__ import annotations

from typing import Final, NamedTuple

YOU, SHE, WE, THEY = 1, 2, 3, 4
"""Indices of person and number into every table of finite forms; the first is *I*."""

_INSEPARABLE: Final = ("be", "ver", "er", "ent", "zer", "emp")


class EnglishVerb(NamedTuple):
    """The forms of an English verb; ``particle`` follows all of them."""

    base: str
    third: str
    past: str
    participle: str
    progressive: str
    particle: str


class GermanVerb(NamedTuple):
    """The forms of a German verb; finite forms are indexed by person and lack the prefix."""

    infinitive: str
    zu_infinitive: str
    prefix: str
    present: tuple[str, ...]
    past: tuple[str, ...]
    participle: str
    with_sein: bool


def _sibilant(word: str) -> bool:
    return word.endswith(("s", "x", "z", "ch", "sh"))


def english_plural(noun: str) -> str:
    """The regular plural of a noun."""
    return noun + "s"


def english_verb(column: str) -> EnglishVerb:
    """Inflect ``base[~particle] [past participle [progressive]]``."""
    head, *parts = column.split()
    base, _, particle = head.partition("~")
    consonant_y = base[-1] == "y" and base[-2] not in "aeiou"
    third = base[:-1] + "ies" if consonant_y else base + ("es" if _sibilant(base) else "s")
    third = {"have": "has", "go": "goes"}.get(base, third)
    regular = base[:-1] + "ied" if consonant_y else base + ("d" if base[-1] == "e" else "ed")
    past, participle = (parts[0], parts[1]) if parts else (regular, regular)
    drops_e = base[-1] == "e" and base[-2] not in "eo"
    progressive = parts[2] if len(parts) > 2 else (base[:-1] if drops_e else base) + "ing"
    return EnglishVerb(base, third, past, participle, progressive, particle)


def _stem(infinitive: str) -> str:
    return infinitive[:-2] if infinitive.endswith("en") else infinitive[:-1]


def _needs_e(stem: str) -> bool:
    return stem[-1] in "td" or stem.endswith(("ffn", "chn", "gn", "dn", "tm"))


def german_verb(column: str) -> GermanVerb:
    """Inflect ``[prefix/]infinitive [third-person past participle]``.

    ``+`` before the participle marks a perfect with sein. Strong past forms have no du form
    that is in common use after a sibilant; the grammar never asks for one.
    """
    head, *parts = column.split()
    prefix, _, infinitive = head.rpartition("/")
    stem = _stem(infinitive)
    linking = "e" if _needs_e(stem) else ""
    if parts:
        third, past, participle = parts
    else:
        third, past = stem + linking + "t", stem + linking + "te"
        bare = infinitive.startswith(_INSEPARABLE) or infinitive.endswith("ieren")
        participle = ("" if bare else "ge") + stem + linking + "t"
    with_sein = participle.startswith("+")
    return GermanVerb(
        infinitive=prefix + infinitive,
        zu_infinitive=f"{prefix}zu{infinitive}" if prefix else f"zu {infinitive}",
        prefix=prefix,
        present=_present(infinitive, stem, third),
        past=_past(past),
        participle=prefix + participle.lstrip("+"),
        with_sein=with_sein,
    )


def _present(infinitive: str, stem: str, third: str) -> tuple[str, ...]:
    if third == "weiß":
        return ("weiß", "weißt", "weiß", infinitive, infinitive)
    root = third.removesuffix("t")
    second = root + ("t" if root[-1] in "sßxz" else "st")
    first = stem[:-2] + "le" if infinitive.endswith("eln") else stem + "e"
    return (first, second, third, infinitive, infinitive)


def _past(third: str) -> tuple[str, ...]:
    if third.endswith("e"):
        return (third, third + "st", third, third + "n", third + "n")
    return (third, third + "st", third, third + "en", third + "en")


SEIN: Final = GermanVerb(
    "sein",
    "zu sein",
    "",
    ("bin", "bist", "ist", "sind", "sind"),
    ("war", "warst", "war", "waren", "waren"),
    "gewesen",
    True,
)
HABEN: Final = german_verb("haben hat hatte gehabt")
WERDEN: Final = german_verb("werden wird wurde +geworden")._replace(
    present=("werde", "wirst", "wird", "werden", "werden")
)
BE_PRESENT: Final = ("am", "are", "is", "are", "are")
BE_PAST: Final = ("was", "were", "was", "were", "were")
HAVE_PRESENT: Final = ("have", "have", "has", "have", "have")


class Modal(NamedTuple):
    """A modal: an English auxiliary, or (with ``to``) a verb that takes do-support."""

    name: str
    english_present: tuple[str, str]
    english_past: str
    auxiliary: bool
    present: tuple[str, ...]
    past: tuple[str, ...]
    esperanto: str


def _modal(
    name: str,
    english: tuple[str, str, str],
    auxiliary: bool,
    present: tuple[str, str, str, str],
    past: str,
    esperanto: str,
) -> Modal:
    first, second, third, plural = present
    return Modal(
        name,
        english[:2],
        english[2],
        auxiliary,
        (first, second, third, plural, plural),
        _past(past) if past else (),
        esperanto,
    )


MODALS: Final = (
    _modal(
        "can", ("can", "can", "could"), True, ("kann", "kannst", "kann", "können"), "konnte", "pov"
    ),
    _modal("must", ("must", "must", ""), True, ("muss", "musst", "muss", "müssen"), "", "dev"),
    _modal(
        "want",
        ("want to", "wants to", "wanted to"),
        False,
        ("will", "willst", "will", "wollen"),
        "wollte",
        "vol",
    ),
    _modal(
        "should",
        ("should", "should", ""),
        True,
        ("sollte", "solltest", "sollte", "sollten"),
        "",
        "devus",
    ),
    _modal("may", ("may", "may", ""), True, ("darf", "darfst", "darf", "dürfen"), "", "rajt"),
    _modal(
        "have to",
        ("have to", "has to", "had to"),
        False,
        ("muss", "musst", "muss", "müssen"),
        "musste",
        "dev",
    ),
)
