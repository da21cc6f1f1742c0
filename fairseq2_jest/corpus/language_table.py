"""The languages of NLLB-200, and the other names people give them."""

from __future__ import annotations

# One language a line: NLLB's code, then ISO 639-1 and other codes people use for it (or "-"), then
# its English name. A code that several rows carry stands for all of them, the first row first.
NLLB_LANGUAGES = """\
ace_Arab - Acehnese
ace_Latn - Acehnese
arb_Arab ar,ara Modern Standard Arabic
arb_Latn ar,ara Modern Standard Arabic
acm_Arab ar,ara Mesopotamian Arabic
acq_Arab ar,ara Ta'izzi-Adeni Arabic
aeb_Arab ar,ara Tunisian Arabic
afr_Latn af Afrikaans
ajp_Arab ar,ara South Levantine Arabic
aka_Latn ak Akan
amh_Ethi am Amharic
apc_Arab ar,ara North Levantine Arabic
ars_Arab ar,ara Najdi Arabic
ary_Arab ar,ara Moroccan Arabic
arz_Arab ar,ara Egyptian Arabic
asm_Beng as Assamese
ast_Latn - Asturian
awa_Deva - Awadhi
ayr_Latn ay,aym Central Aymara
azb_Arab az,aze South Azerbaijani
azj_Latn az,aze North Azerbaijani
bak_Cyrl ba Bashkir
bam_Latn bm Bambara
ban_Latn - Balinese
bel_Cyrl be Belarusian
bem_Latn - Bemba
ben_Beng bn Bengali
bho_Deva - Bhojpuri
bjn_Arab - Banjar
bjn_Latn - Banjar
bod_Tibt bo,tib Tibetan
bos_Latn bs Bosnian
bug_Latn - Buginese
bul_Cyrl bg Bulgarian
cat_Latn ca Catalan
ceb_Latn - Cebuano
ces_Latn cs,cze Czech
cjk_Latn - Chokwe
kmr_Latn ku,kur Northern Kurdish
ckb_Arab ku,kur Central Kurdish
crh_Latn - Crimean Tatar
cym_Latn cy,wel Welsh
dan_Latn da Danish
deu_Latn de,ger German
dik_Latn din Southwestern Dinka
dyu_Latn - Dyula
dzo_Tibt dz Dzongkha
ell_Grek el,gre Greek
eng_Latn en English
epo_Latn eo Esperanto
est_Latn et Estonian
eus_Latn eu,baq Basque
ewe_Latn ee Ewe
fao_Latn fo Faroese
fij_Latn fj Fijian
fin_Latn fi Finnish
fon_Latn - Fon
fra_Latn fr,fre French
fur_Latn - Friulian
fuv_Latn ff,ful Nigerian Fulfulde
gaz_Latn om,orm West Central Oromo
gla_Latn gd Scottish Gaelic
gle_Latn ga Irish
glg_Latn gl Galician
grn_Latn gn Guarani
guj_Gujr gu Gujarati
hat_Latn ht Haitian Creole
hau_Latn ha Hausa
heb_Hebr he,iw Hebrew
hin_Deva hi Hindi
hne_Deva - Chhattisgarhi
hrv_Latn hr Croatian
hun_Latn hu Hungarian
hye_Armn hy,arm Armenian
ibo_Latn ig Igbo
ilo_Latn - Ilocano
ind_Latn id,in Indonesian
isl_Latn is,ice Icelandic
ita_Latn it Italian
jav_Latn jv Javanese
jpn_Jpan ja,jp Japanese
kab_Latn - Kabyle
kac_Latn - Jingpho
kam_Latn - Kamba
kan_Knda kn Kannada
kas_Arab ks Kashmiri
kas_Deva ks Kashmiri
kat_Geor ka,geo Georgian
kaz_Cyrl kk Kazakh
kbp_Latn - Kabiyè
kea_Latn - Kabuverdianu
khk_Cyrl mn,mon Halh Mongolian
khm_Khmr km Khmer
kik_Latn ki Kikuyu
kin_Latn rw Kinyarwanda
kir_Cyrl ky Kyrgyz
kmb_Latn - Kimbundu
knc_Arab kr,kau Central Kanuri
knc_Latn kr,kau Central Kanuri
kon_Latn kg Kikongo
kor_Hang ko Korean
lao_Laoo lo Lao
lij_Latn - Ligurian
lim_Latn li Limburgish
lin_Latn ln Lingala
lit_Latn lt Lithuanian
lmo_Latn - Lombard
ltg_Latn - Latgalian
ltz_Latn lb Luxembourgish
lua_Latn - Luba-Kasai
lug_Latn lg Ganda
luo_Latn - Luo
lus_Latn - Mizo
lvs_Latn lv,lav Standard Latvian
mag_Deva - Magahi
mai_Deva - Maithili
mal_Mlym ml Malayalam
mar_Deva mr Marathi
min_Arab - Minangkabau
min_Latn - Minangkabau
mkd_Cyrl mk,mac Macedonian
mlt_Latn mt Maltese
mni_Beng - Meitei
mos_Latn - Mossi
mri_Latn mi,mao Maori
mya_Mymr my,bur Burmese
nld_Latn nl,dut Dutch
nob_Latn nb,no,nor Norwegian Bokmål
nno_Latn nn,no,nor Norwegian Nynorsk
npi_Deva ne,nep Nepali
nso_Latn - Northern Sotho
nus_Latn - Nuer
nya_Latn ny Nyanja
oci_Latn oc Occitan
ory_Orya or,ori Odia
pag_Latn - Pangasinan
pan_Guru pa Eastern Panjabi
pap_Latn - Papiamento
pbt_Arab ps,pus Southern Pashto
pes_Arab fa,fas,per Western Persian
plt_Latn mg,mlg Plateau Malagasy
pol_Latn pl Polish
por_Latn pt Portuguese
prs_Arab - Dari
quy_Latn qu,que Ayacucho Quechua
ron_Latn ro,rum Romanian
run_Latn rn Rundi
rus_Cyrl ru Russian
sag_Latn sg Sango
san_Deva sa Sanskrit
sat_Beng - Santali
sat_Olck - Santali
scn_Latn - Sicilian
shn_Mymr - Shan
sin_Sinh si Sinhala
slk_Latn sk,slo Slovak
slv_Latn sl Slovenian
smo_Latn sm Samoan
sna_Latn sn Shona
snd_Arab sd Sindhi
som_Latn so Somali
sot_Latn st Southern Sotho
spa_Latn es Spanish
als_Latn sq,sqi,alb Tosk Albanian
srd_Latn sc Sardinian
srp_Cyrl sr Serbian
ssw_Latn ss Swati
sun_Latn su Sundanese
swe_Latn sv Swedish
swh_Latn sw,swa Swahili
szl_Latn - Silesian
tam_Taml ta Tamil
taq_Latn - Tamasheq
taq_Tfng - Tamasheq
tat_Cyrl tt Tatar
tel_Telu te Telugu
tgk_Cyrl tg Tajik
tgl_Latn tl,fil Tagalog
tha_Thai th Thai
tir_Ethi ti Tigrinya
tpi_Latn - Tok Pisin
tsn_Latn tn Tswana
tso_Latn ts Tsonga
tuk_Latn tk Turkmen
tum_Latn - Tumbuka
tur_Latn tr Turkish
twi_Latn tw Twi
tzm_Tfng - Central Atlas Tamazight
uig_Arab ug Uyghur
ukr_Cyrl uk,ua Ukrainian
umb_Latn - Umbundu
urd_Arab ur Urdu
uzn_Latn uz,uzb Northern Uzbek
vec_Latn - Venetian
vie_Latn vi Vietnamese
war_Latn - Waray
wol_Latn wo Wolof
xho_Latn xh Xhosa
ydd_Hebr yi,yid Eastern Yiddish
yor_Latn yo Yoruba
yue_Hant - Yue Chinese
zho_Hans zh,chi,cn Simplified Chinese
zho_Hant zh,chi,cn Traditional Chinese
zsm_Latn ms,msa Standard Malay
zul_Latn zu Zulu
"""
