# SPDX-License-Identifier: Apache-2.0
"""ICD-10-CM codes: how good the candidates are, with and without a model's likelihoods, and how long they take.

    PYTHONPATH=. .venv/bin/python packaging/benchmarks/codes.py --data DIR [--split dev] [--notes N]
        [--model FOLDER] [--taught N --steps N] [--check]

DIR holds `codiesp_icd10.jsonl.gz`: case reports of CodiEsp with the codes that coders gave them. **Stand-ins**: their
English is machine translation, coders coded the Spanish, and the bundled model's starting weights have read these texts
without their codes. `dev` is for reporting; every constant was chosen on `train`.

Rows: `BM25` asks no model. `zero-shot` ranks the candidates by the likelihoods of the bundled model (or of --model) as
well. `taught` is that model after `--steps` of LoRA on the codes of the first N training notes, at one site. Recall and
MAP are means over notes; F1 is of the codes that would be given, over pooled counts.

Times are of fresh processes (`load`: the table and its index, without Python's own start) and of one note after another
(`answer`); CPU seconds beside wall seconds, since other programs may be running. `--check` ends with status 1 where
recall@10 of categories by BM25 is 0.40 or less, where loading takes 2 s of CPU or more, or an answer 50 ms.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from fedmed_desktop.clinical import Note, SiteNotes
from fedmed_desktop.clinical.icd10 import bundled_index
from fedmed_desktop.clinical.tasks import Codes, Prediction
from fedmed_desktop.resources import resource
from fedmed_desktop.scores import TaskScores

MEANS: Final = ("recall@10 category", "recall@20 category", "MAP category", "recall@10 code", "MAP code")
LEAST_RECALL, MOST_LOAD, MOST_ANSWER = 0.40, 2.0, 0.050
MAX_TOKENS: Final = 512
LOAD: Final = """
import json, time
begun, used = time.perf_counter(), time.process_time()
from fedmed_desktop.clinical.icd10 import bundled_index, bundled_table
bundled_table()
table = time.perf_counter() - begun
bundled_index()
print(json.dumps({"table": table, "all": time.perf_counter() - begun, "cpu": time.process_time() - used}))
"""


def main() -> int:
    options = arguments()
    notes = read(options.data, options.split)[: options.notes]
    result: dict[str, Any] = {"split": options.split, "notes": len(notes), "load": loading(options.runs)}
    result["answer"] = answering(notes)
    rows = {"BM25": scored(notes, (Codes().predict(note, [], []) for note in notes))}
    if options.model:
        rows |= ranked(options, notes)
    result["scores"] = {name: scores.summary() for name, scores in rows.items()}
    show(result, rows)
    print(json.dumps(result))
    return int(options.check and not good(result, rows["BM25"]))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", choices=("train", "dev"), default="dev")
    parser.add_argument("--notes", type=int)
    parser.add_argument("--model", type=Path, nargs="?", const=resource("demo_model"))
    parser.add_argument("--taught", type=int, default=0)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--check", action="store_true")
    return parser.parse_args()


def read(data: Path, split: str) -> list[Note]:
    with gzip.open(data / "codiesp_icd10.jsonl.gz", "rt", encoding="utf-8") as file:
        return [Note.model_validate(row) for row in map(json.loads, file) if row["split"] == split]


def scored(notes: Sequence[Note], predictions: Iterable[Prediction]) -> TaskScores:
    task = Codes()
    return sum((task.score(*pair) for pair in zip(notes, predictions, strict=True)), TaskScores())


def loading(runs: int) -> dict[str, float]:
    """Medians over fresh processes, in seconds."""
    taken = [json.loads(subprocess.check_output([sys.executable, "-c", LOAD])) for _ in range(runs)]
    return {name: round(statistics.median(run[name] for run in taken), 3) for name in taken[0]}


def answering(notes: Sequence[Note]) -> dict[str, float]:
    """Seconds to find a note's candidates; `of_2700` are notes of 2,400 to 3,000 characters."""
    index = bundled_index()
    taken: list[tuple[int, float, float]] = []
    for note in notes:
        begun, used = time.perf_counter(), time.process_time()
        index.find(note.text)
        taken.append((len(note.text), time.perf_counter() - begun, time.process_time() - used))
    of_2700 = [wall for length, wall, _ in taken if 2400 <= length <= 3000]
    return {
        "characters": statistics.mean(length for length, _, _ in taken),
        "mean": statistics.mean(wall for _, wall, _ in taken),
        "mean_cpu": statistics.mean(cpu for _, _, cpu in taken),
        "longest": max(wall for _, wall, _ in taken),
        "of_2700": statistics.mean(of_2700) if of_2700 else 0.0,
    }


