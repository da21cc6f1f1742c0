"""Handing a command over to fairseq2, with its config made and checked."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from fairseq2.logging import log
from fairseq2.recipe.base import Recipe, RecipeContext
from fairseq2.recipe.cli import main as run_main
from fairseq2.runtime.dependency import DependencyContainer
from fairseq2.task import Task
from torch.nn import Module
from typing_extensions import override

from fairseq2_jest.cli.assets import check_paths
from fairseq2_jest.cli.commands import Command, load_object
from fairseq2_jest.cli.config import ConfigSources, load_config, with_defaults
from fairseq2_jest.cli.downloads import check_downloads
from fairseq2_jest.cli.errors import own_errors
from fairseq2_jest.cli.output import check_writable
from fairseq2_jest.cli.presets import Preset
from fairseq2_jest.cli.redact import redact_environment
from fairseq2_jest.cli.sentences import told_in_one_sentence
from fairseq2_jest.cli.usage import UsageError
from fairseq2_jest.files import replacing
from fairseq2_jest.report.runs import find_finetune


def launch(command: Command, preset: Preset | None, options: Namespace) -> None:
    """Run ``command`` through fairseq2's own program.

    :raises UsageError: If the config has a fault.
    """
    recipe = load_object(command.recipe)()

    with load_config(recipe, _sources(preset, options)) as (config, resolver):
        if not options.dump_config:
            check_paths(config, resolver)

    output_dir = options.output_dir

    if output_dir is None:
        output_dir = Path("runs", preset.name if preset is not None else command.name)

        if not options.dump_config and _is_first_rank():
            print(f"Output goes to {output_dir}; give OUT to choose another.", file=sys.stderr)

    if not options.dump_config:
        if command.name != "finetune":
            _check_no_finetune(output_dir)

        check_writable(output_dir, "The output directory")

        if options.checkpoint_dir is not None:
            check_writable(options.checkpoint_dir, "The checkpoint directory")

    argv = [f"fairseq2 mt {command.name}", str(output_dir)]

    argv += [
        f"--{name.replace('_', '-')}"
        for name in ("dump_config", "no_rich", "no_exit_on_error")
        if getattr(options, name)
    ]

    if options.checkpoint_dir is not None:
        argv += ["--checkpoint-dir", str(options.checkpoint_dir)]

    redact_environment()

    # fairseq2 reads its arguments from here only.
    sys.argv = argv

    run_main(
        _Launched(
            recipe,
            config,
            config_before=_ConfigFile(output_dir),
            tell=not options.no_exit_on_error,
        )
    )


def check(command: Command, preset: Preset | None, options: Namespace) -> None:
    """Load the config of ``command``, let the command check it, and print what it says.

    :raises UsageError: If the config or what it names has a fault.
    """
    recipe = load_object(command.recipe)()

    with load_config(recipe, _sources(preset, options)) as (config, resolver):
        check_paths(config, resolver)

        try:
            with told_in_one_sentence(config):
                lines: list[str] = list(load_object(command.check)(config))

                # Last, since it may wait for the network.
                check_downloads(config, resolver)
        except own_errors() as ex:
            raise UsageError(str(ex)) from ex

    print("\n".join(lines))


def _sources(preset: Preset | None, options: Namespace) -> ConfigSources:
    return ConfigSources(
        preset=None if preset is None else preset.file,
        files=options.config_files,
        overrides=options.config_overrides or (),
    )


def _check_no_finetune(output_dir: Path) -> None:
    """
    :raises UsageError: fairseq2 would write the config of another command over that of a run, or
        before it.
    """
    if run := find_finetune(output_dir):
        raise UsageError(
            f"{run} is a run of mt finetune, whose config.yaml would be lost or hidden behind "
            f"another; name another output directory than {output_dir}."
        )


class _ConfigFile:
    """The config that fairseq2 wrote to an output directory the last time, if it did."""

    def __init__(self, output_dir: Path) -> None:
        self._file = output_dir / "config.yaml"

        self._content: bytes | None = None

        # There is none, or fairseq2 will say what is wrong with it.
        with suppress(OSError):
            self._content = self._file.read_bytes()

    @contextmanager
    def restored_on_error(self) -> Iterator[None]:
        """Whoever is refused leaves the config of the results that are there."""
        try:
            yield
        except BaseException:
            if self._content is not None and _is_first_rank():
                with replacing(self._file) as scratch:
                    scratch.write_bytes(self._content)

            raise


def _is_first_rank() -> bool:
    return os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"


class _Launched(Recipe):
    """A recipe with ``config`` as its defaults, which says where its run is.

    :param config_before: What is in the place of its config.
    :param tell: Whether an error of fairseq2 that the user can mend becomes one sentence.
    """

    def __init__(
        self, inner: Recipe, config: object, *, config_before: _ConfigFile, tell: bool
    ) -> None:
        self._inner = inner
        self._config = config
        self._config_before = config_before
        self._tell = tell
        self._config_kls = with_defaults(config)

    @override
    def register(self, container: DependencyContainer) -> None:
        self._inner.register(container)

    @override
    def create_task(self, context: RecipeContext) -> Task:
        log.info("Run directory: {}", context.output_dir)

        # Here and not around the whole, since fairseq2 itself ends the process at an error.
        told = told_in_one_sentence(self._config) if self._tell else nullcontext()

        # fairseq2 has written the config already.
        with told, self._config_before.restored_on_error():
            return self._inner.create_task(context)

    @override
    def setup_model(self, context: RecipeContext, model: Module, newly_initialized: bool) -> Module:
        return self._inner.setup_model(context, model, newly_initialized)

    @override
    def setup_reference_model(
        self, context: RecipeContext, model: Module, section_name: str
    ) -> Module:
        return self._inner.setup_reference_model(context, model, section_name)

    @property
    @override
    def config_kls(self) -> type[object]:
        return self._config_kls

    @override
    def has_static_autograd_graph(self, context: RecipeContext) -> bool:
        return self._inner.has_static_autograd_graph(context)
