"""The ``fairseq2`` program. It parses, finds the recipe and hands over to fairseq2.

fairseq2 and torch are imported after parsing only: they take ten seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fairseq2_jest.cli.commands import COMMANDS, TOOLS, Command, load_object
from fairseq2_jest.cli.near import did_you_mean
from fairseq2_jest.cli.usage import UsageError

_GROUPS = {
    "mt": "machine translation: fine-tuning and what belongs to it",
    "assets": "fairseq2's asset cards: list and show models, tokenizers, data sets",
}

_OTHER_COMMANDS = {
    "presets": "list the presets of every command",
    "check": "validate a config and its corpora without starting a run",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program with ``argv``, by default that of the process.

    :raises SystemExit: Always after an error, with 2 if the user can mend it.
    """
    args = list(sys.argv[1:] if argv is None else argv)

    try:
        _dispatch(args)
    except UsageError as ex:
        print(f"fairseq2: {ex}", file=sys.stderr)

        sys.exit(2)


def _dispatch(args: list[str]) -> None:
    if not args or args[0] in ("-h", "--help"):
        print(_listing("fairseq2 GROUP ...", "groups", _GROUPS))
    elif args[0] == "--version":
        from fairseq2_jest import __version__

        print(f"fairseq2-jest {__version__}")
    elif args[0] == "mt":
        _dispatch_mt(args[1:])
    elif args[0] == "assets":
        _run_assets(args[1:])
    else:
        tail = did_you_mean(args[0], _GROUPS)

        raise UsageError(f"{args[0]} is not a group of commands{tail}")


def _dispatch_mt(args: list[str]) -> None:
    recipes, tools = {c.name: c for c in COMMANDS}, {t.name: t for t in TOOLS}

    if not args or args[0] in ("-h", "--help"):
        listed = {c.name: c.help for c in COMMANDS} | {t.name: t.help for t in TOOLS}

        listed |= _OTHER_COMMANDS

        print(_listing("fairseq2 mt COMMAND ...", "commands", listed))
        print("\nfairseq2 mt COMMAND --help has the options of a command.")
    elif args[0] in recipes:
        _run_recipe(recipes[args[0]], args[1:])
    elif args[0] in tools:
        load_object(tools[args[0]].run)(args[1:])
    elif args[0] == "presets":
        _print_presets(args[1:])
    elif args[0] == "check":
        _check(args[1:])
    else:
        tail = did_you_mean(args[0], [*recipes, *tools, *_OTHER_COMMANDS])

        raise UsageError(f"{args[0]} is not a command of fairseq2 mt{tail}")


def _listing(usage: str, title: str, entries: dict[str, str]) -> str:
    width = max(len(name) for name in entries)

    lines = [f"  {name:<{width}}  {text}" for name, text in entries.items()]

    return "\n".join([f"usage: {usage}", "", f"{title}:", *lines])


def _print_presets(args: list[str]) -> None:
    from fairseq2_jest.cli.presets import list_presets

    if args and args[0] in ("-h", "--help"):
        print("usage: fairseq2 mt presets\n\nList the presets of every command.")

        return

    if args:
        raise UsageError(f"fairseq2 mt presets takes no arguments, but was given {args[0]}.")

    for command in COMMANDS:
        presets = {p.name: p.description for p in list_presets(command.name)}

        if presets:
            usage = f"fairseq2 mt {command.name} [OUT] --preset NAME"

            print(_listing(usage, f"presets of {command.name}", presets))


def _run_recipe(command: Command, args: list[str]) -> None:
    from fairseq2_jest.cli.arguments import command_parser
    from fairseq2_jest.cli.libsndfile import preload
    from fairseq2_jest.cli.presets import find_preset

    options = command_parser(command).parse_args(args)

    preset = find_preset(command.name, options.preset) if options.preset else None

    preload()

    from fairseq2_jest.cli.launch import launch

    launch(command, preset, options)


def _check(args: list[str]) -> None:
    from fairseq2_jest.cli.arguments import check_parser
    from fairseq2_jest.cli.libsndfile import preload
    from fairseq2_jest.cli.presets import find_preset

    options = check_parser(COMMANDS).parse_args(args)

    command = next(c for c in COMMANDS if c.name == options.command)

    preset = find_preset(command.name, options.preset) if options.preset else None

    preload()

    from fairseq2_jest.cli.launch import check

    check(command, preset, options)


def _run_assets(args: list[str]) -> None:
    from runpy import run_module

    from fairseq2_jest.cli.libsndfile import preload

    preload()

    sys.argv = ["fairseq2 assets", *args]

    run_module("fairseq2.assets", run_name="__main__")
