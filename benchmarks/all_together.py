"""What the README's commands of "All of it together" come to.

    python -m benchmarks.all_together [--out DIR]

Runs them one after another in ``DIR``, with the programs of this environment. What is complete
there is not made again. The table is stored under ``benchmarks/results/all_together``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks import ROOT
from benchmarks.markdown import markdown_table
from fairseq2_jest.files import write_text

RESULTS = ROOT / "benchmarks" / "results" / "all_together"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.all_together", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / ".demo" / "all_together")
    args = parser.parse_args()

    out: Path = args.out.resolve()

    out.mkdir(parents=True, exist_ok=True)

    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    for command in _commands():
        print(command, flush=True)

        subprocess.run(
            command, shell=True, check=True, cwd=out, env={**os.environ, "PATH": programs}
        )

    text = table(out / "all")

    write_text(RESULTS / "table.md", text + "\n")

    print(f"\n{text}")


def table(folder: Path) -> str:
    """The scores of the two systems, and how much of what was chosen was clean."""
    scores = json.loads((folder / "scores" / "evaluate.json").read_text(encoding="utf-8"))

    labels = [
        label
        for file in (folder / "selected").glob("selected.*.parquet")
        for label in pq.read_table(file, columns=["label"])["label"].to_pylist()
    ]

    share = labels.count("clean") / len(labels)

    rows = [
        [metric["name"], *(f"{metric['systems'][name]['score']:.1f}" for name in scores["systems"])]
        for metric in scores["metrics"]
    ]

    return "\n\n".join(
        [
            markdown_table([f"{scores['lines']} sentences", *scores["systems"]], rows),
            markdown_table(["chosen pairs", "clean"], [[f"{len(labels):,}", f"{share:.0%}"]]),
        ]
    )


def _commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    section = text.partition("## All of it together")[2].partition("\n## ")[0]

    return section.partition("```sh\n")[2].partition("```")[0].splitlines()


if __name__ == "__main__":
    main()
