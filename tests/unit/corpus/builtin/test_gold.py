"""Sentences built through the grammar's constructors, against translations checked by hand."""

from __future__ import annotations

import pytest

from fairseq2_jest.corpus.builtin import english, esperanto, german
from fairseq2_jest.corpus.builtin.clauses import BE, CITIES, EXIST, PEOPLE, WEATHER
from fairseq2_jest.corpus.builtin.conjugation import MODALS
from fairseq2_jest.corpus.builtin.lexicon import (
    ACC,
    ADJECTIVES_ALL,
    DAT,
    FREQUENCIES_ALL,
    MANNERS_ALL,
    MATRIX_ALL,
    NOUN,
    TIMES_ALL,
    VERBS_ALL,
    Verb,
)
from fairseq2_jest.corpus.builtin.syntax import (
    PRONOUNS,
    Asked,
    Clause,
    Gap,
    NounPhrase,
    Pair,
    Phrase,
    Place,
    Pronoun,
    Sentence,
)

ADJECTIVE = {a.english: a for a in ADJECTIVES_ALL}
ADVERB = {a.english: a for a in (*TIMES_ALL, *FREQUENCIES_ALL, *MANNERS_ALL)}
MODAL = {m.name: m for m in MODALS}
ANNA = PEOPLE[0]
BERLIN = Place(CITIES[0], "in", "in", DAT)


def np(words: str, owner: Phrase | None = None, relative: Clause | None = None) -> NounPhrase:
    """``[determiner] [adjective] noun[s]``, the plural marked by a star."""
    determiner, *middle, noun = words.split()
    adjective = ADJECTIVE[middle[0]] if middle else None
    plural = noun.endswith("*")
    return NounPhrase(NOUN[noun.rstrip("*")], plural, determiner, adjective, owner, relative)


def pn(word: str) -> Pronoun:
    return Pronoun(PRONOUNS.index(word))


def verb(words: str, frame: str = "") -> Verb:
    base, _, particle = words.partition(" ")
    for entry in (*VERBS_ALL, *MATRIX_ALL):
        form = (entry.english.base, entry.english.particle)
        if form == (base, particle) and frame in ("", entry.frame):
            return entry
    raise KeyError(words)


def at(words: str, english_word: str, german_word: str, case: int = DAT) -> Place:
    return Place(np(words), english_word, german_word, case, case == ACC or german_word == "zu")


def gap(words: str) -> Gap:
    phrase = np(words)
    return Gap(phrase.noun, phrase.plural)


def tell(clause: Clause) -> Sentence:
    return Sentence(clause)


