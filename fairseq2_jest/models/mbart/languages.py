"""The languages of mBART, and the other names people give them."""

from __future__ import annotations

from functools import cache
from typing import Final

# One language a line: mBART's code, NLLB's codes, other codes people use, and its English names
# ("/" between several). The first 25 lines are those of mBART-cc25.
_LANGUAGES: Final = """\
ar_AR arb_Arab,arb_Latn ar,ara,arb Arabic/Modern Standard Arabic
cs_CZ ces_Latn cs,ces,cze Czech
de_DE deu_Latn de,deu,ger German
en_XX eng_Latn en,eng English
es_XX spa_Latn es,spa Spanish
et_EE est_Latn et,est Estonian
fi_FI fin_Latn fi,fin Finnish
fr_XX fra_Latn fr,fra,fre French
gu_IN guj_Gujr gu,guj Gujarati
hi_IN hin_Deva hi,hin Hindi
it_IT ita_Latn it,ita Italian
ja_XX jpn_Jpan ja,jpn Japanese
kk_KZ kaz_Cyrl kk,kaz Kazakh
ko_KR kor_Hang ko,kor Korean
lt_LT lit_Latn lt,lit Lithuanian
lv_LV lvs_Latn lv,lvs,lav Latvian/Standard Latvian
my_MM mya_Mymr my,mya,bur Burmese
ne_NP npi_Deva ne,npi,nep Nepali
nl_XX nld_Latn nl,nld,dut Dutch
ro_RO ron_Latn ro,ron,rum Romanian
ru_RU rus_Cyrl ru,rus Russian
si_LK sin_Sinh si,sin Sinhala/Sinhalese
tr_TR tur_Latn tr,tur Turkish
vi_VN vie_Latn vi,vie Vietnamese
zh_CN zho_Hans zh,zho,chi Chinese/Simplified Chinese/Chinese (Simplified)
af_ZA afr_Latn af,afr Afrikaans
az_AZ azj_Latn az,azj,aze Azerbaijani/North Azerbaijani
bn_IN ben_Beng bn,ben Bengali
fa_IR pes_Arab fa,pes,fas,per Persian/Western Persian/Farsi
he_IL heb_Hebr he,heb,iw Hebrew
hr_HR hrv_Latn hr,hrv Croatian
id_ID ind_Latn id,ind Indonesian
ka_GE kat_Geor ka,kat,geo Georgian
km_KH khm_Khmr km,khm Khmer
mk_MK mkd_Cyrl mk,mkd,mac Macedonian
ml_IN mal_Mlym ml,mal Malayalam
mn_MN khk_Cyrl mn,khk,mon Mongolian/Halh Mongolian
mr_IN mar_Deva mr,mar Marathi
pl_PL pol_Latn pl,pol Polish
ps_AF pbt_Arab ps,pbt,pus Pashto/Southern Pashto
pt_XX por_Latn pt,por Portuguese
sv_SE swe_Latn sv,swe Swedish
sw_KE swh_Latn sw,swh,swa Swahili
ta_IN tam_Taml ta,tam Tamil
te_IN tel_Telu te,tel Telugu
th_TH tha_Thai th,tha Thai
tl_XX tgl_Latn tl,tgl,fil Tagalog/Filipino
uk_UA ukr_Cyrl uk,ukr Ukrainian
ur_PK urd_Arab ur,urd Urdu
xh_ZA xho_Latn xh,xho Xhosa
gl_ES glg_Latn gl,glg Galician
sl_SI slv_Latn sl,slv Slovenian/Slovene
"""

MBART_50_LANGUAGES: Final = tuple(line.split(" ")[0] for line in _LANGUAGES.splitlines())
"""The 52 codes of mBART-50, in the order of its published vocabulary."""

MBART_25_LANGUAGES: Final = MBART_50_LANGUAGES[:25]
"""The 25 codes of mBART-cc25, likewise."""


@cache
def mbart_aliases() -> dict[str, str]:
    """What stands for a code: NLLB's code, one without a region or script, a plain name."""
    aliases = {}

    for line in _LANGUAGES.splitlines():
        code, nllb, others, names = line.split(" ", 3)

        for alias in (*nllb.split(","), *others.split(","), *names.split("/")):
            aliases[alias] = code

    return aliases
