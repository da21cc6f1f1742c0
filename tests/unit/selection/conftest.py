from __future__ import annotations

import pytest

from fairseq2_jest.corpus.dataset import Corpus
from tests.unit.selection.readers import labelled_corpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The corpus that :func:`labelled_corpus` makes, not to be changed."""
    return labelled_corpus(tmp_path_factory.mktemp("corpus"))
