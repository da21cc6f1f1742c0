"""Draws abstract sentences: from the core of the grammar, or from all of it."""

from __future__ import annotations

from fairseq2_jest.corpus.builtin.clauses import (
    BE,
    OWNERS,
    STATE_TIMES,
    WEATHER,
    ClauseSampler,
    able,
    negatable,
    suitable,
    who,
)
from fairseq2_jest.corpus.builtin.conjugation import MODALS, YOU
from fairseq2_jest.corpus.builtin.lexicon import MATRIX_ALL, Noun
from fairseq2_jest.corpus.builtin.syntax import (
    Asked,
    Clause,
    Gap,
    Name,
    NounPhrase,
    Phrase,
    Pronoun,
    Sentence,
    agreement,
)


class Sampler(ClauseSampler):
    """Draws from the core (``pretrain``) or from the whole grammar, by its own generator."""

    def _adverbs(self, clause: Clause, front: bool = True) -> Clause:
        tense = clause.tense
        still = clause.verb.stative or clause.verb.frame in ("be", "exist")
        if clause.manner is None and not still and not clause.negated and self._chance(0.25):
            manners = [m for m in self._manners if clause.verb.english.base in m.fits]
            if manners:
                clause = clause._replace(manner=self._one(manners))
        if tense == "progressive" or clause.verb.frame == "exist":
            return clause
        draw = self._random()
        if clause.than is not None:
            return clause
        if draw < 0.4 and tense in self._times:
            fronted = front and self._chance(0.45)
            time = self._one(self._times[tense])
            if not clause.verb.stative or time.english in STATE_TIMES:
                clause = clause._replace(time=time, fronted=fronted)
            return clause
        frequent = not clause.negated and clause.modal is None and not clause.verb.stative
        if 0.4 <= draw < 0.55 and frequent and tense in self._frequencies:
            clause = clause._replace(frequency=self._one(self._frequencies[tense]))
        return clause

    def _tense(self) -> str:
        draw = self._random()
        if self._core:
            return "present" if draw < 0.55 else "past"
        if draw < 0.3:
            return "present"
        if draw < 0.58:
            return "past"
        if draw < 0.8:
            return "perfect"
        return "future" if draw < 0.92 else "progressive"

    def _modal_or_negated(self, clause: Clause) -> Clause:
        draw = self._random()
        plain = clause.tense in ("present", "past") and clause.verb.frame not in ("be", "exist")
        if draw < 0.25 and plain:
            modal = self._one(MODALS)
            inanimate = clause.verb.frame == "pos"
            if not inanimate and (clause.tense == "present" or modal.past):
                clause = clause._replace(modal=modal)
        if self._chance(0.2) and negatable(clause):
            clause = clause._replace(negated=True)
        return clause

    def main(self) -> Clause:
        """A full main clause of the scope."""
        tense = self._tense()
        draw = self._random()
        if draw < 0.14:
            simple = tense if tense in ("present", "past") else "present"
            return self._adverbs(self.copula(simple))
        if draw < 0.18 and not self._core:
            return self._exists(tense if tense in ("present", "past") else "present")
        clause = self.clause(tense)
        if self._core:
            return self._adverbs(clause)
        return self._adverbs(self._modal_or_negated(clause))

    def sentence(self) -> Sentence:
        """A sentence of the scope; the whole grammar has a third of simple sentences."""
        if self._core:
            return Sentence(self.main())
        draw = self._random()
        if draw < 0.34:
            return Sentence(self.main())
        if draw < 0.46:
            return self._question()
        if draw < 0.58:
            return self._matrix()
        if draw < 0.74:
            return self._with_relative()
        return self._joined()

    def _question(self) -> Sentence:
        tense = self._one(("present", "past", "perfect"))
        draw = self._random()
        if draw < 0.4:
            clause = self.clause(tense)
            if tense != "perfect" and self._chance(0.2):
                modal = self._one(MODALS)
                if (tense == "present" or modal.past) and clause.verb.frame != "pos":
                    clause = clause._replace(modal=modal)
            return Sentence(self._adverbs(clause, front=False), "ask")
        if draw < 0.55:
            clause = self.clause(tense, self._one(("tr", "dat")), Asked(True))
            return Sentence(clause, "who")
        if draw < 0.7:
            clause = self.clause(tense, "tr")
            person = clause.verb.objects[0].kind == "p"
            if not person:
                return Sentence(clause._replace(object=Asked(False)), "what")
        clause = self.clause(tense, self._one(("tr", "intr", "dat")))
        if draw < 0.8 and clause.verb.places:
            return Sentence(clause._replace(place=None), "where")
        return Sentence(clause, "when" if draw < 0.9 and tense != "perfect" else "why")

    def _matrix(self) -> Sentence:
        verb = self._one(MATRIX_ALL)
        tense = self._one(("present", "past"))
        subject = self._person()
        if agreement(subject) == YOU:
            tense = "present"
        clause = Clause(subject, verb, tense)
        if verb.frame == "to":
            frame = self._one(("tr", "tr", "dat", "ditr", "motion"))
            inner = self._intended(frame, subject)
        else:
            inner = self.main_of("past" if tense == "past" else self._tense())
        return Sentence(clause._replace(content=inner))

    def main_of(self, tense: str, event: bool = False) -> Clause:
        """A clause for use inside a sentence: nothing fronted; only verbs if an ``event``."""
        if not event and self._chance(0.15) and tense in ("present", "past"):
            return self.copula(tense)
        return self._adverbs(self._modal_or_negated(self.clause(tense)), front=False)

    def _intended(self, frame: str, subject: Phrase) -> Clause:
        # What one can be doing is what one can plan to do.
        return self.clause("progressive", frame, subject)._replace(tense="present")

    def _with_relative(self) -> Sentence:
        tense = self._one(("present", "past", "perfect"))
        clause = self.clause(tense, self._one(("tr", "dat", "intr", "motion", "prep")))
        inner = self._one(("present", "past"))
        if self._chance(0.5) and isinstance(clause.object, NounPhrase):
            target = self._relative(clause.object, inner)
            if clause.place is None and target is not None:
                # The relative clause goes last in English; an adverb after it would change hands.
                return Sentence(clause._replace(object=target))
        if isinstance(clause.subject, NounPhrase):
            subject = self._relative(clause.subject, inner)
            if subject is not None:
                return Sentence(clause._replace(subject=subject))
        return Sentence(self._adverbs(clause))

    def _relative(self, head: NounPhrase, tense: str) -> NounPhrase | None:
        if head.owner is not None or head.determiner in (*OWNERS, "zero"):
            head = head._replace(owner=None, determiner="the")
        gap = Gap(head.noun, head.plural)
        for _ in range(12):
            clause = self.clause(tense, self._one(("tr", "tr", "dat", "intr", "pos")))
            verb = clause.verb
            if head.noun in verb.subjects and self._chance(0.5):
                inner = clause._replace(subject=gap)
                if able(NounPhrase(head.noun), verb, clause.object):
                    return head._replace(relative=self._plain(inner, head.noun))
            governed = head.noun in verb.objects and verb.frame in ("tr", "dat")
            if governed and who(clause.subject) != head.noun.english:
                return head._replace(relative=clause._replace(object=gap, place=None))
        return None

    def _plain(self, clause: Clause, head: Noun) -> Clause:
        target = clause.object
        if isinstance(target, NounPhrase) and target.noun is head:
            return clause._replace(object=Pronoun(0))
        return clause

    def _joined(self) -> Sentence:
        conjunction = self._one(
            ("because", "because", "if", "although", "when", "while")
            if self._chance(0.6)
            else ("before", "and", "but", "in order to")
        )
        if conjunction == "in order to":
            subject = self._person()
            tenses = ("present", "perfect", "past" if agreement(subject) != YOU else "perfect")
            main = self.clause(self._one(tenses), "motion", subject)
            frame = self._one(("tr", "tr", "dat", "ditr"))
            goal = self._intended(frame, main.subject)._replace(place=None)
            return Sentence(main, "tell", conjunction, goal)
        tense = {"if": "present", "when": "past"}.get(conjunction) or self._one(("present", "past"))
        main_tense = self._one(("present", "future")) if conjunction == "if" else tense
        weather = conjunction in ("because", "if", "although", "while") and self._chance(0.2)
        event = weather or conjunction in ("when", "while", "before")
        main = self.main_of(main_tense, event)
        if main.time is not None:
            main = main._replace(time=None)
        if weather:
            joined = Clause(Pronoun(6), self._one(WEATHER), tense)
        elif conjunction in ("and", "but"):
            joined = self.main_of(tense)
        elif conjunction in ("because", "although") and self._chance(0.35):
            joined = self.copula(tense)
            if isinstance(main.subject, (NounPhrase, Name)) and who(main.subject):
                joined = self._about(joined, main.subject)
        else:
            joined = self.main_of(tense, event)
        if conjunction == "before":
            joined = joined._replace(negated=False)
        first = conjunction not in ("and", "but") and self._chance(0.4)
        return Sentence(main, "tell", conjunction, joined, first)

    def _about(self, clause: Clause, subject: Phrase) -> Clause:
        if isinstance(subject, NounPhrase) and subject.noun.kind == "p":
            pronoun = 5 if subject.plural else {"m": 2, "f": 3}.get(subject.noun.gender, -1)
            adjectives = suitable(subject.noun.english, self._core, False)
            if pronoun > 0 and adjectives:
                adjective = self._one(adjectives)
                return Clause(Pronoun(pronoun), BE, clause.tense, predicate=adjective)
        return clause