def ranked(options: argparse.Namespace, notes: Sequence[Note]) -> dict[str, TaskScores]:
    """Scores with a model's likelihoods; torch is loaded here, after the times were taken."""
    from fedmed_desktop.federation.plan import Plan, TrainingSettings
    from fedmed_desktop.federation.spec import LoraSettings
    from fedmed_desktop.federation.work import Control, Given
    from fedmed_desktop.lora import Adapter
    from fedmed_desktop.lora.base_model import decoder_linears
    from fedmed_desktop.training.batches import Encoder
    from fedmed_desktop.training.evaluation import Evaluator
    from fedmed_desktop.training.loading import LoadedBase
    from fedmed_desktop.training.trainer import SiteTrainer

    base, task = LoadedBase(options.model).get(), Codes()
    encoder = Encoder(base.tokenizer, [task])

    def predicted() -> Iterator[Prediction]:
        questions = encoder.encode(notes, MAX_TOKENS, reading=True)
        return (prediction for _, prediction in Evaluator(base, encoder).predictions(questions, 8))

    rows = {"zero-shot": scored(notes, predicted())}
    if options.taught:
        settings = TrainingSettings(
            steps=options.steps, batch_size=16, learning_rate=2e-3, max_tokens=MAX_TOKENS, max_new_tokens=8
        )
        lora = LoraSettings(rank=16, alpha=32)
        start = Adapter.initial(decoder_linears(options.model), lora.rank, lora.scale, seed=0)
        train = read(options.data, "train")[: options.taught]
        trainer = SiteTrainer(base, "site", SiteNotes(train, train[:1], None), [task], score_on="loss")
        plan = Plan(round=1, start=start.sha256, rank=lora.rank, training=settings, seed=0)
        with tempfile.TemporaryDirectory() as folder:
            result = trainer.train_round(plan, Given(start), Path(folder), lambda event: None, Control())
        print(f"taught: mean loss {result.update.report.train_loss:.3f}", file=sys.stderr)
        rows["taught"] = scored(notes, predicted())
    return rows


def show(result: dict[str, Any], rows: dict[str, TaskScores]) -> None:
    print("| | " + " | ".join(MEANS) + " | F1 code | F1 category | F1 chapter |")
    print("| --- |" + " ---: |" * (len(MEANS) + 3))
    for name, scores in rows.items():
        values = [*(scores.means[mean].value for mean in MEANS), scores.f1_strict, scores.f1_lenient, scores.f1_unified]
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |")
    load, answer = result["load"], result["answer"]
    print(f"load: {load['all']:.2f} s ({load['cpu']:.2f} s of CPU), of which the table {load['table']:.2f} s")
    print(
        f"answer: {answer['mean'] * 1000:.1f} ms a note of {answer['characters']:.0f} characters on average, "
        f"{answer['of_2700'] * 1000:.1f} ms one of about 2,700, {answer['longest'] * 1000:.1f} ms the slowest"
    )


def good(result: dict[str, Any], scores: TaskScores) -> bool:
    return (
        scores.means["recall@10 category"].value > LEAST_RECALL
        and result["load"]["cpu"] < MOST_LOAD
        and result["answer"]["mean_cpu"] < MOST_ANSWER
    )


if __name__ == "__main__":
    sys.exit(main())
