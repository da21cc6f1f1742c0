from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from fairseq2.datasets import Seq2SeqBatch
from fairseq2.device import CPU
from fairseq2.metrics import MetricBag
from fairseq2.models.transformer import TransformerModel
from fairseq2.nn import BatchLayout
from torch import Tensor
from torch.nn.functional import cross_entropy

from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.selection.batching import MicroBatcher
from fairseq2_jest.selection.metrics import SelectionStats
from fairseq2_jest.selection.reader import SelectingDataReader
from fairseq2_jest.training.clock import StepClock
from fairseq2_jest.training.flops import FlopsModel
from fairseq2_jest.training.unit import CriterionConfig, TranslationTrainUnit
from tests.unit.tiny import model, random_pairs, tokenizer

FLOPS = FlopsModel(encoder=1_000, decoder=10)

REFERENCE_FLOPS = FlopsModel(encoder=3_000, decoder=70)

NAMES_OF_TWO = (("redundancy",), ("learner_score_selected",))

STATS = SelectionStats(
    num_seen=60,
    num_too_long=4,
    num_selected=12,
    num_noise_seen=30,
    num_noise_selected=4,
    num_known_seen=15,
    num_known_selected=3,
    num_synthetic_seen=20,
    num_synthetic_selected=6,
    seconds=0.5,
    encoded_tokens=700.0,
    decoded_tokens=30,
    filled_tokens=(40, 20),
    trained_tokens=(200, 100),
    means={"redundancy": 0.25},
)


def unit_of(
    learner: TransformerModel,
    stats: SelectionStats | None = None,
    *,
    label_smoothing: float = 0.1,
    is_first_rank: bool = True,
    labelled: bool = True,
    synthetic: bool = True,
    mean_names: Sequence[str] = ("redundancy", "selection_support"),
) -> tuple[TranslationTrainUnit, MetricBag, StepClock]:
    reader = SimpleNamespace(
        embedder=SimpleNamespace(mean_names=mean_names),
        is_labelled=labelled,
        has_synthetic=synthetic,
        last_stats=stats,
        at_step=lambda step_nr: None,
    )

    clock = StepClock()

    unit = TranslationTrainUnit(
        learner,
        CriterionConfig(label_smoothing=label_smoothing),
        cast(SelectingDataReader, reader),
        FLOPS,
        clock,
        reference_flops=REFERENCE_FLOPS,
        is_first_rank=is_first_rank,
    )

    bag = MetricBag(CPU)
    unit.prepare_metric_bag(bag)

    return unit, bag, clock


def values_of(bag: MetricBag) -> dict[str, object]:
    return {
        name: value.item() if isinstance(value := metric.compute(), Tensor) else value
        for name, metric in bag.metrics.items()
    }


def batches_of(pairs: TokenizedPairs, max_num_tokens: int) -> list[Seq2SeqBatch]:
    return MicroBatcher(tokenizer(), max_num_tokens=max_num_tokens).batches(pairs)


def loss_alone(
    learner: TransformerModel, pairs: TokenizedPairs, index: int, label_smoothing: float
) -> Tensor:
    """The loss of one pair without padding, from logits and torch's own cross-entropy."""

    def wrap(body: Tensor, lang: str, mode: str) -> Tensor:
        encoder = tokenizer().create_encoder(lang=lang, mode=mode)

        assert encoder.prefix_indices is not None and encoder.suffix_indices is not None

        return torch.cat([encoder.prefix_indices, body, encoder.suffix_indices])[None]

    source = wrap(pairs.source[index], pairs.source_langs[index], "source")
    target = wrap(pairs.target[index], pairs.target_langs[index], "target")

    inputs, outputs = target[:, :-1], target[0, 1:]

    logits = learner(source, BatchLayout.of(source), inputs, BatchLayout.of(inputs))

    # fairseq's label smoothing, and fairseq2's, spreads the share over the *other* tokens.
    others = logits.size(2) - 1

    return cross_entropy(
        logits[0],
        outputs,
        reduction="sum",
        label_smoothing=label_smoothing * (others + 1) / others,
    )


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.4])
def test_the_loss_is_cross_entropy_summed_over_target_tokens(label_smoothing: float) -> None:
    learner, pairs = model().eval(), random_pairs(7)

    unit, bag, _ = unit_of(learner, label_smoothing=label_smoothing)

    (batch,) = batches_of(pairs, 10_000)

    loss, num_targets = unit.process_batch(batch, bag)

    expected = sum(loss_alone(learner, pairs, i, label_smoothing).item() for i in range(7))

    assert batch.padding > 0
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    # The decoder predicts each text, its language's token and the end of the sequence.
    assert num_targets == sum(len(body) + 2 for body in pairs.target)

    values = values_of(bag)

    assert values["nll_loss"] == pytest.approx(expected / num_targets, rel=1e-5)
    assert values["num_examples"] == 7


