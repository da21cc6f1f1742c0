"""mBART as a fairseq2 model family, in the roles that fairseq2's own families have."""

from __future__ import annotations

from fairseq2_jest.models.mbart.config import MBART_FAMILY as MBART_FAMILY
from fairseq2_jest.models.mbart.config import MBartConfig as MBartConfig
from fairseq2_jest.models.mbart.config import register_mbart_configs as register_mbart_configs
from fairseq2_jest.models.mbart.factory import MBartFactory as MBartFactory
from fairseq2_jest.models.mbart.factory import compile_mbart as compile_mbart
from fairseq2_jest.models.mbart.factory import create_mbart_model as create_mbart_model
from fairseq2_jest.models.mbart.hub import get_mbart_model_hub as get_mbart_model_hub
from fairseq2_jest.models.mbart.hub import get_mbart_tokenizer_hub as get_mbart_tokenizer_hub
from fairseq2_jest.models.mbart.interop import convert_mbart_state_dict as convert_mbart_state_dict
from fairseq2_jest.models.mbart.tokenizer import MBartTokenizer as MBartTokenizer
from fairseq2_jest.models.mbart.tokenizer import MBartTokenizerConfig as MBartTokenizerConfig
from fairseq2_jest.models.mbart.tokenizer import load_mbart_tokenizer as load_mbart_tokenizer
