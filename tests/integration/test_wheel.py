"""The package as others get it: a wheel, installed outside of the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from tests.integration.runs import TINY, chosen
from tests.repository import REPOSITORY

PRESETS = sorted(f.stem for f in REPOSITORY.glob("recipes/finetune/*.yaml"))
ALL_PRESETS = [
    *PRESETS,
    *sorted(f.stem for f in REPOSITORY.glob("recipes/embed/*.yaml")),
    *sorted(f.stem for f in REPOSITORY.glob("recipes/select/*.yaml")),
    *sorted(f.stem for f in REPOSITORY.glob("recipes/backtranslate/*.yaml")),
    *sorted(f.stem for f in REPOSITORY.glob("recipes/translate/*.yaml")),
    *sorted(f.stem for f in REPOSITORY.glob("recipes/evaluate/*.yaml")),
]
CARDS = sorted(f.name for f in REPOSITORY.glob("assets/*.yaml"))


@dataclass(frozen=True, kw_only=True)
class Installed:
    bin: Path
    cwd: Path

    def start(self, program: str, *args: str) -> subprocess.Popen[str]:
        env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

        # What is trained at the first use of the built-in corpus is trained once for all runs.
        env["FAIRSEQ2_JEST_CACHE_DIR"] = str(self.cwd / "cache")

        return subprocess.Popen(
            [str(self.bin / program), *args],
            cwd=self.cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, program: str, *args: str) -> subprocess.CompletedProcess[str]:
        with self.start(program, *args) as process:
            out, err = process.communicate()

        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def build(form: str, source: Path, target: Path) -> Path:
    # The interpreter's own hatchling, no isolation: nothing is downloaded.
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", form, "-d", str(target)],
        cwd=source, check=True, capture_output=True,
    )  # fmt: skip

    (file,) = target.iterdir()

    return file


@pytest.fixture(scope="module", params=["wheel", "wheel of sdist"])
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    tmp_path = tmp_path_factory.mktemp("installed")

    source = REPOSITORY

    if request.param == "wheel of sdist":
        archive = build("sdist", REPOSITORY, tmp_path / "sdist")

        subprocess.run(["tar", "-xzf", str(archive), "-C", str(tmp_path)], check=True)

        source = tmp_path / archive.name.removesuffix(".tar.gz")

    wheel = build("wheel", source, tmp_path / "wheel")

    venv.create(tmp_path / "venv", symlinks=True)

    folder = next(tmp_path.glob("venv/lib/python*/site-packages"))

    python = tmp_path / "venv" / "bin" / "python"

    # What the package needs is found in the environment of the tests; paths named in a .pth file
    # do not have their own .pth files read, so an editable install there stays out of sight.
    own = {str(p) for p in sys.path if p.endswith("site-packages")}

    folder.joinpath("dependencies.pth").write_text("\n".join(sorted(own)))

    # oneTBB, which fairseq2 needs, is not among the packages but beside them. Not libsndfile, which
    # the program is to find by itself.
    for library in Path(sys.prefix, "lib").glob("libtbb*"):
        folder.parents[1].joinpath(library.name).symlink_to(library)

    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps",
         "--no-index", "--ignore-installed", str(wheel)],
        check=True, capture_output=True,
    )  # fmt: skip

    cwd = tmp_path / "elsewhere"

    cwd.mkdir()

    return Installed(bin=python.parent, cwd=cwd)


def test_package_is_the_installed_one(installed: Installed) -> None:
    result = installed.run("python", "-c", "import fairseq2_jest; print(fairseq2_jest.__file__)")

    assert Path(result.stdout.strip()).is_relative_to(installed.bin.parent / "lib")


@pytest.mark.parametrize("program", ["fairseq2", "fairseq2-jest"])
def test_scripts_list_presets_and_commands(program: str, installed: Installed) -> None:
    presets = installed.run(program, "mt", "presets")

    names = [line.split()[0] for line in presets.stdout.splitlines() if line.startswith("  ")]

    assert PRESETS
    assert names == ALL_PRESETS
    assert "finetune" in installed.run(program, "mt", "--help").stdout


def test_module_is_the_program_too(installed: Installed) -> None:
    by_module = installed.run("python", "-m", "fairseq2_jest", "mt", "--help")

    assert by_module.stdout == installed.run("fairseq2", "mt", "--help").stdout


def test_unknown_preset_is_one_sentence(installed: Installed) -> None:
    result = installed.run("fairseq2", "mt", "finetune", "--preset", PRESETS[0] + "x")

    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert PRESETS[0] in result.stderr


def test_presets_and_cards_are_data_of_the_package(installed: Installed) -> None:
    code = (
        "from importlib.resources import files\n"
        "for name in ('assets', 'recipes.finetune'):\n"
        "    folder = files(f'fairseq2_jest._data.{name}')\n"
        "    print(*sorted(f.name for f in folder.iterdir() if f.name.endswith('.yaml')))\n"
        "import recipes\n"
    )

    result = installed.run("python", "-c", code)

    assert result.stdout.splitlines() == [
        " ".join(CARDS),
        " ".join(sorted(f"{p}.yaml" for p in PRESETS)),
    ]
    assert "No module named 'recipes'" in result.stderr


def test_both_scripts_are_one_program(installed: Installed) -> None:
    one, other = (
        installed.bin.joinpath(name).read_text() for name in ("fairseq2", "fairseq2-jest")
    )

    assert one == other


# It takes half a minute, and what it rests on is in both wheels, as the tests above see.
@pytest.mark.parametrize("installed", ["wheel"], indirect=True)
def test_fine_tunes_with_and_without_out(installed: Installed) -> None:
    tiny = ("--preset", "demo-jest", "--no-rich", "--config", *TINY, "regime.num_steps=2")

    # At the same time: a third of it is imports. Of what is trained at the first use of the
    # built-in corpus, one waits for the other.
    started = {
        "own/out": installed.start("fairseq2-jest", "mt", "finetune", "own/out", *tiny),
        "runs/demo-jest": installed.start("fairseq2", "mt", "finetune", *tiny),
    }

    for out, process in started.items():
        _, err = process.communicate()

        assert process.returncode == 0, err[-2000:]

        said = f"Output goes to {out}; give OUT to choose another."

        assert (err.splitlines()[0] == said) is (out == "runs/demo-jest")
        assert f"Run directory: {installed.cwd / out}" in err

        log = chosen(installed.cwd / out)

        assert [(line["step"], len(cast("list[int]", line["rows"]))) for line in log] == [
            (1, 12),
            (2, 12),
        ]
        assert list((installed.cwd / out / "checkpoints" / "step_2" / "model").rglob("*.pt"))
