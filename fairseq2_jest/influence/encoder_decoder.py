"""Encoder-decoder models of fairseq2: NLLB, mBART."""

from __future__ import annotations

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.device import Device
from fairseq2.models.transformer import TransformerModel
from typing_extensions import override

from fairseq2_jest.embedding.teacher_forcing import EncoderDecoderForcing
from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.influence.forced import ForcedPairModel
from fairseq2_jest.influence.model import Positions, Prediction


class EncoderDecoder(ForcedPairModel):
    """The source goes through the encoder, the target through the decoder, as it stands."""

    def __init__(
        self, model: TransformerModel, tokenizer: Tokenizer, *, device: Device, max_num_tokens: int
    ) -> None:
        """
        :param max_num_tokens: The most tokens of a side in a batch, padding included.

        :raises EmbeddingError: The tokenizer has no padding token.
        """
        super().__init__(
            model, EncoderDecoderForcing(model, tokenizer, device=device), max_num_tokens
        )

        self._model = model

    @property
    @override
    def max_seq_len(self) -> int:
        return min(self._model.max_source_seq_len, self._model.max_target_seq_len)

    @override
    def predict(self, pairs: TokenizedPairs) -> Prediction:
        forced = self._forcing.run(pairs)

        source = forced.source_present

        assert source is not None

        return Prediction(
            hidden=forced.output[forced.scored],
            labels=forced.labels[forced.scored],
            pairs=forced.scored.nonzero()[:, 0],
            positions={
                "encoder": Positions(present=source, counted=source),
                "decoder": Positions(present=forced.present, counted=forced.scored),
            },
        )
