"""The nouns: English[/plural], German, gender, German plural, Esperanto root, flags.

A heading ``[x]`` opens a semantic class; the other tables refer to classes by their letter. Flags:
``weak`` is the n-declension; ``loc=EN:DE`` and ``dir=EN:DE`` are the prepositions of a place in
both languages, for being there (dative) and for going there (accusative, or dative after zu).
"""

from __future__ import annotations

from typing import Final

NOUNS: Final = """
[p]
man/men Mann m Männer vir
woman/women Frau f Frauen virin
child/children Kind n Kinder infan
boy Junge m Jungen knab weak
girl Mädchen n Mädchen knabin
teacher Lehrer m Lehrer instruist
student Student m Studenten student weak
doctor Arzt m Ärzte kuracist
nurse Krankenschwester f Krankenschwestern flegistin
father Vater m Väter patr
mother Mutter f Mütter patrin
brother Bruder m Brüder frat
sister Schwester f Schwestern fratin
son Sohn m Söhne fil
daughter Tochter f Töchter filin
friend Freund m Freunde amik
neighbour Nachbar m Nachbarn najbar weak
colleague Kollege m Kollegen koleg weak
grandmother Großmutter f Großmütter avin
grandfather Großvater m Großväter av
uncle Onkel m Onkel onkl
aunt Tante f Tanten onklin
cousin Cousin m Cousins kuz
farmer Bauer m Bauern kamparan weak
baker Bäcker m Bäcker bakist
cook Koch m Köche kuirist
waiter Kellner m Kellner kelner
singer Sänger m Sänger kantist
painter Maler m Maler pentrist
journalist Journalist m Journalisten ĵurnalist weak
author Autor m Autoren aŭtor
actress/actresses Schauspielerin f Schauspielerinnen aktorin
soldier Soldat m Soldaten soldat weak
policeman/policemen Polizist m Polizisten policist weak
lawyer Anwalt m Anwälte advokat
engineer Ingenieur m Ingenieure inĝenier
gardener Gärtner m Gärtner ĝardenist
tourist Tourist m Touristen turist weak
guest Gast m Gäste gast
customer Kunde m Kunden klient weak
seller Verkäufer m Verkäufer vendist
patient Patient m Patienten pacient weak
boss/bosses Chef m Chefs estr gen=Chefs
secretary/secretaries Sekretärin f Sekretärinnen sekretariin
queen Königin f Königinnen reĝin
musician Musiker m Musiker muzikist
[a]
dog Hund m Hunde hund
cat Katze f Katzen kat
horse Pferd n Pferde ĉeval
cow Kuh f Kühe bovin
bird Vogel m Vögel bird
mouse/mice Maus f Mäuse mus
rabbit Kaninchen n Kaninchen kunikl
bear Bär m Bären urs weak
lion Löwe m Löwen leon weak
monkey Affe m Affen simi weak
elephant Elefant m Elefanten elefant weak
goat Ziege f Ziegen kapr
duck Ente f Enten anas
pig Schwein n Schweine pork
wolf/wolves Wolf m Wölfe lup
fox/foxes Fuchs m Füchse vulp
[u]
apple Apfel m Äpfel pom
pear Birne f Birnen pir
orange Orange f Orangen oranĝ
banana Banane f Bananen banan
tomato/tomatoes Tomate f Tomaten tomat
strawberry/strawberries Erdbeere f Erdbeeren frag
cherry/cherries Kirsche f Kirschen ĉeriz
[f]
egg Ei n Eier ov gen=Eies
potato/potatoes Kartoffel f Kartoffeln terpom
cake Kuchen m Kuchen kuk
carrot Karotte f Karotten karot
sausage Wurst f Würste kolbas
onion Zwiebel f Zwiebeln cep
[m]
bread Brot n - pan
cheese Käse m - fromaĝ
meat Fleisch n - viand
soup Suppe f - sup
rice Reis m - riz
salad Salat m - salat
butter Butter f - buter
honey Honig m - miel
chocolate Schokolade f - ĉokolad
[d]
water Wasser n - akv
milk Milch f - lakt
coffee Kaffee m - kaf
tea Tee m - te
juice Saft m - suk
lemonade Limonade f - limonad
[e]
beer Bier n - bier
wine Wein m - vin
[r]
book Buch n Bücher libr
letter Brief m Briefe leter
newspaper Zeitung f Zeitungen ĵurnal
novel Roman m Romane roman
poem Gedicht n Gedichte poem
story/stories Geschichte f Geschichten rakont
report Bericht m Berichte raport
text Text m Texte tekst
message Nachricht f Nachrichten mesaĝ
postcard Postkarte f Postkarten poŝtkart
recipe Rezept n Rezepte recept
[s]
song Lied n Lieder kant
film Film m Filme film
programme Sendung f Sendungen elsend
concert Konzert n Konzerte koncert
[t]
bag Tasche f Taschen sak
key Schlüssel m Schlüssel ŝlosil
ball Ball m Bälle pilk
cup Tasse f Tassen tas
glass/glasses Glas n Gläser glas
plate Teller m Teller teler
knife/knives Messer n Messer tranĉil
spoon Löffel m Löffel kuler
fork Gabel f Gabeln fork
pen Stift m Stifte skribil
picture Bild n Bilder bild
clock Uhr f Uhren horloĝ
suitcase Koffer m Koffer valiz
umbrella Regenschirm m Regenschirme ombrel
camera Kamera f Kameras fotil
phone Telefon n Telefone telefon
computer Computer m Computer komputil
guitar Gitarre f Gitarren gitar
doll Puppe f Puppen pup
toy Spielzeug n Spielzeuge ludil
bottle Flasche f Flaschen botel
basket Korb m Körbe korb
box/boxes Kiste f Kisten kest
ring Ring m Ringe ring
candle Kerze f Kerzen kandel
vase Vase f Vasen vaz
gift Geschenk n Geschenke donac
pot Topf m Töpfe pot
map Karte f Karten map
bell Glocke f Glocken sonoril
[c]
dress/dresses Kleid n Kleider rob
shirt Hemd n Hemden ĉemiz
hat Hut m Hüte ĉapel
coat Mantel m Mäntel mantel
jacket Jacke f Jacken jak
skirt Rock m Röcke jup
shoe Schuh m Schuhe ŝu
pullover Pullover m Pullover pulover
blouse Bluse f Blusen bluz
glove Handschuh m Handschuhe gant
scarf/scarves Schal m Schals koltuk
[v]
car Auto n Autos aŭt
bicycle Fahrrad n Fahrräder bicikl
bus/buses Bus m Busse aŭtobus gen=Busses
train Zug m Züge trajn
ship Schiff n Schiffe ŝip
boat Boot n Boote boat
lorry/lorries Lastwagen m Lastwagen kamion
tram Straßenbahn f Straßenbahnen tram
[k]
table Tisch m Tische tabl
chair Stuhl m Stühle seĝ
bed Bett n Betten lit
sofa Sofa n Sofas sof
cupboard Schrank m Schränke ŝrank
shelf/shelves Regal n Regale bretar
carpet Teppich m Teppiche tapiŝ
armchair Sessel m Sessel brakseĝ
desk Schreibtisch m Schreibtische skribotabl
bench/benches Bank f Bänke benk
[n]
door Tür f Türen pord
window Fenster n Fenster fenestr
lamp Lampe f Lampen lamp
[g]
flower Blume f Blumen flor
tree Baum m Bäume arb
rose Rose f Rosen roz
bush/bushes Busch m Büsche arbust
[x]
problem Problem n Probleme problem
question Frage f Fragen demand
answer Antwort f Antworten respond
idea Idee f Ideen ide
plan Plan m Pläne plan
rule Regel f Regeln regul
mistake Fehler m Fehler erar
word Wort n Wörter vort
task Aufgabe f Aufgaben task
secret Geheimnis n Geheimnisse sekret
[h]
kitchen Küche f Küchen kuirej loc=in:in dir=into:in
bedroom Schlafzimmer n Schlafzimmer dormoĉambr loc=in:in dir=into:in
bathroom Badezimmer n Badezimmer banĉambr loc=in:in dir=into:in
room Zimmer n Zimmer ĉambr loc=in:in dir=into:in
house Haus n Häuser dom loc=in:in dir=into:in
flat Wohnung f Wohnungen apartament loc=in:in dir=into:in
cellar Keller m Keller kel loc=in:in dir=into:in
[b]
school Schule f Schulen lernej loc=at:in dir=to:zu
hospital Krankenhaus n Krankenhäuser malsanulej loc=in:in dir=into:in
church/churches Kirche f Kirchen preĝej loc=in:in dir=into:in
museum Museum n Museen muze loc=in:in dir=into:in
office Büro n Büros oficej loc=in:in dir=into:in
restaurant Restaurant n Restaurants restoraci loc=in:in dir=into:in
library/libraries Bibliothek f Bibliotheken bibliotek loc=in:in dir=into:in
theatre Theater n Theater teatr loc=in:in dir=into:in
hotel Hotel n Hotels hotel loc=in:in dir=into:in
station Bahnhof m Bahnhöfe staci loc=at:an dir=to:zu
airport Flughafen m Flughäfen flughaven loc=at:an dir=to:zu
shop Laden m Läden butik loc=in:in dir=into:in
factory/factories Fabrik f Fabriken fabrik loc=in:in dir=into:in
university/universities Universität f Universitäten universitat loc=at:an dir=to:zu
café Café n Cafés kafej loc=in:in dir=into:in
castle Schloss n Schlösser kastel loc=in:in dir=into:in
[o]
garden Garten m Gärten ĝarden loc=in:in dir=into:in
park Park m Parks park gen=Parks loc=in:in dir=into:in
forest Wald m Wälder arbar loc=in:in dir=into:in
market Markt m Märkte merkat loc=at:auf dir=to:zu
beach/beaches Strand m Strände strand loc=at:an dir=to:zu
village Dorf n Dörfer vilaĝ loc=in:in dir=into:in
city/cities Stadt f Städte urb loc=in:in dir=into:in
street Straße f Straßen strat loc=on:auf dir=onto:auf
bridge Brücke f Brücken pont loc=on:auf dir=onto:auf
meadow Wiese f Wiesen herbej loc=on:auf dir=onto:auf
mountain Berg m Berge mont loc=on:auf dir=onto:auf
[w]
lake See m Seen lag loc=in:in dir=into:in
river Fluss m Flüsse river loc=in:in dir=into:in
pool Schwimmbad n Schwimmbäder naĝej loc=in:in dir=into:in
"""