C = Clause
GOLD = [
    # Articles and endings: weak, mixed, strong; all genders, cases and numbers.
    (
        tell(C(np("the old man"), verb("read"), object=np("a new book"))),
        "The old man reads a new book.",
        "Der alte Mann liest ein neues Buch.",
    ),
    (
        tell(C(np("a young woman"), verb("wear"), "past", object=np("a red coat"))),
        "A young woman wore a red coat.",
        "Eine junge Frau trug einen roten Mantel.",
    ),
    (
        tell(C(np("my small child"), verb("drink"), object=np("zero cold milk"))),
        "My small child drinks cold milk.",
        "Mein kleines Kind trinkt kalte Milch.",
    ),
    (
        tell(C(pn("she"), verb("drink"), object=np("zero hot coffee"))),
        "She drinks hot coffee.",
        "Sie trinkt heißen Kaffee.",
    ),
    (
        tell(C(pn("we"), verb("buy"), "past", object=np("two ripe apple*"))),
        "We bought two ripe apples.",
        "Wir kauften zwei reife Äpfel.",
    ),
    (
        tell(C(pn("they"), verb("help"), object=np("our poor neighbour*"))),
        "They help our poor neighbours.",
        "Sie helfen unseren armen Nachbarn.",
    ),
    (
        tell(C(np("every guest"), verb("see"), "past", object=np("this dark forest"))),
        "Every guest saw this dark forest.",
        "Jeder Gast sah diesen dunklen Wald.",
    ),
    (
        tell(C(np("a expensive ring"), BE, predicate=ADJECTIVE["beautiful"])),
        "An expensive ring is beautiful.",
        "Ein teurer Ring ist schön.",
    ),
    # N-declension, plural dative, genitive.
    (
        tell(C(np("the boy"), verb("know", "tr"), object=np("the student"))),
        "The boy knows the student.",
        "Der Junge kennt den Studenten.",
    ),
    (
        tell(C(np("the teacher"), verb("answer"), "past", object=np("the boy"))),
        "The teacher answered the boy.",
        "Der Lehrer antwortete dem Jungen.",
    ),
    (
        tell(C(np("the doctor*"), verb("thank"), object=np("the child*"))),
        "The doctors thank the children.",
        "Die Ärzte danken den Kindern.",
    ),
    (
        tell(C(np("the car", np("my brother")), BE, predicate=ADJECTIVE["broken"])),
        "My brother's car is broken.",
        "Das Auto meines Bruders ist kaputt.",
    ),
    (
        tell(C(np("the house", np("the old farmer")), BE, predicate=ADJECTIVE["small"])),
        "The old farmer's house is small.",
        "Das Haus des alten Bauern ist klein.",
    ),
    (
        tell(C(pn("I"), verb("look for"), object=np("the black cat", ANNA))),
        "I look for Anna's black cat.",
        "Ich suche Annas schwarze Katze.",
    ),
    # Conjugation: stem changes, du, past, separable verbs, perfect with haben and sein.
    (
        tell(C(pn("you"), verb("read"), object=np("the letter"))),
        "You read the letter.",
        "Du liest den Brief.",
    ),
    (
        tell(C(pn("you"), verb("wait for"), object=np("the bus"))),
        "You wait for the bus.",
        "Du wartest auf den Bus.",
    ),
    (
        tell(C(np("the girl"), verb("get up"), time=ADVERB["every day"])),
        "The girl gets up every day.",
        "Das Mädchen steht jeden Tag auf.",
    ),
    (
        tell(C(np("the girl"), verb("get up"), "perfect", frequency=ADVERB["already"])),
        "The girl has already got up.",
        "Das Mädchen ist schon aufgestanden.",
    ),
    (
        tell(C(pn("I"), verb("call"), "past", object=np("my mother"))),
        "I called my mother.",
        "Ich rief meine Mutter an.",
    ),
    (
        tell(C(np("the painter"), verb("repair"), "perfect", object=np("the clock"))),
        "The painter has repaired the clock.",
        "Der Maler hat die Uhr repariert.",
    ),
    (
        tell(C(pn("he"), verb("forget"), "perfect", object=np("her umbrella"))),
        "He has forgotten her umbrella.",
        "Er hat ihren Regenschirm vergessen.",
    ),
    (
        tell(C(np("the soldier"), verb("follow"), "perfect", object=pn("we"))),
        "The soldier has followed us.",
        "Der Soldat ist uns gefolgt.",
    ),
    (
        tell(C(np("the author"), verb("write"), "progressive", object=np("a novel"))),
        "The author is writing a novel.",
        "Der Autor schreibt gerade einen Roman.",
    ),
    # Modals and the future: the infinitive goes last.
    (
        tell(
            C(pn("she"), verb("invite"), object=np("the polite guest"))._replace(
                modal=MODAL["want"]
            )
        ),
        "She wants to invite the polite guest.",
        "Sie will den höflichen Gast einladen.",
    ),
    (
        tell(C(pn("they"), verb("solve"), "past", MODAL["can"], True, object=np("the problem"))),
        "They could not solve the problem.",
        "Sie konnten das Problem nicht lösen.",
    ),
    (
        tell(C(pn("he"), verb("work"), "past", MODAL["want"], True, place=BERLIN)),
        "He did not want to work in Berlin.",
        "Er wollte nicht in Berlin arbeiten.",
    ),
    (
        tell(C(pn("I"), verb("visit"), "future", object=np("my aunt"), time=ADVERB["tomorrow"])),
        "I will visit my aunt tomorrow.",
        "Ich werde morgen meine Tante besuchen.",
    ),
    # Order: verb second after an adverbial; pronoun, time, objects, manner, place.
    (
        tell(
            C(np("the cook"), verb("cook"), "past", object=np("zero soup"))._replace(
                time=ADVERB["yesterday"], fronted=True, place=at("the kitchen", "in", "in")
            )
        ),
        "Yesterday the cook cooked soup in the kitchen.",
        "Gestern kochte der Koch Suppe in der Küche.",
    ),
    (
        tell(
            C(
                pn("he"), verb("show"), "past", object=np("the picture"), recipient=pn("they")
            )._replace(time=ADVERB["last week"])
        ),
        "He showed the picture to them last week.",
        "Er zeigte ihnen letzte Woche das Bild.",
    ),
    (
        tell(
            C(np("the uncle"), verb("give"), "perfect", object=np("the ball"))._replace(
                recipient=np("the boy")
            )
        ),
        "The uncle has given the ball to the boy.",
        "Der Onkel hat dem Jungen den Ball gegeben.",
    ),
    (
        tell(
            C(pn("we"), verb("wash"), object=np("the dirty shirt*"))._replace(
                manner=ADVERB["quickly"], frequency=ADVERB["never"]
            )
        ),
        "We never wash the dirty shirts quickly.",
        "Wir waschen nie die schmutzigen Hemden schnell.",
    ),
    # Prepositions: two-way ones, contractions, fixed government.
    (
        tell(C(np("the key"), verb("lie"), place=at("the table", "on", "auf"))),
        "The key lies on the table.",
        "Der Schlüssel liegt auf dem Tisch.",
    ),
    (
        tell(
            C(pn("I"), verb("lay"), object=np("the key"), place=at("the table", "on", "auf", ACC))
        ),
        "I lay the key on the table.",
        "Ich lege den Schlüssel auf den Tisch.",
    ),
    (
        tell(C(np("the dog"), verb("run"), "past", place=at("the house", "into", "in", ACC))),
        "The dog ran into the house.",
        "Der Hund rannte ins Haus.",
    ),
    (
        tell(C(np("the dog"), verb("sleep"), place=at("the garden", "in", "in"))),
        "The dog sleeps in the garden.",
        "Der Hund schläft im Garten.",
    ),
    (
        tell(C(pn("they"), verb("drive"), "perfect", place=at("the station", "to", "zu"))),
        "They have driven to the station.",
        "Sie sind zum Bahnhof gefahren.",
    ),
    (
        tell(C(pn("she"), verb("go"), "past", place=at("the school", "to", "zu"))),
        "She went to the school.",
        "Sie ging zur Schule.",
    ),
    (
        tell(C(pn("he"), verb("wait"), "past", place=at("the beach", "at", "an"))),
        "He waited at the beach.",
        "Er wartete am Strand.",
    ),
    (
        tell(C(pn("I"), verb("dream of"), object=np("the horse*"))),
        "I dream of the horses.",
        "Ich träume von den Pferden.",
    ),
    # Negation.
    (
        tell(C(pn("she"), verb("have"), negated=True, object=np("a brown dog"))),
        "She does not have a brown dog.",
        "Sie hat keinen braunen Hund.",
    ),
    (
        tell(C(pn("I"), verb("see"), "past", negated=True, object=np("the bird"))),
        "I did not see the bird.",
        "Ich sah den Vogel nicht.",
    ),
    # Questions; those about the past are in the perfect.
    (
        Sentence(C(pn("you"), verb("understand"), object=np("the question")), "ask"),
        "Do you understand the question?",
        "Verstehst du die Frage?",
    ),
    (
        Sentence(C(np("the nurse"), verb("arrive"), "past"), "when"),
        "When did the nurse arrive?",
        "Wann ist die Krankenschwester angekommen?",
    ),
    (
        Sentence(C(Asked(True), verb("open"), "past", object=np("the window")), "who"),
        "Who opened the window?",
        "Wer hat das Fenster geöffnet?",
    ),
    (
        Sentence(C(np("the farmer"), verb("sell"), object=Asked(False)), "what"),
        "What does the farmer sell?",
        "Was verkauft der Bauer?",
    ),
    # Subordinate clauses.
    (
        Sentence(
            C(pn("I"), verb("sleep")),
            "tell",
            "because",
            C(pn("I"), BE, predicate=ADJECTIVE["tired"]),
        ),
        "I sleep because I am tired.",
        "Ich schlafe, weil ich müde bin.",
    ),
    (
        Sentence(
            C(pn("we"), verb("drink"), "future", object=np("zero tea")),
            "tell",
            "if",
            C(pn("it"), WEATHER[0]),
            True,
        ),
        "If it rains, we will drink tea.",
        "Wenn es regnet, werden wir Tee trinken.",
    ),
    (
        tell(
            C(
                pn("he"),
                verb("know", "that"),
                content=C(np("the lamp"), BE)._replace(predicate=ADJECTIVE["old"]),
            )
        ),
        "He knows that the lamp is old.",
        "Er weiß, dass die Lampe alt ist.",
    ),
    (
        tell(
            C(pn("I"), verb("believe"))._replace(
                content=C(pn("she"), verb("turn off"), "perfect", object=np("the computer"))
            )
        ),
        "I believe that she has turned off the computer.",
        "Ich glaube, dass sie den Computer ausgeschaltet hat.",
    ),
    (
        tell(
            C(
                pn("she"),
                verb("try"),
                "past",
                content=C(pn("she"), verb("wake up"), place=at("the room", "in", "in")),
            )
        ),
        "She tried to wake up in the room.",
        "Sie versuchte, im Zimmer aufzuwachen.",
    ),
    (
        Sentence(
            C(pn("he"), verb("go"), place=at("the city", "into", "in", ACC)),
            "tell",
            "in order to",
            C(pn("he"), verb("pick up"), object=np("his son")),
        ),
        "He goes into the city in order to pick up his son.",
        "Er geht in die Stadt, um seinen Sohn abzuholen.",
    ),
    # Relative clauses: subject, accusative, dative and prepositional gaps.
    (
        tell(
            C(
                np("the man", relative=C(gap("the man"), verb("live"), place=BERLIN)),
                verb("laugh"),
            )
        ),
        "The man who lives in Berlin laughs.",
        "Der Mann, der in Berlin wohnt, lacht.",
    ),
    (
        tell(
            C(pn("I"), verb("read"), "perfect")._replace(
                object=np(
                    "the book",
                    relative=C(ANNA, verb("buy"), "past", object=gap("the book")),
                )
            )
        ),
        "I have read the book that Anna bought.",
        "Ich habe das Buch gelesen, das Anna kaufte.",
    ),
    (
        tell(
            C(
                np("the child*", relative=C(pn("we"), verb("help"), object=gap("the child*"))),
                verb("sing"),
            )
        ),
        "The children whom we help sing.",
        "Die Kinder, denen wir helfen, singen.",
    ),
    (
        tell(
            C(
                np(
                    "the bus",
                    relative=C(pn("they"), verb("wait for"), object=gap("the bus")),
                ),
                BE,
                predicate=ADJECTIVE["red"],
            )
        ),
        "The bus that they wait for is red.",
        "Der Bus, auf den sie warten, ist rot.",
    ),
    # Comparison, existence, coordination.
    (
        tell(C(np("the dog"), BE, predicate=ADJECTIVE["big"], than=np("my cat"))),
        "The dog is bigger than my cat.",
        "Der Hund ist größer als meine Katze.",
    ),
    (
        tell(C(pn("it"), EXIST, object=np("a old bear"), place=at("the forest", "in", "in"))),
        "There is an old bear in the forest.",
        "Es gibt einen alten Bären im Wald.",
    ),
    (
        tell(C(Pair(ANNA, np("her sister")), verb("dance"), "past")),
        "Anna and her sister danced.",
        "Anna und ihre Schwester tanzten.",
    ),
    (
        Sentence(
            C(np("the cow"), verb("sleep")),
            "tell",
            "but",
            C(np("the wolf"), verb("run"))._replace(place=at("the forest", "into", "in", ACC)),
        ),
        "The cow sleeps, but the wolf runs into the forest.",
        "Die Kuh schläft, aber der Wolf rennt in den Wald.",
    ),
]


