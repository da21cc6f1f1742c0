from __future__ import annotations

from pathlib import Path

import pytest
from fairseq2.file_system import NativeLocalFileSystem
from fairseq2.utils.config import StandardConfigMerger, StandardConfigProcessor
from fairseq2.utils.yaml import RuamelYamlLoader

from fairseq2_jest.cli.layers import lay_over, read_layer
from fairseq2_jest.cli.usage import UsageError

LOADER = RuamelYamlLoader(NativeLocalFileSystem())

BASE = {"shape": {"name": "circle", "config": {"radius": 2.0}}, "model": {"name": "a", "arch": "b"}}


def lay(layer: object, base: object = BASE) -> object:
    return lay_over(base, layer, StandardConfigMerger())


@pytest.mark.parametrize(
    "layer", [{"shape": {"name": "square"}}, {"shape": {"_set_": {"name": "square"}}}]
)
def test_new_component_name_resets_its_config(layer: object) -> None:
    assert lay(layer) == {**BASE, "shape": {"name": "square", "config": {}}}


def test_new_name_keeps_the_config_that_comes_with_it() -> None:
    merged = lay({"shape": {"_set_": {"name": "square"}, "config": {"_set_": {"side": 3}}}})

    assert merged == {**BASE, "shape": {"name": "square", "config": {"side": 3}}}


def test_same_name_keeps_the_config() -> None:
    assert lay({"shape": {"name": "circle"}}) == BASE


def test_names_without_config_are_no_components() -> None:
    assert lay({"model": {"name": "c"}}) == {**BASE, "model": {"name": "c", "arch": "b"}}


def test_nested_component_is_reset() -> None:
    base = {"generator": {"name": "beam", "config": {"algo": BASE["shape"], "size": 5}}}

    assert lay({"generator": {"config": {"algo": {"name": "x"}}}}, base) == {
        "generator": {"name": "beam", "config": {"algo": {"name": "x", "config": {}}, "size": 5}}
    }


def test_merging_leaves_the_base_alone() -> None:
    before = repr(BASE)

    lay({"shape": {"name": "square"}})

    assert repr(BASE) == before


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "does not exist"),
        ("", "must hold one YAML mapping"),
        ("- 1\n", "must hold one YAML mapping"),
        ("a: 1\n---\nb: 2\n", "must hold one YAML mapping"),
        ("a: [1\nb: 2\n", "line 2"),
    ],
)
def test_bad_file_is_named(text: str | None, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"

    if text is not None:
        file.write_text(text)

    with pytest.raises(UsageError, match=r"config\.yaml") as info:
        read_layer(file, LOADER, StandardConfigProcessor([]))

    assert sentence in str(info.value)
    assert "\n" not in str(info.value)


def test_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"

    file.write_bytes(b"a: \xff\n")

    with pytest.raises(UsageError, match=r"config\.yaml cannot be read|is not valid YAML"):
        read_layer(file, LOADER, StandardConfigProcessor([]))


def test_dir_is_the_folder_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"

    file.write_text("output: ${dir}/x\n")

    layer = read_layer(file, LOADER, StandardConfigProcessor([]))

    assert layer == {"output": f"{tmp_path}/x"}
