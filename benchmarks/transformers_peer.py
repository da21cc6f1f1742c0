"""Training and translating against transformers: one model, the same weights, in turns.

    python -m benchmarks.transformers_peer [--device cpu|cuda] [--repeats N] [--train-steps N]

The model is an mBART of random weights (4+4 layers of 256, 16,000 pieces, learnt on the data) that
transformers saves and both load; before translating it is trained for a while, so that translations
end. Training: the same micro-batches of 2,048 tokens through forward, loss with label smoothing,
backward, clipping at 1.0 and AdamW. transformers' side is what Seq2SeqTrainer does in a step, with
its own LabelSmoother, as plain code: Seq2SeqTrainer wants the package accelerate, and what it adds
to a step is left out in its favour. Translating: beam 5, 40 tokens at most. `batches` gives both
the same padded batches; `file` is as users run it: ours the Translator of `mt translate` (batches
by length), theirs `generate` on 32 lines at a time in the order of the file, text to text.

On a CPU, seconds are the process's own, one thread, so that other programs count less. The text is
that of ``--data``. Figures and table: ``benchmarks/results/transformers_peer/``.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

# fairseq2.trainer cannot be imported first.
import fairseq2.recipe.base  # noqa: F401
import torch
from fairseq2 import init_fairseq2
from fairseq2.data.tokenizers import load_tokenizer
from fairseq2.datasets import Seq2SeqBatch
from fairseq2.generation.beam_search import BeamSearchSeq2SeqGenerator
from fairseq2.models import load_model
from fairseq2.nn import BatchLayout
from fairseq2.nn.utils.grad import clip_grad_norm, normalize_grads

from benchmarks.bitext import Pair, read_pairs
from benchmarks.steps import gangs_of_one
from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.embedding.tokens import batches_by_length, pad
from fairseq2_jest.models.generation import ignore_prompt_scores
from fairseq2_jest.translation.batched_search import BatchedBeamSearchGenerator
from fairseq2_jest.translation.translator import Translator

ROOT: Final = Path(__file__).resolve().parent.parent

RESULTS: Final = ROOT / "benchmarks" / "results" / "transformers_peer"

LANGS: Final = Direction("en_XX", "de_DE")

BEAM: Final = 5

MAX_LEN: Final = 40


def make_folder(folder: Path, pairs: Sequence[Pair], vocab_size: int) -> Path:
    """A random mBART as transformers saves it."""
    import sentencepiece
    import transformers

    spm = folder / "sentencepiece.bpe.model"

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([side for pair in pairs for side in pair]),
        model_prefix=str(spm.with_suffix("")),
        vocab_size=vocab_size,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
    )

    kls: Any = transformers.MBart50TokenizerFast

    tokenizer = kls(vocab_file=str(spm))

    config_kls: Any = transformers.MBartConfig

    config = config_kls(
        vocab_size=len(tokenizer),
        max_position_embeddings=256,
        d_model=256,
        encoder_layers=4,
        decoder_layers=4,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=1024,
        decoder_ffn_dim=1024,
        dropout=0.1,
        scale_embedding=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.eos_token_id,
    )

    torch.manual_seed(0)

    transformers.MBartForConditionalGeneration(config).save_pretrained(folder)

    tokenizer.save_pretrained(folder)

    return folder


class Bench:
    """Both models, and what each is given."""

    def __init__(self, folder: Path, pairs: Sequence[Pair], device: torch.device) -> None:
        import transformers
        from transformers.trainer_pt_utils import LabelSmoother

        self.device = device
        self.model: Any = load_model(str(folder), dtype=torch.float32, device=device)
        self.tokenizer: Any = load_tokenizer(str(folder))

        mbart: Any = transformers.MBartForConditionalGeneration
        fast: Any = transformers.AutoTokenizer

        self.theirs = mbart.from_pretrained(folder).to(device)
        self.their_tokenizer = fast.from_pretrained(folder, src_lang=LANGS.source)
        self._smoother = LabelSmoother(epsilon=0.1)
        self._gangs = gangs_of_one(device)
        self.pad_idx = int(self.tokenizer.vocab_info.pad_idx)

        self._optimizers = {
            name: torch.optim.AdamW(m.parameters(), lr=5e-4, betas=(0.9, 0.98))
            for name, m in (("ours", self.model), ("theirs", self.theirs))
        }

        encode = [
            self.tokenizer.create_encoder(lang=lang, mode=mode)
            for lang, mode in ((LANGS.source, "source"), (LANGS.target, "target"))
        ]

        self.examples = [(encode[0](s), encode[1](t)) for s, t in pairs]

        lens = [max(len(s), len(t)) for s, t in self.examples]

        self.batches = [
            tuple(pad([self.examples[i][side] for i in rows], self.pad_idx) for side in (0, 1))
            for rows in batches_by_length(lens, 2048)
        ]

        self.pairs = pairs

    def train_ours(self, batch: Any) -> None:
        (source, source_lens), (target, target_lens) = batch

        pairs = Seq2SeqBatch(source, source_lens, target, target_lens)
        pairs.to(self.device)

        model = self.model.train()

        inputs, targets = pairs.as_auto_regressive()

        loss = model(
            *inputs.as_source_input(),
            *inputs.as_target_input(),
            targets=targets.seqs,
            label_smoothing=0.1,
        )

        loss.backward()

        normalize_grads(model, self._gangs.dp, targets.num_elements)

        clip_grad_norm(model, 1.0)

        self._step("ours")

    def train_theirs(self, batch: Any) -> None:
        (source, source_lens), (target, _) = batch

        source, target = source.to(self.device), target.to(self.device)

        places = torch.arange(source.size(1), device=self.device)

        mask = (places < torch.tensor(source_lens, device=self.device)[:, None]).long()

        labels = target[:, 1:].masked_fill(target[:, 1:] == self.pad_idx, -100)

        model = self.theirs.train()

        output = model(input_ids=source, attention_mask=mask, decoder_input_ids=target[:, :-1])

        loss = self._smoother(output, labels)

        loss.backward()

        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)

        self._step("theirs")

    def _step(self, name: str) -> None:
        self._optimizers[name].step()
        self._optimizers[name].zero_grad(set_to_none=True)

    def generators(self) -> dict[str, Any]:
        generators = {}

        for name, kls in (
            ("ours", BatchedBeamSearchGenerator),
            ("fairseq2", BeamSearchSeq2SeqGenerator),
        ):
            generator: Any = kls(
                self.model, self.tokenizer.vocab_info, beam_size=BEAM, max_gen_len=(0.0, MAX_LEN)
            )

            ignore_prompt_scores(generator)

            generators[name] = generator

        return generators

    def search(self, generator: Any, batches: Sequence[Any]) -> list[list[int]]:
        prefix = self.tokenizer.create_encoder(lang=LANGS.target, mode="target").prefix_indices

        found = []

        with torch.inference_mode():
            for source, lens in batches:
                source = source.to(self.device)

                prompt = prefix.to(self.device).expand(len(source), -1)

                layout = BatchLayout.of(source, list(lens))

                output = generator(source, layout, prompt, BatchLayout.of(prompt))

                found += [h[0].seq.tolist() for h in output.hypotheses]

        return found

    @torch.inference_mode()
    def generate(self, batches: Sequence[Any]) -> list[list[int]]:
        model = self.theirs.eval()

        eos = self.their_tokenizer.eos_token_id

        found = []

        for source, lens in batches:
            source = source.to(self.device)

            places = torch.arange(source.size(1), device=self.device)

            output = model.generate(
                input_ids=source,
                attention_mask=(places < torch.tensor(lens, device=self.device)[:, None]).long(),
                forced_bos_token_id=self.their_tokenizer.convert_tokens_to_ids(LANGS.target),
                num_beams=BEAM,
                do_sample=False,
                max_new_tokens=1 + MAX_LEN,
                early_stopping=True,
            )

            for row in output[:, 2:].tolist():
                found.append(row[: row.index(eos) + 1] if eos in row else row)

        return found

    def translate_file(self, lines: Sequence[str], generator: Any) -> list[str]:
        translator = Translator(
            generator,
            self.tokenizer,
            LANGS,
            device=self.device,
            max_source_len=256,
            max_num_tokens=2048,
        )

        return [t.hypotheses[0].text for t in translator(lines)]

    def generate_file(self, lines: Sequence[str]) -> list[str]:
        texts: list[str] = []

        for begin in range(0, len(lines), 32):
            batch = self.their_tokenizer(
                list(lines[begin : begin + 32]), return_tensors="pt", padding=True
            )

            found = self.generate([(batch["input_ids"], batch["attention_mask"].sum(1).tolist())])

            texts += self.their_tokenizer.batch_decode(found, skip_special_tokens=True)

        return texts


def seconds(call: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

        begin = time.perf_counter()

        result = call()

        torch.cuda.synchronize(device)

        return time.perf_counter() - begin, result

    begin = time.process_time()

    result = call()

    return time.process_time() - begin, result


def row(name: str, amount: float, unit: str, ours: list[float], theirs: list[float]) -> Any:
    ratios = sorted(t / o for o, t in zip(ours, theirs, strict=True))

    return {
        "what": name,
        "unit": unit,
        "ours": amount / median(ours),
        "theirs": amount / median(theirs),
        "ratio": median(ratios),
        "ratio_min": ratios[0],
        "ratio_max": ratios[-1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Training and translating against transformers.")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--train-steps", type=int, default=100, help="before translating")
    parser.add_argument("--lines", type=int, default=128, help="to translate")
    shared = Path(os.environ.get("FAIRSEQ2_JEST_SHARED", ROOT.parent / "shared"))
    parser.add_argument("--data", type=Path, default=shared / "data" / "multi30k-ende")
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()

    device = torch.device(args.device)

    if device.type == "cpu":
        torch.set_num_threads(1)

    init_fairseq2(no_progress=True)

    with tempfile.TemporaryDirectory() as folder:
        rows = measure(args, Path(folder), device)

    report(rows, args, device)


def measure(args: argparse.Namespace, folder: Path, device: torch.device) -> list[Any]:
    pairs = read_pairs(args.data)

    make_folder(folder, pairs[:20_000], 16_000)

    bench = Bench(folder, pairs[:20_000:10], device)

    rows = []

    times: dict[str, list[float]] = {"ours": [], "theirs": []}

    batches = bench.batches[:: max(1, len(bench.batches) // 3)][:3]

    tokens = sum(sum(lens) for batch in batches for _, lens in batch)

    for repeat in range(args.repeats + 1):
        for name, step in (("ours", bench.train_ours), ("theirs", bench.train_theirs)):
            elapsed, _ = seconds(lambda step=step: [step(b) for b in batches], device)  # type: ignore[misc]

            # The first time warms up.
            if repeat > 0:
                times[name].append(elapsed)

    rows.append(row("training", tokens, "tokens/s", times["ours"], times["theirs"]))

    # Both translate with the same weights, trained by transformers' side.
    for index in range(args.train_steps):
        bench.train_theirs(bench.batches[index % len(bench.batches)])

    trained = folder / "trained"

    bench.theirs.save_pretrained(trained)
    bench.their_tokenizer.save_pretrained(trained)

    bench = Bench(trained, pairs[: args.lines], device)

    generators = bench.generators()

    lines = [source for source, _ in pairs[: args.lines]]

    fixed = [
        pad([source for source, _ in bench.examples[begin : begin + 32]], bench.pad_idx)
        for begin in range(0, args.lines, 32)
    ]

    arms: dict[str, Callable[[], Any]] = {
        "ours": lambda: bench.search(generators["ours"], fixed),
        "fairseq2": lambda: bench.search(generators["fairseq2"], fixed),
        "theirs": lambda: bench.generate(fixed),
        "ours, file": lambda: bench.translate_file(lines, generators["ours"]),
        "fairseq2, file": lambda: bench.translate_file(lines, generators["fairseq2"]),
        "theirs, file": lambda: bench.generate_file(lines),
    }

    spent: dict[str, list[float]] = {name: [] for name in arms}
    found = {}

    for _ in range(args.repeats):
        for name, call in arms.items():
            elapsed, found[name] = seconds(call, device)

            spent[name].append(elapsed)

    for where in ("", ", file"):
        for name, search in (("batched search", "ours"), ("fairseq2's search", "fairseq2")):
            label = f"translating{where or ', batches'}, {name}"

            rows.append(
                row(
                    label, args.lines, "sentences/s", spent[search + where], spent["theirs" + where]
                )
            )

    same = sum(a == b for a, b in zip(found["ours"], found["theirs"], strict=True))

    rows[1]["same"] = same / args.lines
    rows[1]["mean_length"] = sum(map(len, found["ours"])) / args.lines
    rows[2]["same"] = sum(map(list.__eq__, found["fairseq2"], found["ours"])) / args.lines

    return rows


def report(rows: list[Any], args: argparse.Namespace, device: torch.device) -> None:
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "one thread of a CPU"

    table = [
        f"mBART of 4+4 layers of 256, 16,000 pieces, fp32, {where}; {args.repeats} repeats, median "
        f"ratio (least to most); {args.train_steps} steps of training before translating "
        f"{args.lines} lines. {rows[1]['mean_length']:.0f} tokens a translation; "
        f"{rows[1]['same']:.0%} equal to transformers' (whose cut ones have no end, and count as "
        f"different), {rows[2]['same']:.0%} to fairseq2's search.",
        "",
        "| | ours | transformers | ratio |",
        "|---|---|---|---|",
        *(
            f"| {r['what']} | {r['ours']:,.1f} {r['unit']} | {r['theirs']:,.1f} {r['unit']} | "
            f"{r['ratio']:.2f} ({r['ratio_min']:.2f}-{r['ratio_max']:.2f}) |"
            for r in rows
        ),
    ]

    args.results.mkdir(parents=True, exist_ok=True)

    print("\n".join(table))

    (args.results / f"{device.type}.md").write_text("\n".join(table) + "\n", encoding="utf-8")

    settings = {key: str(value) for key, value in vars(args).items() if key != "results"}

    (args.results / f"{device.type}.json").write_text(
        json.dumps({"settings": settings, "rows": rows}, indent=2) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