@pytest.mark.parametrize(("sentence", "source", "target"), GOLD, ids=[g[1] for g in GOLD])
def test_translation(sentence: Sentence, source: str, target: str) -> None:
    assert english.realise(sentence) == source
    assert german.realise(sentence) == target


def test_esperanto_has_its_own_case_and_agreement() -> None:
    clause = C(pn("she"), verb("see"), "past", object=np("the small bird*"))
    assert esperanto.realise(tell(clause)) == "Ŝi vidis la malgrandajn birdojn."
    assert esperanto.realise(Sentence(clause, "ask")) == "Ĉu ŝi vidis la malgrandajn birdojn?"


@pytest.mark.parametrize(
    ("name", "present", "past"),
    [
        ("play", "spiele spielst spielt", "spielte"),
        ("smile", "lächle lächelst lächelt", "lächelte"),
        ("open", "öffne öffnest öffnet", "öffnete"),
        ("greet", "grüße grüßt grüßt", "grüßte"),
        ("invite", "lade lädst lädt", "lud"),
        ("feed", "füttere fütterst füttert", "fütterte"),
        ("find", "finde findest findet", "fand"),
    ],
)
def test_conjugation(name: str, present: str, past: str) -> None:
    forms = verb(name).german
    assert " ".join(forms.present[:3]) == present
    assert forms.past[2] == past


@pytest.mark.parametrize(
    ("noun", "genitive"),
    [
        ("boss", "Chefs"),
        ("friend", "Freundes"),
        ("secret", "Geheimnisses"),
        ("table", "Tisches"),
        ("neighbour", "Nachbarn"),
        ("aunt", "Tante"),
        ("teacher", "Lehrers"),
    ],
)
def test_genitive(noun: str, genitive: str) -> None:
    assert NOUN[noun].singular[3] == genitive


def test_adjective_endings_by_case() -> None:
    forms = [
        german.phrase(np(f"the young {n}"), case) for n in ("man", "woman") for case in range(4)
    ]
    assert forms == [
        "der junge Mann",
        "den jungen Mann",
        "dem jungen Mann",
        "des jungen Mannes",
        "die junge Frau",
        "die junge Frau",
        "der jungen Frau",
        "der jungen Frau",
    ]
    assert german.phrase(np("some brave woman*"), 3) == "einiger mutiger Frauen"
    assert german.phrase(np("many brave boy*"), DAT) == "vielen mutigen Jungen"
