"""Which kind of model it is."""

from __future__ import annotations

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.device import Device
from fairseq2.models.clm import CausalLM
from fairseq2.models.transformer import TransformerModel
from torch.nn import Module

from fairseq2_jest.influence.decoder_only import DecoderOnly
from fairseq2_jest.influence.encoder_decoder import EncoderDecoder
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.influence.model import PairModel


def create_pair_model(
    model: Module, tokenizer: Tokenizer, *, device: Device, max_num_tokens: int
) -> PairModel:
    """
    :param max_num_tokens: The most tokens in a batch, padding included: of a side for an
        encoder-decoder model, of prompt and response together for a decoder-only one.

    :raises EmbeddingError: The tokenizer does not suit the model.
    :raises InfluenceError: It is neither kind of model.
    :raises ModelError: It is a decoder-only model whose parts are not known.
    """
    if isinstance(model, TransformerModel):
        return EncoderDecoder(model, tokenizer, device=device, max_num_tokens=max_num_tokens)

    if isinstance(model, CausalLM):
        return DecoderOnly(model, tokenizer, device=device, max_num_tokens=max_num_tokens)

    raise InfluenceError(
        f"The model is a {type(model).__name__}, which is neither an encoder-decoder model nor a "
        "language model; name one of the family nllb, mbart, llama, mistral or hg."
    )
