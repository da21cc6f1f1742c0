"""The adjectives, and the adverbials of time, frequency and manner.

An adjective: English, German, the classes of nouns that it suits (or ``=`` and a
name of ``GROUPS``), Esperanto root, and both comparatives (``-`` where it has none). An adverbial:
English, German, Esperanto, and the tenses (for a manner, the English verbs) that it goes with.
"""

from __future__ import annotations

from typing import Final

ADJECTIVES: Final = """
small klein patcvkhboxguf malgrand smaller kleiner
big groß atcvkhboxguf grand bigger größer
old alt patcvkhbors malnov older älter
new neu tcvkhbrsxn nov newer neuer
young jung pa jun younger jünger
beautiful schön patcvkhborsg bel more_beautiful schöner
ugly hässlich atcvkhbo malbel uglier hässlicher
expensive teuer tcvkufmde multekost more_expensive teurer attr=teur
cheap billig tcvkufmde malmultekost cheaper billiger
friendly freundlich p afabl friendlier freundlicher
tired müde pa lac - - attr=müd
happy glücklich p feliĉ happier glücklicher
sad traurig prs malĝoj sadder trauriger
rich reich p riĉ richer reicher
poor arm p malriĉ poorer ärmer
clever klug p saĝ cleverer klüger
lazy faul pa maldiligent lazier fauler
diligent fleißig p diligent more_diligent fleißiger
ill krank pa malsan - -
healthy gesund pafm san healthier gesünder
strong stark pa fort stronger stärker
weak schwach pa malfort weaker schwächer
fast schnell av rapid faster schneller
slow langsam v malrapid slower langsamer
interesting interessant rsxb interes more_interesting interessanter
boring langweilig rsp ted more_boring langweiliger
famous berühmt prsb fam more_famous berühmter
red rot tcvgn ruĝ - -
blue blau tcvn blu - -
green grün tcvkn verd - -
yellow gelb tcvg flav - -
black schwarz tcvka nigr - -
white weiß tcvkag blank - -
brown braun tcka brun - -
grey grau acv griz - -
warm warm dmh varm warmer wärmer
cold kalt demhw malvarm colder kälter
hot heiß d varmeg hotter heißer
sweet süß ud dolĉ sweeter süßer
fresh frisch ufmd freŝ fresher frischer
delicious lecker ufm bongust more_delicious leckerer
heavy schwer tkv pez heavier schwerer
light leicht t malpez lighter leichter
long lang rs long longer länger
short kurz rs mallong shorter kürzer
clean sauber tcvkhn pur cleaner sauberer
dirty schmutzig tcvkahnw malpur dirtier schmutziger
wooden hölzern =made_of_wood lign - -
broken kaputt =breakable romp - -
important wichtig xr grav more_important wichtiger
difficult schwierig =intricate malfacil more_difficult schwieriger
simple einfach =plain simpl simpler einfacher
funny lustig prs amuz funnier lustiger
dark dunkel =unlit malhel darker dunkler attr=dunkl
modern modern cvkhbs modern more_modern moderner
comfortable bequem =comfortable komfort more_comfortable bequemer
dangerous gefährlich =dangerous danĝer more_dangerous gefährlicher
quiet ruhig phob trankvil quieter ruhiger
hungry hungrig pa malsat - -
polite höflich p ĝentil politer höflicher
brave mutig pa kuraĝ braver mutiger
curious neugierig pa scivol more_curious neugieriger
ripe reif u matur riper reifer
wild wild a sovaĝ wilder wilder
thin dünn pa maldik thinner dünner
nervous nervös p nervoz more_nervous nervöser
proud stolz p fier prouder stolzer
honest ehrlich p honest more_honest ehrlicher
deep tief =deep profund deeper tiefer
wide breit =broad larĝ wider breiter
"""

TIMES: Final = """
today|heute|hodiaŭ|present past perfect future
now|jetzt|nun|present
every day|jeden Tag|ĉiutage|present past
every evening|jeden Abend|ĉiuvespere|present past
every week|jede Woche|ĉiusemajne|present past
every year|jedes Jahr|ĉiujare|present past
on Monday|am Montag|lunde|present past future
on Tuesday|am Dienstag|marde|present past future
on Wednesday|am Mittwoch|merkrede|present past future
on Friday|am Freitag|vendrede|present past future
on Sunday|am Sonntag|dimanĉe|present past future
in the morning|am Morgen|matene|present past
in the evening|am Abend|vespere|present past
in the afternoon|am Nachmittag|posttagmeze|present past
at night|in der Nacht|nokte|present past
in summer|im Sommer|somere|present past
in winter|im Winter|vintre|present past
yesterday|gestern|hieraŭ|past
yesterday evening|gestern Abend|hieraŭ vespere|past
last week|letzte Woche|pasintsemajne|past
last year|letztes Jahr|pasintjare|past
last Monday|letzten Montag|pasintlunde|past
two days ago|vor zwei Tagen|antaŭ du tagoj|past
three weeks ago|vor drei Wochen|antaŭ tri semajnoj|past
a month ago|vor einem Monat|antaŭ monato|past
ten years ago|vor zehn Jahren|antaŭ dek jaroj|past
tomorrow|morgen|morgaŭ|present future
next week|nächste Woche|venontsemajne|future
next year|nächstes Jahr|venontjare|future
soon|bald|baldaŭ|future
in two days|in zwei Tagen|post du tagoj|future
this morning|heute Morgen|hodiaŭ matene|past perfect
this week|diese Woche|ĉi-semajne|present perfect future
"""

FREQUENCIES: Final = """
often|oft|ofte|present past perfect
always|immer|ĉiam|present past perfect
never|nie|neniam|present past perfect
sometimes|manchmal|foje|present past
usually|normalerweise|kutime|present past
rarely|selten|malofte|present past
already|schon|jam|perfect
finally|endlich|fine|past perfect
probably|wahrscheinlich|verŝajne|present past perfect future
"""

MANNERS: Final = """
quickly|schnell|rapide|run drive eat read write repair solve clean wash answer
slowly|langsam|malrapide|eat drink read drive go swim write paint
quietly|leise|mallaŭte|laugh cry sing speak talk
loudly|laut|laŭte|laugh cry sing speak
alone|allein|sole|work live sleep dance travel play
carefully|vorsichtig|zorge|wash clean open close lay place carry paint repair
together with a friend|zusammen mit einem Freund|kune kun amiko|dance sing travel play cook swim
"""
