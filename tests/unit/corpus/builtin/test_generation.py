"""What ``generate`` promises: parts, counts, labels, and the same rows everywhere."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import fairseq2_jest
from fairseq2_jest.corpus.builtin import NOISE_KINDS, BuiltinConfig, LabelledPair, generate
from fairseq2_jest.corpus.builtin.clauses import CITIES, PEOPLE
from fairseq2_jest.corpus.builtin.config import Part
from fairseq2_jest.corpus.builtin.lexicon import ADJECTIVES_ALL, NOUNS_ALL, VERBS_ALL
from fairseq2_jest.corpus.builtin.parts import part_of, words_of
from fairseq2_jest.corpus.errors import CorpusError

PARTS: tuple[Part, ...] = ("pretrain", "trusted", "pool", "valid", "test")

GOLDEN = "2ba2d294764e9c0a42fef5d87fa66ac899003bf4895a39e861f36dc096d3d714"
"""The digest of 1,000 rows; when it changes, raise ``VERSION`` with it."""

GOLDEN_CONFIG = BuiltinConfig(
    size=1000, seed=7, noise_share=0.5, known_share=0.3, duplicate_share=0.1
)


def digest(rows: list[LabelledPair]) -> str:
    return hashlib.sha256("\n".join("\t".join(row) for row in rows).encode()).hexdigest()


@pytest.fixture(scope="module")
def spoiled() -> list[LabelledPair]:
    config = BuiltinConfig(size=4003, noise_share=0.5, known_share=0.25, duplicate_share=0.1)
    return list(generate(config))


@pytest.fixture(scope="module")
def truth() -> dict[str, str]:
    """The right target of every source that ``spoiled`` may have spoiled."""
    return {row.source: row.target for row in generate(BuiltinConfig(size=5000))}


def test_parts_are_disjoint_on_both_sides_across_seeds_and_sizes() -> None:
    owner: dict[str, str] = {}
    for part in PARTS:
        for seed, size in ((1, 700), (2, 300)):
            for row in generate(BuiltinConfig(part=part, size=size, seed=seed)):
                for side in (words_of(row.source), words_of(row.target)):
                    assert owner.setdefault(side, part) == part


def test_pairs_are_distinct_on_both_sides() -> None:
    rows = list(generate(BuiltinConfig(size=6000, seed=3)))
    assert len({row.source for row in rows}) == len({row.target for row in rows}) == 6000


def test_english_has_one_translation_whatever_the_seed() -> None:
    translations: dict[str, str] = {}
    for seed in range(4):
        for row in generate(BuiltinConfig(part="pretrain", size=1500, seed=seed)):
            assert translations.setdefault(row.source, row.target) == row.target


def test_the_promised_pool_of_30_000_distinct_pairs() -> None:
    rows = list(generate(BuiltinConfig()))
    assert len({row.target for row in rows}) == len(rows) == 30_000
    assert {row.label for row in rows} == {"clean"}


def test_counts_are_exact_and_kinds_even(spoiled: list[LabelledPair]) -> None:
    counts = Counter(row.label for row in spoiled)
    noise = [counts[kind] for kind in NOISE_KINDS]
    assert len(spoiled) == 4003
    assert sum(noise) == round(4003 * 0.5)
    assert max(noise) - min(noise) <= 1
    clean = 4003 - sum(noise)
    assert counts["known"] == round(clean * 0.25)
    assert counts["duplicate"] == round(clean * 0.1)


@pytest.mark.parametrize("kind", NOISE_KINDS)
@pytest.mark.parametrize("size", [1, 2, 9])
def test_tiny_corpora_of_one_kind(kind: str, size: int) -> None:
    rows = list(generate(BuiltinConfig(size=size, noise_share=1.0, noise_kinds=(kind,))))
    assert [row.label for row in rows] == [kind] * size


def test_noise_is_what_its_label_says(spoiled: list[LabelledPair], truth: dict[str, str]) -> None:
    targets = set(truth.values())
    german_words = {word for target in targets for word in words_of(target).split()}
    # A name is the same in both languages where Esperanto has no form of its own.
    names = {name.text.lower() for name in (*PEOPLE, *CITIES)}
    checked = Counter[str]()
    for source, target, label in spoiled:
        right = truth.get(source)
        if label not in NOISE_KINDS or right is None:
            continue
        checked[label] += 1
        assert words_of(target) != words_of(right)
        if label == "misaligned":
            assert target in targets
            assert abs(len(target.split()) - len(right.split())) <= 3
        elif label == "copied_source":
            assert target == source
        elif label == "truncated":
            share = len(target.split()) / len(right.split())
            assert right.startswith(target + " ")
            assert 0.3 <= share <= 0.6
        elif label == "scrambled":
            assert sorted(target.split()) == sorted(right.split())
        else:
            words = [word for word in words_of(target).split() if word not in names]
            assert sum(word in german_words for word in words) < len(words) / 2
    assert set(checked) == set(NOISE_KINDS)
    assert min(checked.values()) > 100


def test_no_spoiled_german_belongs_to_another_part(spoiled: list[LabelledPair]) -> None:
    german = [r for r in spoiled if r.label in ("misaligned", "truncated", "scrambled")]
    assert {part_of(row.target) for row in german} == {"pool"}


def test_known_rows_are_those_of_pretrain(spoiled: list[LabelledPair]) -> None:
    known = {(row.source, row.target) for row in spoiled if row.label == "known"}
    pretrain = generate(BuiltinConfig(part="pretrain", size=len(known)))
    assert known == {(row.source, row.target) for row in pretrain}


def test_duplicates_are_near_a_clean_row_and_right(spoiled: list[LabelledPair]) -> None:
    clean = [row for row in spoiled if row.label == "clean"]
    exact = {(row.source, row.target) for row in clean}
    worded = {(words_of(row.source), words_of(row.target)) for row in clean}
    longest = [set(words_of(row.target).split()) for row in clean]
    for source, target, label in spoiled:
        if label != "duplicate":
            continue
        assert (source, target) not in exact
        assert part_of(target) == "pool"
        if (words_of(source), words_of(target)) not in worded:
            words = set(words_of(target).split())
            # An adverbial of time has at most three words in German.
            assert min(len(words - other) for other in longest) <= 3


def test_pretrain_covers_part_of_the_grammar_and_pool_all() -> None:
    def words(part: Part, size: int) -> tuple[set[str], str]:
        rows = generate(BuiltinConfig(part=part, size=size))
        text = " ".join(row.target for row in rows)
        return set(words_of(text).split()), text

    core, core_text = words("pretrain", 2000)
    whole, whole_text = words("pool", 8000)
    assert len(core - whole) < 0.05 * len(core)
    assert len(core) < 0.65 * len(whole)
    for pattern in (", (weil|dass|obwohl) ", r"\?", "(kann|muss|will|darf) ", "nicht"):
        assert re.search(pattern, whole_text)
        assert not re.search(pattern, core_text)


def test_the_lexicon_is_sizeable_and_its_english_unambiguous() -> None:
    assert len(NOUNS_ALL) >= 200
    assert len(VERBS_ALL) >= 80
    assert len(ADJECTIVES_ALL) >= 60
    nouns = Counter(form for n in NOUNS_ALL for form in (n.english, n.english_plural) if form)
    assert [form for form, count in nouns.items() if count > 1] == []
    adjectives = Counter(a.english for a in ADJECTIVES_ALL)
    assert [form for form, count in adjectives.items() if count > 1] == []
    verbs = Counter((v.english.base, v.english.particle, v.frame) for v in VERBS_ALL)
    assert [form for form, count in verbs.items() if count > 1] == []


def test_agreement_of_article_and_noun_in_what_is_generated() -> None:
    # A definite article in the nominative opens these sentences; the noun must carry its gender.
    gender = {noun.singular[0]: noun.gender for noun in NOUNS_ALL if noun.singular[0] != "See"}
    plural = {noun.plural_forms[0] for noun in NOUNS_ALL if noun.plural_forms}
    seen = 0
    for row in generate(BuiltinConfig(part="pretrain", size=3000, seed=5)):
        match = re.match(r"(Der|Die|Das) (?:[a-zäöüß]+ )?([A-ZÄÖÜ]\w+) ", row.target)
        if match is None:
            continue
        article, noun = match.groups()
        seen += 1
        fits = {"Der": "m", "Das": "n", "Die": "f"}[article] == gender.get(noun)
        assert fits or (article == "Die" and noun in plural), row
    assert seen > 500


def test_the_same_rows_on_every_machine() -> None:
    assert digest(list(generate(GOLDEN_CONFIG))) == GOLDEN


def test_rows_do_not_depend_on_the_hash_seed_nor_need_fairseq2() -> None:
    code = (
        "import sys, hashlib\n"
        "from fairseq2_jest.corpus.builtin import BuiltinConfig, generate\n"
        "rows = generate(BuiltinConfig(size=300, noise_share=0.5, duplicate_share=0.2))\n"
        "text = '\\n'.join('\\t'.join(row) for row in rows)\n"
        "print(hashlib.sha256(text.encode()).hexdigest())\n"
        "assert not {'torch', 'numpy', 'fairseq2'} & sys.modules.keys()\n"
    )
    root = str(Path(fairseq2_jest.__path__[0]).parent)
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": root},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(outputs) == 1


def test_a_part_that_is_exhausted_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairseq2_jest.corpus.builtin.generation._PATIENCE", 3)
    with pytest.raises(CorpusError, match=r"too few distinct sentences of the part 'test'"):
        list(generate(BuiltinConfig(part="test", size=2000)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"part": "train"}, "`part` must be one of"),
        ({"size": 0}, "`size` must be a positive integer"),
        ({"seed": -1}, "`seed` must be an integer of at least 0"),
        ({"noise_share": 1.5}, "`noise_share` must be a number from 0 to 1"),
        ({"noise_share": float("nan")}, "`noise_share` must be a number from 0 to 1"),
        ({"noise_kinds": ["typos"]}, "`noise_kinds` must be among"),
        ({"noise_kinds": []}, "must name at least one kind"),
        ({"noise_kinds": ["truncated", "truncated"]}, "must not name a kind twice"),
        ({"noise_kinds": "truncated"}, "must be a list of names"),
        ({"known_share": 0.6, "duplicate_share": 0.4}, "add up to less than 1"),
        ({"part": "test", "noise_share": 0.1}, "must be 0 unless `part` is 'pool'"),
    ],
)
def test_a_bad_field_is_refused_in_one_sentence(fields: dict[str, Any], message: str) -> None:
    config = BuiltinConfig(**fields)
    assert len(config.errors()) == 1
    assert message in config.errors()[0]
    with pytest.raises(CorpusError, match=re.escape(config.errors()[0])):
        next(generate(config))
