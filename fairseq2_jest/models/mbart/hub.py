"""mBART's models and tokenizers by the names of their cards."""

from __future__ import annotations

from fairseq2.data.tokenizers import TokenizerHubAccessor
from fairseq2.models import ModelHubAccessor
from fairseq2.models.transformer import TransformerModel

from fairseq2_jest.models.mbart.config import MBART_FAMILY, MBartConfig
from fairseq2_jest.models.mbart.tokenizer import MBartTokenizer, MBartTokenizerConfig

get_mbart_model_hub = ModelHubAccessor(MBART_FAMILY, kls=TransformerModel, config_kls=MBartConfig)

get_mbart_tokenizer_hub = TokenizerHubAccessor(
    MBART_FAMILY, kls=MBartTokenizer, config_kls=MBartTokenizerConfig
)
