"""Writes pairs of the built-in corpus to two aligned files, English and German.

python -m fairseq2_jest.corpus.builtin test 200 test.en test.de
"""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import get_args

from fairseq2_jest.corpus.builtin.config import BuiltinConfig, Part
from fairseq2_jest.corpus.builtin.generation import generate
from fairseq2_jest.files import write_text


def main() -> None:
    parser = ArgumentParser(
        prog="python -m fairseq2_jest.corpus.builtin",
        description=__doc__,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", choices=get_args(Part))
    parser.add_argument("size", type=int, help="the number of pairs")
    parser.add_argument("source", type=Path, help="the file of the English side")
    parser.add_argument("target", type=Path, help="the file of the German side")
    args = parser.parse_args()

    config = BuiltinConfig(part=args.part, size=args.size)

    if errors := config.errors():
        parser.error(errors[0])

    pairs = list(generate(config))

    try:
        write_text(args.source, "".join(f"{pair.source}\n" for pair in pairs))
        write_text(args.target, "".join(f"{pair.target}\n" for pair in pairs))
    except OSError as ex:
        parser.error(f"{args.source} and {args.target} cannot be written ({ex.strerror}).")


if __name__ == "__main__":
    main()
