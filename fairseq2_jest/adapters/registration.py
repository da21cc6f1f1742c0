"""What the extension registers of adapters, for programs that load a run's checkpoints."""

from __future__ import annotations

from fairseq2.gang import GangContext
from fairseq2.model_checkpoint import ModelCheckpointLoader
from fairseq2.runtime.dependency import DependencyContainer, DependencyResolver

from fairseq2_jest.adapters.adapter import CheckpointMerger
from fairseq2_jest.adapters.checkpoint import AdapterCheckpointLoader
from fairseq2_jest.adapters.merging import LoraMerger


def register_adapter_checkpoints(container: DependencyContainer) -> None:
    """Registers the loader of adapted checkpoints, and how LoRA is merged."""

    def create_loader(resolver: DependencyResolver) -> ModelCheckpointLoader:
        return AdapterCheckpointLoader(resolver, resolver.resolve(GangContext))

    container.collection.register(ModelCheckpointLoader, create_loader)

    container.register_instance(CheckpointMerger, LoraMerger(), key="lora")
