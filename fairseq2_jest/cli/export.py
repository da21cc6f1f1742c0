"""``fairseq2 mt export``: a model as a folder for transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fairseq2_jest.cli.arguments import export_parser
from fairseq2_jest.cli.output import check_writable
from fairseq2_jest.cli.usage import UsageError


def run(args: Sequence[str]) -> None:
    """Export what ``args`` name.

    :raises UsageError: It cannot be exported, or an argument has a fault.
    """
    options = export_parser().parse_args(args)

    out: Path = options.output_dir

    path = Path(options.model).expanduser()

    is_run = path.is_dir() and ((path / "config.yaml").is_file() or any(path.glob("*/config.yaml")))

    if out.exists():
        raise UsageError(f"{out} is there already; name a new folder.")

    for_runs = options.step is not None or options.checkpoint_dir is not None or options.adapter

    if for_runs and not is_run:
        raise UsageError(
            f"--step, --checkpoint-dir and --adapter are for runs, and {options.model} is none; "
            f"mend the path, or leave them out."
        )

    check_writable(out.absolute().parent, "The folder")

    from fairseq2_jest.cli.libsndfile import preload

    preload()

    # fairseq2 is imported behind this, which takes seconds.
    from fairseq2_jest.cli.errors import own_errors
    from fairseq2_jest.cli.sentences import told_in_one_sentence
    from fairseq2_jest.recipes.export.export import export_model, export_run
    from fairseq2_jest.report.errors import ReportError

    try:
        with told_in_one_sentence(None):
            if is_run:
                step = export_run(
                    path,
                    out,
                    step=options.step,
                    checkpoint_dir=options.checkpoint_dir,
                    adapter_alone=options.adapter,
                )

                print(f"Step {step:,} of {path} is in {out}.")
            else:
                export_model(options.model, out)

                print(f"{options.model} is in {out}.")
    except ReportError as ex:
        raise UsageError(str(ex)) from ex
    except own_errors() as ex:
        raise UsageError(str(ex)) from ex
