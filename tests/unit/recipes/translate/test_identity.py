from __future__ import annotations

from fairseq2.recipe.config import CommonSection, SamplingConfig, Seq2SeqGeneratorSection

from fairseq2_jest.recipes.translate.config import TranslateConfig
from fairseq2_jest.recipes.translate.identity import identity_of_translator
from tests.hugging_face import library


def test_the_seed_counts_where_words_are_drawn() -> None:
    drawn = Seq2SeqGeneratorSection(name="sampling", config=SamplingConfig())

    def seed(config: TranslateConfig) -> object:
        config.common = CommonSection(seed=7)

        return identity_of_translator(config, library())["seed"]

    assert seed(TranslateConfig()) is None
    assert seed(TranslateConfig(seq2seq_generator=drawn)) == 7
