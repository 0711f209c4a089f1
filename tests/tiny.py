"""Models, texts and jobs so small that everything can run for real in seconds."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from verdict.device import prepare
from verdict.measure import anatomy, baselines, curves, machine, matched, quality, speed
from verdict.models.families import Model, build
from verdict.models.settings import Architecture, Shape
from verdict.models.sizes import solve
from verdict.tokens.__main__ import tokenize
from verdict.training.runs import run as train
from verdict.training.settings import Job, Training

prepare(1)  # as every job is: set up later by a test, products would round otherwise than those before

#: every rung of the ladder between the two ends and other recurrences, none with dropout
ARCHITECTURES = {
    "transformer": Architecture("attention", 2, feedforward=True, dropout=0.0, options={"heads": 2}),
    "attention_alone": Architecture("attention", 2, feedforward=False, dropout=0.0, options={"heads": 2}),
    "attention_bare": Architecture("attention", 2, True, norm=False, residual=False, dropout=0.0, options={"heads": 2}),
    "lstm": Architecture("lstm", 2, feedforward=False, dropout=0.0),
    "lstm_feedforward": Architecture("lstm", 2, feedforward=True, dropout=0.0, options={"forget_bias": 2.0}),
    "lstm_last": Architecture("lstm", 2, feedforward=False, cross_attention="last", dropout=0.0),
    "lstm_no_attention": Architecture("lstm", 2, feedforward=False, cross_attention="none", dropout=0.0),
    "lstm_classic": Architecture("lstm", 2, feedforward=False, norm=False, residual=False, dropout=0.0),
    "gru": Architecture("gru", 2, feedforward=False, cross_attention="none", dropout=0.0),
    "rnn": Architecture("rnn", 2, feedforward=False, dropout=0.0),
    "rnn_classic": Architecture("rnn", 2, False, norm=False, residual=False, cross_attention="none", dropout=0.0),
}
FAMILIES = ("language_model", "encoder_decoder", "masked_encoder")
VOCABULARY = 280
WORDS = ("alpha", "beta", "gamma", "delta", "eps", "zeta", "eta", "theta", "iota", "kappa")


def model(architecture: str | Architecture, family: str, seed: int = 0, **shape: Any) -> Model:
    """A model in evaluation mode with weights far enough from zero that every part is heard."""
    setting = ARCHITECTURES[architecture] if isinstance(architecture, str) else architecture
    full = Shape(**{"family": family, "width": 16, "parameters": 14_000, "vocabulary": VOCABULARY, **shape})
    made = build(setting, full, solve(setting, replace(full, classes=0)), seed).eval()
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in made.parameters():
            if not parameter.any():
                parameter.normal_(0.0, 0.3, generator=generator)
    return made


def pieces(*size: int, seed: int = 0, vocabulary: int = VOCABULARY) -> torch.Tensor:
    """Random pieces, none of them special."""
    return torch.randint(4, vocabulary, size, generator=torch.Generator().manual_seed(seed))


def write_jsonl(path: Path, rows: list[dict[str, str]]) -> None:
    """One record a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def reversal(folder: Path, records: int = 3000, words: int = 5) -> Path:
    """Encoded pairs whose target is the source read backwards (no word order is shared, so no shortcut serves)."""
    rng = random.Random(0)
    for split, count in (("train", records), ("valid", 100), ("test", 60)):
        rows = []
        for _ in range(count):
            said = [rng.choice(WORDS) for _ in range(rng.randint(2, words))]
            rows.append({"source": " ".join(said), "target": " ".join(reversed(said))})
        write_jsonl(folder / "corpus" / f"{split}.jsonl", rows)
    tokenize(folder / "corpus", folder / "tokens", VOCABULARY, {"source": 40, "target": 40})
    return folder / "tokens"