def test_micro_batches_add_up_to_one_batch() -> None:
    pairs = random_pairs(20)

    def gradients(max_num_tokens: int) -> tuple[int, int, float, dict[str, Tensor]]:
        # Without dropout, which differs from batch to batch.
        learner = model().eval()

        unit, bag, _ = unit_of(learner)

        batches = batches_of(pairs, max_num_tokens)

        total, all_targets = 0.0, 0

        for batch in batches:
            loss, num_targets = unit.process_batch(batch, bag)

            torch.autograd.backward(loss)

            total, all_targets = total + loss.item(), all_targets + num_targets

        grads = {name: p.grad for name, p in learner.named_parameters() if p.grad is not None}

        return len(batches), all_targets, total, grads

    many, targets_of_many, loss_of_many, grads_of_many = gradients(60)
    one, targets_of_one, loss_of_one, grads_of_one = gradients(10_000)

    assert many > 4 and one == 1
    assert targets_of_many == targets_of_one
    assert loss_of_many == pytest.approx(loss_of_one, rel=1e-5)

    assert grads_of_many.keys() == grads_of_one.keys()
    assert len(grads_of_one) == len(list(model().parameters()))
    for name, grad in grads_of_one.items():
        # Sums over some 300 tokens, in another order.
        torch.testing.assert_close(
            grads_of_many[name], grad, rtol=1e-3, atol=1e-5 * float(grad.abs().max()) + 1e-6
        )


def test_a_step_publishes_the_selection_that_made_it() -> None:
    unit, bag, clock = unit_of(model(), STATS)

    clock.last_step = 2.0

    unit.set_step_nr(1)
    unit.set_step_nr(2)

    values = values_of(bag)

    assert values["redundancy"] == 0.25
    for prefix in ("", "total_"):
        assert values[f"{prefix}num_seen"] == 120
        assert values[f"{prefix}num_too_long"] == 8
        assert values[f"{prefix}num_selected"] == 24
        assert values[f"{prefix}num_noise_selected"] == 8
        assert values[f"{prefix}selection_time"] == 1.0
        assert values[f"{prefix}step_time"] == 4.0
        assert values[f"{prefix}selection_flops"] == 2 * FLOPS.forward(700, 30)
        assert values[f"{prefix}training_flops"] == 2 * FLOPS.training(200, 100)
        assert values[f"{prefix}filling_flops"] == 2 * REFERENCE_FLOPS.forward(40, 20)

    unit.process_metric_values(values)

    assert values["selection_share"] == 0.25
    assert values["noise_share_seen"] == 0.5
    assert values["known_share_seen"] == values["known_share_selected"] == 0.25
    assert values["noise_share_selected"] == pytest.approx(1 / 3)
    assert values["synthetic_share_seen"] == pytest.approx(1 / 3)
    assert values["synthetic_share_selected"] == 0.5


def test_nothing_is_said_of_noise_where_there_are_no_labels() -> None:
    unit, bag, _ = unit_of(model(), STATS, labelled=False)

    unit.set_step_nr(1)

    values = values_of(bag)
    unit.process_metric_values(values)

    assert not [name for name in values if "noise" in name or "known" in name]
    assert "synthetic_share_seen" in values


def test_nothing_is_said_of_synthetic_pairs_where_there_are_none() -> None:
    unit, bag, _ = unit_of(model(), STATS, synthetic=False)

    unit.set_step_nr(1)

    values = values_of(bag)
    unit.process_metric_values(values)

    assert not [name for name in values if "synthetic" in name]
    assert "noise_share_seen" in values


def test_what_all_ranks_share_is_counted_by_the_first() -> None:
    unit, bag, _ = unit_of(model(), STATS, is_first_rank=False)

    unit.set_step_nr(1)
    unit.process_batch(batches_of(random_pairs(3), 1_000)[0], bag)

    values = values_of(bag)

    assert values["num_seen"] == values["selection_flops"] == values["selection_time"] == 0
    assert values["training_flops"] == values["filling_flops"] == 0
    # Averages are the same on all ranks, and each rank trains on pairs of its own.
    assert values["redundancy"] == 0.25
    assert values["num_examples"] == 3


def test_a_run_goes_on_with_a_selector_of_other_figures() -> None:
    before, after = (unit_of(model(), STATS, mean_names=names) for names in NAMES_OF_TWO)

    before[0].set_step_nr(1)

    after[1].load_state_dict(before[1].state_dict())

    values = values_of(after[1])
    after[0].process_metric_values(values)

    assert values["total_num_seen"] == 60
    assert "redundancy" not in values and "learner_score_selected" in values


def test_before_the_first_step_there_is_nothing_to_publish() -> None:
    unit, bag, _ = unit_of(model(), None)

    unit.set_step_nr(1)

    values = values_of(bag)
    unit.process_metric_values(values)

    assert values["num_seen"] == 0
    assert "selection_share" not in values


def test_it_can_be_imported_on_its_own() -> None:
    subprocess.run([sys.executable, "-c", "import fairseq2_jest.training.unit"], check=True)


@pytest.mark.parametrize("label_smoothing", [-0.1, 1.0, float("nan")])
def test_a_share_that_is_none_is_refused(label_smoothing: float) -> None:
    (error,) = CriterionConfig(label_smoothing=label_smoothing).validate().errors

    assert "`label_smoothing` must be in [0, 1)" in str(error)


def test_the_default_and_no_smoothing_are_fine() -> None:
    assert not CriterionConfig().validate().has_error()
    assert not CriterionConfig(label_smoothing=0.0).validate().has_error()
