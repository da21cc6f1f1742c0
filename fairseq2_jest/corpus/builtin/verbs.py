"""The verbs: English|German|frame|subject classes|object classes|where|Esperanto root.

English is ``base[~particle] [past participle [ing]]``, regular where only the base is given.
German is ``[prefix/]infinitive [er-form past participle]``, weak where only the infinitive is
given; a ``+`` before the participle marks a perfect with sein. Frames: ``intr``, ``tr``
(accusative), ``dat`` (dative), ``ditr`` (dative and accusative), ``prep:DE:CASE:EO``,
``motion`` (a goal), ``put`` (accusative and a goal on furniture), ``pos`` (a place on furniture).
Where: classes of the nouns that name a likely place, ``-`` for none. A class column holds class
letters and names of ``GROUPS``, the latter after a ``=``.
"""

from __future__ import annotations

from typing import Final

VERBS: Final = """
sleep slept slept|schlafen schläft schlief geschlafen|intr|pa|-|ho|dorm
laugh|lachen|intr|p|-|hbo|rid
cry|weinen|intr|p|-|hbo|plor
work|arbeiten|intr|p|-|hbo|labor
live|wohnen|intr|p|-|=homes|loĝ
dance|tanzen|intr|p|-|hbo|danc
sing sang sung|singen singt sang gesungen|intr|p|-|hbo|kant
swim swam swum swimming|schwimmen schwimmt schwamm +geschwommen|intr|p =swimmers|-|w|naĝ
play|spielen|intr|p|-|hbo|lud
smile|lächeln|intr|p|-|-|rident
smoke|rauchen|intr|p|-|o|fum
wait|warten|intr|p|-|hbo|atend
get~up got got getting|auf/stehen steht stand +gestanden|intr|p|-|-|ellitiĝ
wake~up woke woken waking|auf/wachen wacht wachte +gewacht|intr|pa|-|-|vekiĝ
fall~asleep fell fallen|ein/schlafen schläft schlief +geschlafen|intr|pa|-|ho|endorm
disappear|verschwinden verschwindet verschwand +verschwunden|intr|pa|-|-|malaper
arrive|an/kommen kommt kam +gekommen|intr|p|-|-|alven
read read read|lesen liest las gelesen|tr|p|r|hbo|leg
write wrote written writing|schreiben schreibt schrieb geschrieben|tr|p|=written|hb|skrib
eat ate eaten|essen isst aß gegessen|tr|p|ufm|hbo|manĝ
drink drank drunk|trinken trinkt trank getrunken|tr|p|de|hbo|trink
buy bought bought|kaufen|tr|p|ufmdertcvg|b|aĉet
sell sold sold|verkaufen|tr|p|ufmdertcvk|-|vend
cook|kochen|tr|p|=cooked|h|kuir
see saw seen|sehen sieht sah gesehen|tr|p|pavg|bo|vid
hear heard heard|hören|tr|p|pas|-|aŭd
find found found|finden findet fand gefunden|tr|p|rtca|ho|trov
look~for|suchen|tr|p|pratc|ho|serĉ
love|lieben|tr|p|pa|-|am
know knew known|kennen kennt kannte gekannt|tr|p|prs|-|kon
visit|besuchen|tr|p|p|-|vizit
meet met met|treffen trifft traf getroffen|tr|p|p|bo|renkont
ask|fragen|tr|p|p|-|demand
invite|ein/laden lädt lud geladen|tr|p|p|-|invit
call|an/rufen ruft rief gerufen|tr|p|p|-|telefon
pick~up|ab/holen holt holte geholt|tr|p|p|-|prenveturig
greet|grüßen|tr|p|p|-|salut
forget forgot forgotten forgetting|vergessen vergisst vergaß vergessen|tr|p|prtcx|-|forges
lose lost lost losing|verlieren verliert verlor verloren|tr|p|rtc|o|perd
carry|tragen trägt trug getragen|tr|p|t|-|port
wear wore worn|tragen trägt trug getragen|tr|p|c|-|surport
wash|waschen wäscht wusch gewaschen|tr|p|c|h|lav
repair|reparieren|tr|p|=repaired|-|ripar
paint|malen|tr|p|pag|o|pentr
clean|putzen|tr|p|hn|-|purig
open|öffnen|tr|p|=closable|-|malferm
close closed closed closing|schließen schließt schloss geschlossen|tr|p|=closable|-|ferm
break broke broken|zerbrechen zerbricht zerbrach zerbrochen|tr|p|=fragile|-|romp
watch|an/sehen sieht sah gesehen|tr|p|=watched|h|spekt
feed fed fed|füttern|tr|p|a|o|nutr
hunt|jagen|tr|=hunters|=prey|o|ĉas
turn~on|ein/schalten|tr|p|=switched|-|ŝalt
turn~off|aus/schalten|tr|p|=switched|-|malŝalt
put~on put put putting|an/ziehen zieht zog gezogen|tr|p|c|-|surmet
take~off took taken taking|aus/ziehen zieht zog gezogen|tr|p|c|-|demet
tidy~up|auf/räumen|tr|p|h|-|ordig
understand understood understood|verstehen versteht verstand verstanden|tr|p|pxr|-|kompren
solve|lösen|tr|p|=solved|-|solv
discuss|besprechen bespricht besprach besprochen|tr|p|x|hb|diskut
correct|korrigieren|tr|p|=corrected|-|korekt
translate|übersetzen übersetzt übersetzte übersetzt|tr|p|r|-|traduk
need|brauchen|tr|p|ptcvkdmu|-|bezon
have had had having|haben hat hatte gehabt|tr|p|atcvx|-|hav
photograph|fotografieren|tr|p|pagb|o|foto
bake|backen backt backte gebacken|tr|p|=baked|h|bak
plant|pflanzen|tr|p|g|o|plant
describe|beschreiben beschreibt beschrieb beschrieben|tr|p|pxb|-|priskrib
build built built|bauen|tr|p|=built|o|konstru
help|helfen hilft half geholfen|dat|p|p|hbo|help
thank|danken|dat|p|p|-|dank
answer|antworten|dat|p|p|-|respond
follow|folgen folgt folgte +gefolgt|dat|pa|p|-|sekv
trust|vertrauen|dat|p|p|-|fid
listen~to|zu/hören|dat|p|p|-|aŭskult
congratulate|gratulieren|dat|p|p|-|gratul
give gave given giving|geben gibt gab gegeben|ditr|p|rtcufg|-|don
show showed shown|zeigen|ditr|p|rtcv|-|montr
send sent sent|schicken|ditr|p|rt|-|send
lend lent lent|leihen leiht lieh geliehen|ditr|p|rtcv|-|prunt
bring brought brought|bringen bringt brachte gebracht|ditr|p|rtcdemuf|-|alport
explain|erklären|ditr|p|x|-|klarig
read~aloud read read|vor/lesen liest las gelesen|ditr|p|r|-|voĉleg
recommend|empfehlen empfiehlt empfahl empfohlen|ditr|p|rsb|-|rekomend
return|zurück/geben gibt gab gegeben|ditr|p|rtc|-|redon
wait~for|warten|prep:auf:acc:por|p|p =transit|bo|atend
think~of thought thought|denken denkt dachte gedacht|prep:an:acc:pri|p|px|-|pens
speak~with spoke spoken|sprechen spricht sprach gesprochen|prep:mit:dat:kun|p|p|hbo|parol
dream~of|träumen|prep:von:dat:pri|p|pav|-|sonĝ
talk~about|reden|prep:über:acc:pri|p|pxs|hb|babil
write~to wrote written writing|schreiben schreibt schrieb geschrieben|prep:an:acc:al|p|p|-|skrib
laugh~at|lachen|prep:über:acc:pri|p|pa|-|rid
think~about thought thought|nach/denken denkt dachte gedacht|prep:über:acc:pri|p|x|-|pripens
play~with|spielen|prep:mit:dat:kun|p|=pets|ho|lud
go went gone|gehen geht ging +gegangen|motion|p|-|hbo|ir
drive drove driven driving|fahren fährt fuhr +gefahren|motion|p|-|bo|vetur
run ran run running|rennen rennt rannte +gerannt|motion|pa|-|hbo|kur
travel travelled travelled travelling|reisen reist reiste +gereist|motion|p|-|o|vojaĝ
come came come coming|kommen kommt kam +gekommen|motion|pa|-|hbo|ven
hurry|eilen eilt eilte +geeilt|motion|p|-|hbo|rapid
lay laid laid|legen|put|p|=flat|=surfaces|kuŝig
place|stellen|put|p|=upright|=surfaces|met
stand stood stood|stehen steht stand gestanden|pos|=upright|-|=surfaces|star
lie lay lain lying|liegen liegt lag gelegen|pos|=flat|-|=surfaces|kuŝ
sit sat sat sitting|sitzen sitzt saß gesessen|pos|=sitters|-|=seats|sid
"""

MATRIX_VERBS: Final = """
say said said|sagen|that|p|-|-|dir
believe|glauben|that|p|-|-|kred
hope|hoffen|that|p|-|-|esper
know knew known|wissen weiß wusste gewusst|that|p|-|-|sci
try|versuchen|to|p|-|-|prov
plan planned planned planning|planen|to|p|-|-|plan
promise|versprechen verspricht versprach versprochen|to|p|-|-|promes
"""

ADULT: Final = frozenset({"beer", "wine", "smoke", "drive", "work", "hunt", "build"})
"""Verbs and objects that the nouns of the group ``underage`` are not the subjects of."""

STATIVE: Final = frozenset(
    """
    live,love,know,have,need,understand,see,hear,trust,forget,lose,find,disappear,arrive,stand,
    lie,say,believe,hope,follow,meet,break,fall asleep,get up,wake up,thank,come,promise,plan,sit
    """.replace("\n", "")
    .replace("    ", "")
    .split(",")
)
"""Verbs of states and of moments, which have no progressive."""
