"""`fairseq2 mt check`: what a fine-tune would read, without starting one."""

from __future__ import annotations

from fairseq2.data.tokenizers import load_tokenizer
from fairseq2.recipe.component import ComponentManager
from fairseq2.runtime.dependency import get_dependency_resolver

from fairseq2_jest.corpus.dataset import ParallelText
from fairseq2_jest.recipes.finetune.config import FinetuneConfig
from fairseq2_jest.recipes.reading import check_languages
from fairseq2_jest.selection.selector import BatchSelector