def texts(folder: Path, task: str) -> None:
    """Encoded text of a task: lm (chapters) or classification (labelled snippets and unlabelled ones)."""
    rng = random.Random(1)

    def said(of: tuple[str, ...], most: int) -> str:
        return " ".join(rng.choice(of) for _ in range(rng.randint(3, most)))

    for split, count in (("train", 80), ("valid", 24), ("test", 24)):
        if task == "lm":
            rows = [{"text": said(WORDS, 60)} for _ in range(count)]
        else:
            halves = {"good": WORDS[:7], "bad": WORDS[3:]}
            rows = [{"text": said(halves[label], 9), "label": label} for label in ("good", "bad") * (count // 2)]
        write_jsonl(folder / "corpus" / task / f"{split}.jsonl", rows)
    if task == "classification":
        rows = [{"text": said(WORDS, 9)} for _ in range(80)]
        write_jsonl(folder / "corpus" / task / "pretrain.jsonl", rows)
    tokenize(folder / "corpus" / task, folder / "tokens" / task, VOCABULARY, {"text": 40} if task != "lm" else {})


OBJECTIVE_FAMILY = {
    "language_model": "language_model",
    "sequence_pairs": "encoder_decoder",
    "masked": "masked_encoder",
    "classification": "masked_encoder",
    "answers": "language_model",
}


def job(stage: str, task: str, objective: str, architecture: str, seed: int = 0, **training: Any) -> Job:
    """A job of a few steps."""
    told = {
        "learning_rate": 3e-3,
        "budget_tokens": 2000,
        "batch_tokens": 512,
        "window": 16,
        "validations": 3,
        "output_records": 0 if objective in ("language_model", "masked") else 8,
        **training,
    }
    setting = replace(ARCHITECTURES[architecture], dropout=0.1)
    return Job(
        name=f"{stage}/{architecture}/s{seed}", task=task, stage=stage, architecture_name=architecture, seed=seed,
        family=OBJECTIVE_FAMILY[objective], objective=objective, architecture=setting, width=16, parameters=14_000,  # type: ignore[arg-type]
        training=Training(**told), device="cpu", precision="fp32",
        variant=stage if objective in ("masked", "classification") else "",
    )  # fmt: skip


#: stage, task, objective, stage it starts from
STAGES = (
    ("lm", "lm", "language_model", None),
    ("translation", "translation", "sequence_pairs", None),
    ("pretraining", "classification", "masked", None),
    ("finetuning", "classification", "classification", "pretraining"),
)


def run_everything(folder: Path) -> None:
    """Every kind of job of the pipeline, laid out as the workflow lays it out: runs/, measurements/, results/."""
    reversal(folder / "translation", records=120, words=4)
    for kind in ("corpus", "tokens"):
        (folder / kind).mkdir()
        (folder / "translation" / kind).rename(folder / kind / "translation")
    texts(folder, "lm")
    texts(folder, "classification")
    for task in ("lm", "translation", "classification"):
        card = {"task": task, "sha256": f"{task:0<64}"}
        (folder / "corpus" / task / "card.json").write_text(json.dumps(card), encoding="utf-8")
    for stage, task, objective, start in STAGES:
        _stage(folder, stage, task, objective, start)
    told = [job(stage, task, objective, name) for stage, task, objective, start in STAGES if not start
            for name in ("transformer", "lstm")]  # fmt: skip
    anatomy.run(told, folder / "tokens", folder / "measurements/anatomy.json")
    for task, objectives in (
        ("lm", ["language_model"]),
        ("translation", ["sequence_pairs"]),
        ("classification", ["classification", "masked"]),
    ):
        settings = baselines.Settings(task, objectives, window=16, batch_tokens=512)
        (folder / "measurements/baselines").mkdir(parents=True, exist_ok=True)
        baselines.run(settings, folder / "corpus" / task, folder / "tokens" / task, _at(folder, "baselines", task))
    machine.SIZE, kept = 64, machine.SIZE
    told = folder / "results/machine.json", folder / "measurements/device.json"
    machine.run(torch.device("cpu"), "fp32", "quick", *told)
    machine.SIZE = kept


def _at(folder: Path, kind: str, name: str) -> Path:
    return folder / "measurements" / kind / f"{name}.json"


def _stage(folder: Path, stage: str, task: str, objective: str, start: str | None) -> None:
    names = ("transformer", "lstm")
    corpus, tokens = folder / "corpus" / task, folder / "tokens" / task
    for architecture in names:
        for seed in (0, 1):
            run = folder / "runs" / stage / architecture / f"s{seed}"
            begin = folder / "runs" / start / architecture / f"s{seed}" if start else None
            this = job(stage, task, objective, architecture, seed)
            train(this, tokens, run, begin)
            beams = [1, 2] if objective == "sequence_pairs" else [1]
            evaluation = quality.Evaluation(beams=beams, test_records=20, longest_output=8)
            quality.run(evaluation, run, tokens, corpus)
    jobs = [job(stage, task, objective, architecture) for architecture in names]
    generates = objective in ("language_model", "sequence_pairs")
    timed = speed.Speed(
        stage, jobs, rounds=2, own_batches=1, lengths=[], sweep_tokens=16,
        batches=[1, 3] if generates else [], batch_length=8,
        generation_batches=[1, 2] if generates else [], generation_tokens=2, contexts=[0, 3] if generates else [],
    )  # fmt: skip
    speed.run([timed], folder / "tokens", folder / "measurements/speed", threads=1)
    runs = [folder / "runs" / stage / architecture / f"s{seed}" for architecture in names for seed in (0, 1)]
    if objective != "classification":
        curves.run(stage, [5.0, 0.001], runs, _at(folder, "speed", stage), _at(folder, "curves", stage))
    if objective in ("sequence_pairs", "classification"):
        settings = matched.Settings(stage, resamples=20)
        matched.run(settings, runs, _at(folder, "speed", stage), corpus, _at(folder, "matched", stage))


def metrics_of(folder: Path) -> list[Path]:
    """Every metrics file of a world, as the workflow lists them."""
    runs = [path for name in ("metrics", "evaluation") for path in folder.glob(f"runs/*/*/*/{name}.json")]
    return sorted([*runs, *folder.glob("measurements/**/*.json")])
