"""The languages of a tokenizer: their codes, and the other names that stand for them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Final, final

from fairseq2.error import NotSupportedError

_MAX_NEAR: Final = 5


@final
class LanguageCodes(Collection[str]):
    """The codes of a tokenizer; whatever else stands for one is contained, but not iterated.

    So ``eng_Latn``, ``en`` and ``English`` are all in mBART's languages, which are ``en_XX``, ...
    """

    def __init__(self, codes: Collection[str], aliases: Mapping[str, str] | None = None) -> None:
        """
        :param aliases: What stands for a code; those of codes that are not there are left out.
        """
        self._codes = sorted(codes)

        known = set(codes)

        self._by_name = {
            _fold(alias): code for alias, code in (aliases or {}).items() if code in known
        }

        # A code itself comes before what else may stand for another.
        self._by_name |= {_fold(code): code for code in codes}

    def resolve(self, lang: str) -> str:
        """The code that ``lang`` stands for.

        :raises fairseq2.error.NotSupportedError: None; the near ones are named.
        """
        code = self._by_name.get(_fold(lang))

        if code is not None:
            return code

        close = get_close_matches(_fold(lang), self._by_name, n=_MAX_NEAR, cutoff=0.6)

        near = list(dict.fromkeys(self._by_name[name] for name in close))

        if near:
            mend = f"did you mean {' or '.join(repr(code) for code in near)}?"
        else:
            some = ", ".join(repr(code) for code in self._codes[:_MAX_NEAR])

            mend = f"it knows {len(self)}, such as {some}."

        raise NotSupportedError(f"The tokenizer does not know the language '{lang}': {mend}")

    def __contains__(self, lang: object) -> bool:
        return isinstance(lang, str) and _fold(lang) in self._by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._codes)

    def __len__(self) -> int:
        return len(self._codes)


def _fold(name: str) -> str:
    return re.sub(r"[-\s]", "_", name.casefold())
