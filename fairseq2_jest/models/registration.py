"""What the extension registers of mBART and of Hugging Face's models."""

from __future__ import annotations

from fairseq2.assets import AssetDownloadManager, AssetMetadataSource
from fairseq2.composition import register_model_family, register_tokenizer_family
from fairseq2.model_checkpoint import ModelCheckpointLoader
from fairseq2.models.hg import HG_FAMILY, HuggingFaceConverter
from fairseq2.models.mistral import MISTRAL_FAMILY
from fairseq2.models.nllb import NLLB_FAMILY
from fairseq2.models.transformer import (
    TransformerModel,
    apply_ac_to_transformer,
    apply_fsdp_to_transformer,
)
from fairseq2.runtime.dependency import DependencyContainer

from fairseq2_jest.models.hugging_face.cards import ModelFolderSource
from fairseq2_jest.models.hugging_face.causal import MistralConverter, WrappedConverter
from fairseq2_jest.models.hugging_face.hub import HuggingFaceModelManager
from fairseq2_jest.models.hugging_face.nllb import (
    NLLB_TOKENIZER_FAMILY,
    HuggingFaceNllbTokenizer,
    HuggingFaceNllbTokenizerConfig,
    NllbConverter,
    load_nllb_tokenizer,
)
from fairseq2_jest.models.hugging_face.weights import TranslationCheckpointLoader
from fairseq2_jest.models.mbart import (
    MBART_FAMILY,
    MBartConfig,
    MBartTokenizer,
    MBartTokenizerConfig,
    compile_mbart,
    convert_mbart_state_dict,
    create_mbart_model,
    load_mbart_tokenizer,
    register_mbart_configs,
)
from fairseq2_jest.models.mbart.interop import MBartConverter


def register_translation_models(container: DependencyContainer) -> None:
    """Registers the family ``mbart``, mBART and NLLB from and to Hugging Face, and Mistral and
    Hugging Face's own models to there."""
    register_model_family(
        container,
        MBART_FAMILY,
        kls=TransformerModel,
        config_kls=MBartConfig,
        factory=create_mbart_model,
        state_dict_converter=convert_mbart_state_dict,
        compiler=compile_mbart,
        fsdp_applier=apply_fsdp_to_transformer,
        layerwise_ac_applier=apply_ac_to_transformer,
    )

    register_mbart_configs(container)

    register_tokenizer_family(
        container,
        MBART_FAMILY,
        kls=MBartTokenizer,
        config_kls=MBartTokenizerConfig,
        loader=load_mbart_tokenizer,
    )

    register_tokenizer_family(
        container,
        NLLB_TOKENIZER_FAMILY,
        kls=HuggingFaceNllbTokenizer,
        config_kls=HuggingFaceNllbTokenizerConfig,
        loader=load_nllb_tokenizer,
    )

    container.register_type(HuggingFaceConverter, MBartConverter, key=MBART_FAMILY)
    container.register_type(HuggingFaceConverter, NllbConverter, key=NLLB_FAMILY)
    container.register_type(HuggingFaceConverter, MistralConverter, key=MISTRAL_FAMILY)
    container.register_type(HuggingFaceConverter, WrappedConverter, key=HG_FAMILY)

    container.collection.register_type(ModelCheckpointLoader, TranslationCheckpointLoader)
    container.collection.register_type(AssetMetadataSource, ModelFolderSource)
    container.collection.register_type(AssetDownloadManager, HuggingFaceModelManager)
