"""Models by the name of a folder or of a repository on the hub."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq2.assets import AssetDownloadError, AssetStore
from fairseq2.data.tokenizers import load_tokenizer
from fairseq2.models import load_model
from fairseq2.runtime.dependency import DependencyResolver
from safetensors.torch import load_file

from fairseq2_jest.models.errors import ModelError
from tests.hugging_face import make_folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, resolver: object) -> Path:
    return make_folder(tmp_path_factory.mktemp("base"), "cc25", shuffled=True)


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "model"

    shutil.copytree(base, folder)

    return folder


def edit(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def assert_same_model(folder: Path | str, base: Path) -> None:
    expected = load_model(str(base)).state_dict()

    actual = load_model(str(folder)).state_dict()

    assert actual.keys() == expected.keys()

    for name, weight in expected.items():
        assert torch.equal(weight, actual[name]), name


def test_shards_are_read_through_their_index(copy: Path, base: Path) -> None:
    import transformers

    (copy / "model.safetensors").unlink()

    native = transformers.MBartForConditionalGeneration.from_pretrained(base)
    native.save_pretrained(copy, max_shard_size="60KB")

    assert len(list(copy.glob("model-*.safetensors"))) > 2

    assert_same_model(copy, base)

    # What lies beside and is not in the index is not read.
    (copy / "model-old.safetensors").write_bytes(b"")

    assert_same_model(copy, base)

    sorted(copy.glob("model-0*.safetensors"))[1].unlink()

    with pytest.raises(ModelError, match="which is not there: get the file"):
        load_model(str(copy))


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_weights_are_read(copy: Path, base: Path, zipped: bool) -> None:
    weights = load_file(copy / "model.safetensors")

    table = weights["model.shared.weight"]

    # As the files of old hold it.
    weights |= {f"model.{side}.embed_tokens.weight": table for side in ("encoder", "decoder")}
    weights["lm_head.weight"] = table

    torch.save(weights, copy / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)

    # Safetensors come first.
    (copy / "pytorch_model.bin").rename(copy / "x")
    (copy / "pytorch_model.bin").write_bytes(b"damaged")

    assert_same_model(copy, base)

    (copy / "x").rename(copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()

    assert_same_model(copy, base)

    weights["lm_head.weight"] = table + 1.0

    torch.save(weights, copy / "pytorch_model.bin")

    with pytest.raises(ModelError, match="different tables for input and output"):
        load_model(str(copy))


def test_a_relative_name_and_a_home(
    copy: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy.parent)
    monkeypatch.setenv("HOME", str(copy.parent))

    assert_same_model("./model", base)
    assert_same_model("~/model", base)
    assert_same_model(f"../{copy.parent.name}/model", base)


def test_what_is_not_a_path_is_left_to_cards(
    resolver: DependencyResolver, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = resolver.resolve(AssetStore)

    monkeypatch.chdir(copy.parent)

    assert store.maybe_retrieve_card("model") is None
    assert store.maybe_retrieve_card("no/folder") is None
    assert store.retrieve_card("mbart-large-50").field("model_family").value == "mbart"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"model_type": "t5"}, "is of a model of the type 't5', but only mbart and m2m_100"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings of .* is false"),
        ({"activation_function": "silu"}, "activation_function of .* is silu"),
        ({"model_type": "m2m_100"}, "activation_function of .* is gelu"),
        ({"model_type": "m2m_100", "activation_function": "relu"}, "pad_token_id of .* is "),
    ],
)
def test_models_that_are_not_supported_are_told(
    values: dict[str, Any], sentence: str, copy: Path
) -> None:
    edit(copy / "config.json", **values)

    with pytest.raises(ModelError, match=sentence):
        load_model(str(copy))


def test_what_is_missing_is_told(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model"):
        load_model(str(tmp_path))

    with pytest.raises(ModelError, match="is not a folder"):
        load_model(f"{copy}s")

    (copy / "tokenizer.json").unlink()

    with pytest.raises(ModelError, match="holds no tokenizer"):
        load_tokenizer(str(copy))

    (copy / "model.safetensors").unlink()

    with pytest.raises(ModelError, match="holds no weights"):
        load_model(str(copy))

    (copy / "model.safetensors").write_bytes(b"x" * 100)

    with pytest.raises(ModelError, match="is not a valid safetensors file"):
        load_model(str(copy))


class Hub:
    """Stands in for the hub: repositories are folders, and what is fetched is written down."""

    def __init__(self, repos: dict[str, Path], cache: Path) -> None:
        self.repos = repos
        self.cache = cache
        self.calls: list[tuple[str, str | None]] = []

    def snapshot_download(
        self,
        repo: str,
        *,
        revision: str | None,
        allow_patterns: list[str],
        local_files_only: bool,
        force_download: bool,
    ) -> str:
        from fnmatch import fnmatch

        if repo not in self.repos:
            raise OSError("There is no network.")

        self.calls.append((repo, revision))

        folder = self.cache / repo.replace("/", "--") / "c0ffee"
        folder.mkdir(parents=True, exist_ok=True)

        for file in self.repos[repo].iterdir():
            if any(fnmatch(file.name, pattern) for pattern in allow_patterns):
                shutil.copy(file, folder)

        return str(folder)


@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("name", ["hg://owner/name", "hf://owner/name"])
def test_a_repository_of_the_hub(
    name: str,
    pickled: bool,
    copy: Path,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if pickled:
        torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")

        (copy / "model.safetensors").unlink()

    hub = Hub({"owner/name": copy}, tmp_path / "cache")

    monkeypatch.setattr("huggingface_hub.snapshot_download", hub.snapshot_download)

    assert_same_model(f"{name}?revision=v{pickled}{name[:2]}", base)

    # What the name says at first, and then the commit that this was.
    assert hub.calls[0] == ("owner/name", f"v{pickled}{name[:2]}")
    assert {revision for _, revision in hub.calls[1:]} == {"c0ffee"}

    assert load_tokenizer(f"{name}?revision=v{pickled}{name[:2]}").vocab_info.size > 400

    with pytest.raises(AssetDownloadError, match="It is not there or cannot be reached"):
        load_model("hg://owner/other")


def test_names_of_the_hub_have_a_form(resolver: DependencyResolver) -> None:
    for name in ("hg://owner", "hg://a/b/c", "hg://a/b?c=d", "hg://../x?revision=", "hf:///b"):
        with pytest.raises(ModelError, match="is not of the form"):
            load_model(name)
