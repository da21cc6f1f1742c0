"""A program in the place of COMET's interpreter: it speaks the worker's protocol, or breaks it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

_PROGRAM = """#!{python}
import json, os, sys, time
from pathlib import Path

folder = Path(__file__).parent
plan = json.loads((folder / "plan.json").read_text())

def say(answer):
    print(answer if isinstance(answer, str) else json.dumps(answer), flush=True)

def count(name):
    file = folder / name
    number = 1 + (int(file.read_text()) if file.exists() else 0)
    file.write_text(str(number))
    return number

def overlap(sample):
    words, wanted = set(sample["mt"].split()), set(sample.get("ref", sample["src"]).split())
    return len(words & wanted) / max(1, len(words | wanted))

start = count("starts")
(folder / "environment.json").write_text(json.dumps(dict(os.environ)))

for line in sys.stdin:
    request = json.loads(line)
    if request["request"] == "load":
        (folder / "load.json").write_text(line)
        if "dies_at_load" in plan:
            print("Killed for want of memory.", file=sys.stderr)
            sys.exit(1)
        revisions = plan.get("revisions", ["r1"])
        say(plan.get("loaded", {{
            "model": request["model"],
            "revision": revisions[min(start, len(revisions)) - 1],
            "version": plan.get("version", "2.2.7"),
            "precision": request["precision"],
            "device": "cpu",
            "needs_references": plan.get("needs_references", True),
        }}))
        continue
    number = count("requests")
    with (folder / "samples.jsonl").open("a") as stream:
        stream.write(json.dumps(request["samples"]) + "\\n")
    if number in plan.get("dies_at", []):
        print("RuntimeError: out of memory", file=sys.stderr)
        os._exit(9)
    if "hangs" in plan:
        time.sleep(60)
    if "says" in plan:
        say(plan["says"])
    elif "scores" in plan:
        score = plan["scores"][min(number, len(plan["scores"])) - 1]
        say({{"scores": [score] * len(request["samples"])}})
    else:
        say({{"scores": [overlap(sample) for sample in request["samples"]]}})
"""


def write_fake(folder: Path, **plan: object) -> Path:
    """Writes the program, and returns what ``python`` of a config is to name.

    Without a plan it scores by the words that a translation shares with its reference. ``scores``
    are for one request after the other, ``revisions`` for one start after the other, ``dies_at``
    are numbers of requests; what it was sent is in ``samples.jsonl``, a line for each request.
    """
    folder.mkdir(parents=True, exist_ok=True)

    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")

    program = folder / "python"
    program.write_text(_PROGRAM.format(python=sys.executable), encoding="utf-8")
    program.chmod(0o755)

    return program


def overlap(translation: str, reference: str) -> float:
    """The score that the program gives."""
    words, wanted = set(translation.split()), set(reference.split())

    return len(words & wanted) / max(1, len(words | wanted))


def sent(program: Path) -> list[list[dict[str, str]]]:
    """The samples of each request."""
    lines = (program.parent / "samples.jsonl").read_text(encoding="utf-8").splitlines()

    return [json.loads(line) for line in lines]


def count(program: Path, name: str) -> int:
    """How many ``starts`` or ``requests`` there were."""
    return int((program.parent / name).read_text())
