"""Decoder-only models in two parts: what comes before the projection to the vocabulary, and that.

The logits of all tokens of a batch may be gigabytes, and those of a prompt are never needed.
"""

from __future__ import annotations

from typing import Any

import torch
from fairseq2.models.clm import CausalLM
from fairseq2.models.hg import HgCausalLMAdapter
from fairseq2.models.transformer_lm import TransformerLM
from fairseq2.nn import BatchLayout
from torch import Tensor
from torch.nn import Module, Parameter

from fairseq2_jest.models.errors import ModelError


class CausalParts:
    """Those of fairseq2's own families (LLaMA, Mistral, Qwen), and of ``hg``, transformers'."""

    def __init__(self, model: CausalLM) -> None:
        """
        :raises ModelError: The model is of another kind, or its logits are not its head's output.
        """
        if isinstance(model, TransformerLM):
            self.head: Module = model.final_proj
        elif isinstance(model, HgCausalLMAdapter):
            inner: Any = model.hf_model

            self.head = inner.get_output_embeddings()
        else:
            raise ModelError(
                f"The parts of a {type(model).__name__} are not known; name a model of the family "
                "llama, mistral, qwen, olmo or hg."
            )

        self._model = model

        if isinstance(model, HgCausalLMAdapter):
            self._check_head()

    @property
    def vocab_size(self) -> int:
        """How many tokens the head tells apart."""
        size = getattr(self.head, "output_dim", None) or getattr(self.head, "out_features", None)

        assert isinstance(size, int)

        return size

    @property
    def dim(self) -> int:
        """The dimension of what the head sees."""
        size = getattr(self.head, "input_dim", None) or getattr(self.head, "in_features", None)

        assert isinstance(size, int)

        return size

    def layer_parameters(self) -> list[Parameter]:
        """Those of the layers between embedding and head."""
        model: Any = self._model

        if isinstance(model, TransformerLM):
            return list(model.decoder.parameters())

        inner = model.hf_model

        embedding = {id(parameter) for parameter in inner.get_input_embeddings().parameters()}

        return [p for p in inner.base_model.parameters() if id(p) not in embedding]

    def hidden(self, seqs: Tensor, layout: BatchLayout) -> Tensor:
        """What the head sees.

        :param seqs: *Shape:* ``(N, S)``.

        :returns: *Shape:* ``(N, S, d)``.
        """
        model = self._model

        if isinstance(model, TransformerLM):
            output, layout = model.decoder_frontend(seqs, layout)

            return model.decoder(output, layout)

        inner: Any = model.hf_model

        states: Tensor = inner.base_model(
            input_ids=seqs,
            attention_mask=(layout.position_indices >= 0).long(),
            use_cache=False,
        ).last_hidden_state

        return states

    @torch.no_grad()
    def _check_head(self) -> None:
        """Some families scale or cap their logits (Gemma 2, Cohere, Granite)."""
        seqs = torch.arange(3, device=next(self._model.parameters()).device).unsqueeze(0)

        layout = BatchLayout.of(seqs)

        # Dropout does not matter to whether they are the same, but its draws do.
        training = self._model.training

        self._model.eval()

        try:
            expected = self._model(seqs, layout)

            found = self.head(self.hidden(seqs, layout))
        finally:
            self._model.train(training)

        # A few families hand on their logits in float32, whatever they are computed in.
        tolerance = max(1e-3, torch.finfo(found.dtype).eps)

        if not torch.allclose(found.float(), expected.float(), rtol=tolerance, atol=tolerance):
            raise ModelError(
                f"{type(self._model.hf_model).__name__} changes its logits after its last layer, "
                "which is not supported; name another model."
            )
