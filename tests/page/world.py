"""A small made-up world in the shape of a real run: evidence, history, cards, ledger, machine and outputs.

The values come from formulas and a fixed random seed; they serve the page's tests only.
"""

import json
import math
import random
from pathlib import Path
from typing import Any

import polars as pl

CLAIMS = Path(__file__).parents[2] / "claims.yaml"
PLANTED = '</script><script>window.planted=1</script><img src=x onerror="window.planted=1">&lt; "quoted" \'too\''

EVIDENCE = {
    "experiment": pl.String,
    "task": pl.String,
    "architecture": pl.String,
    "variant": pl.String,
    "matching": pl.String,
    "size": pl.String,
    "replicate": pl.Int64,
    "device": pl.String,
    "implementation": pl.String,
    "variable": pl.String,
    "at": pl.Float64,
    "metric": pl.String,
    "value": pl.Float64,
    "unit": pl.String,
    "better": pl.String,
    "run": pl.String,
}
HISTORY = {
    "run": pl.String,
    "task": pl.String,
    "architecture": pl.String,
    "variant": pl.String,
    "size": pl.String,
    "replicate": pl.Int64,
    "tokens": pl.Int64,
    "flops": pl.Float64,
    "seconds": pl.Float64,
    "train_loss": pl.Float64,
    "valid_bits_per_byte": pl.Float64,
    "gradient_norm": pl.Float64,
    "clipped": pl.Boolean,
    "learning_rate": pl.Float64,
}
TASKS = {
    "lm": ["transformer", "lstm"],
    "translation": ["transformer", "lstm", "lstm_no_attention"],
    "summarization": ["transformer", "lstm"],
    "classification": ["transformer", "lstm"],
}
SCORES = {
    "translation": {
        "chrf": {"transformer": 46.1, "lstm": 44.9, "lstm_no_attention": 27.0},
        "bleu": {"transformer": 21.3, "lstm": 20.1, "lstm_no_attention": 7.2},
    },
    "summarization": {
        "rouge1": {"transformer": 47.4, "lstm": 48.0},
        "rouge2": {"transformer": 20.4, "lstm": 20.5},
        "rougeL": {"transformer": 47.1, "lstm": 47.3},
    },
}
UNITS = {
    "chrf": "%",
    "bleu": "%",
    "rouge1": "%",
    "rouge2": "%",
    "rougeL": "%",
    "accuracy": "%",
    "f1": "%",
    "bits_per_byte": "bit/byte",
    "valid_bits_per_byte": "bit/byte",
}


def row(experiment: str, task: str, architecture: str, metric: str, value: float, **more: Any) -> dict[str, Any]:
    """One evidence row, the columns that are not given left empty."""
    base: dict[str, Any] = {
        "experiment": experiment,
        "task": task,
        "architecture": architecture,
        "variant": "",
        "matching": "",
        "size": "",
        "replicate": None,
        "device": "cpu",
        "implementation": "torch",
        "variable": "",
        "at": None,
        "metric": metric,
        "value": float(value),
        "unit": UNITS.get(metric, ""),
        "better": "higher",
        "run": experiment,
    }
    assert set(more) <= set(base)
    return base | more


def evidence_rows(seed: int = 0) -> list[dict[str, Any]]:
    """Every kind of row that the contract of the evidence table names."""
    noise = random.Random(seed)
    rows: list[dict[str, Any]] = []

    def trained(
        task: str, architecture: str, replicate: int, metric: str, value: float, better: str = "higher", **more: Any
    ) -> None:
        rows.append(
            row(
                "training",
                task,
                architecture,
                metric,
                value,
                better=better,
                replicate=replicate,
                run=f"train/{task}/{architecture}/s{replicate}",
                **({"matching": "parameters"} | more),
            )
        )

    for task, architectures in TASKS.items():
        for a, architecture in enumerate(architectures):
            for replicate in range(3):
                bits = {"lm": 2.05, "translation": 1.9, "summarization": 1.4, "classification": 2.4}[task]
                pretraining = {"variant": "pretraining"} if task == "classification" else {}
                bits += (0.09, 0.0, 0.5)[a] + noise.gauss(0, 0.01)
                trained(task, architecture, replicate, "bits_per_byte", bits, "lower", **pretraining)
                for matching in ("parameters", "flops", "seconds"):
                    trained(
                        task,
                        architecture,
                        replicate,
                        "valid_bits_per_byte",
                        bits + 0.02,
                        "lower",
                        matching=matching,
                        **pretraining,
                    )
                for metric, means in SCORES.get(task, {}).items():
                    for variant in ("greedy", "beam"):
                        trained(
                            task,
                            architecture,
                            replicate,
                            metric,
                            means[architecture] + (variant == "beam") * 0.8 + noise.gauss(0, 0.3),
                            variant=variant,
                        )
                if task == "classification":
                    for variant, gain in (("scratch", 0.0), ("pretrained", 3.4)):
                        for metric in ("accuracy", "f1"):
                            trained(
                                task,
                                architecture,
                                replicate,
                                metric,
                                75 + gain + a + noise.gauss(0, 0.6),
                                variant=variant,
                            )
                for metric, value, unit in (
                    ("train_seconds", 61.5 + a, "seconds"),
                    ("train_tokens", 1.2e6, "tokens"),
                    ("train_flops", 8.1e12, "flops"),
                    ("clipped_share", 0.03, "share"),
                    ("peak_memory_bytes", 3.1e8, "bytes"),
                ):
                    trained(task, architecture, replicate, metric, value, "neither", unit=unit)
                for target in (2.6, 2.4, 2.2):
                    seconds = 20 / (target - 1.5) * (1.0, 0.8, 3.0)[a] * noise.uniform(0.95, 1.05)
                    rows.append(
                        row(
                            "time_to_quality",
                            task,
                            architecture,
                            "seconds_to_target",
                            math.inf if a == 0 and target == 2.2 and replicate else seconds,
                            unit="seconds",
                            better="lower",
                            variable="target_bits_per_byte",
                            at=target,
                            replicate=replicate,
                            run=f"train/{task}/{architecture}/s{replicate}",
                        )
                    )
    baselines = {
        "lm": {"bits_per_byte": {"unigram": 3.9, "bigram": 2.1}},
        "translation": {
            "chrf": {"copy": 12.1, "nearest": 18.2},
            "bleu": {"copy": 0.9, "nearest": 2.2},
            "bits_per_byte": {"unigram": 4.2},
        },
        "summarization": {
            "rouge1": {"lead": 22.2, "nearest": 23.4},
            "rouge2": {"lead": 7.9, "nearest": 5.6},
            "rougeL": {"lead": 20.7, "nearest": 23.3},
        },
        "classification": {
            "accuracy": {"majority": 51.3, "naive_bayes": 82.9},
            "f1": {"majority": 34.0, "naive_bayes": 82.8},
        },
    }
    for task, metrics in baselines.items():
        for metric, values in metrics.items():
            for variant, value in values.items():
                rows.append(
                    row(
                        "baseline",
                        task,
                        "baseline",
                        metric,
                        value,
                        variant=variant,
                        better="lower" if "bits" in metric else "higher",
                        run=f"baselines/{task}",
                    )
                )
    for task in ("lm", "translation"):
        for a, architecture in enumerate(TASKS[task][:2]):
            for round_ in range(5):
                common: dict[str, Any] = {"replicate": round_, "run": f"speed/{task}"}
                speeds = []
                for length in (16, 64, 256, 1024):
                    speed = 20_000 / (1 + length / (1500, 4000)[a]) * (1, 1.3)[a] * noise.uniform(0.96, 1.04)
                    speeds.append(speed)
                    rows.append(
                        row(
                            "speed",
                            task,
                            architecture,
                            "train_tokens_per_second",
                            speed,
                            unit="tokens/s",
                            variable="length",
                            at=float(length),
                            **common,
                        )
                    )
                    rows.append(
                        row(
                            "speed",
                            task,
                            architecture,
                            "train_step_seconds",
                            4096 / speed,
                            unit="seconds",
                            better="lower",
                            variable="length",
                            at=float(length),
                            **common,
                        )
                    )
                rows.append(
                    row(
                        "speed",
                        task,
                        architecture,
                        "throughput_kept",
                        speeds[-1] / speeds[0],
                        unit="ratio",
                        variable="length",
                        **common,
                    )
                )
                for batch in (1, 4, 16, 64):
                    for experiment, metric, run in (
                        ("speed", "train_tokens_per_second", f"speed/{task}"),
                        ("generation", "generated_tokens_per_second", f"generation/{task}"),
                    ):
                        rows.append(
                            row(
                                experiment,
                                task,
                                architecture,
                                metric,
                                900 * batch ** (0.6, 0.7)[a] * noise.uniform(0.97, 1.03),
                                unit="tokens/s",
                                variable="batch",
                                at=float(batch),
                                replicate=round_,
                                run=run,
                            )
                        )
                for experiment in ("speed", "generation"):
                    rows.append(
                        row(
                            experiment,
                            task,
                            architecture,
                            "batch_gain",
                            (12.0, 18.0)[a] + noise.gauss(0, 0.3),
                            unit="ratio",
                            variable="batch",
                            replicate=round_,
                            run=f"{experiment}/{task}",
                        )
                    )
    for variant, value in (("fp32", 2.0e11), ("bf16", 3.9e11)):
        rows.append(
            row("device", "", "device", "matmul_flops_per_second", value, unit="flops/s", variant=variant, run="device")
        )
    for task in ("lm", "translation", "classification"):
        for architecture in TASKS[task]:
            for variant, scale in (
                ("matched", 1.0),
                ("equal_width", {"transformer": 1.0, "lstm": 1.4}.get(architecture, 1.2)),
            ):
                parts = {
                    "embedding": 512_000,
                    "mixing": int(430_000 * scale),
                    "feedforward": int(800_000 * scale),
                    "output": 2_000,
                }
                for name, value in (
                    *parts.items(),
                    ("nonembedding", sum(parts.values()) - parts["embedding"]),
                    ("total", sum(parts.values())),
                ):
                    rows.append(
                        row(
                            "anatomy",
                            task,
                            architecture,
                            f"parameters_{name}",
                            value,
                            variant=variant,
                            unit="parameters",
                            better="neither",
                            run="anatomy",
                        )
                    )
                rows.append(
                    row(
                        "anatomy",
                        task,
                        architecture,
                        "flops_per_token",
                        7.4e6 * scale,
                        variant=variant,
                        unit="flops",
                        better="lower",
                        run="anatomy",
                    )
                )
    return rows


def history_rows() -> list[dict[str, Any]]:
    """A learning curve for every training of ``evidence_rows``."""
    noise = random.Random(1)
    rows = []
    for task, architectures in TASKS.items():
        for a, architecture in enumerate(architectures):
            for replicate in range(3):
                for step in range(1, 21):
                    tokens = 60_000 * step
                    loss = 2.0 + 4 / math.sqrt(step) + (0.1, 0.0, 0.6)[a] + noise.gauss(0, 0.02)
                    rows.append(
                        {
                            "run": f"train/{task}/{architecture}/s{replicate}",
                            "task": task,
                            "architecture": architecture,
                            "variant": "pretraining" if task == "classification" else "",
                            "size": "",
                            "replicate": replicate,
                            "tokens": tokens,
                            "flops": tokens * 7.4e6,
                            "seconds": step * (3.1, 2.6, 2.4)[a],
                            "train_loss": loss,
                            "valid_bits_per_byte": loss / 1.2 if step % 2 == 0 else None,
                            "gradient_norm": 1.1,
                            "clipped": step == 1,
                            "learning_rate": 1e-3,
                        }
                    )
    return rows


def cards() -> list[dict[str, Any]]:
    """A card per task; the translation card carries markup that must never come alive on the page."""
    found = []
    for task in TASKS:
        pair = task in ("translation", "summarization")
        example: dict[str, str] = (
            {"source": "Save the file as…", "target": "Enregistrer le fichier sous…"}
            if pair
            else {"text": "In the beginning God created the heaven and the earth."}
        )
        if task == "classification":
            example["label"] = "positive"
        examples = [dict(example) for _ in range(3)]
        if task == "translation":
            examples[1] = {"source": PLANTED, "target": "{{ 7*7 }} @@label.tie"}
        splits = {
            name: {"records": n, "characters": n * 40, "bytes": n * 44, "words_median": 7.0, "words_p95": 15.0}
            for name, n in (("train", 7120), ("valid", 512), ("test", 498))
        }
        found.append(
            {
                "task": task,
                "name": f"corpus-{task}",
                "title": f"A corpus for {task}" + (PLANTED if pair else ""),
                "kind": "package",
                "source": [{"package": "example==1.0", "sha256": "ab" * 32, "bytes": 1_234_567}],
                "licence": "MIT",
                "language": "en→fr" if task == "translation" else "en",
                "splits": splits,
                "duplicates_removed": 812,
                "near_duplicates_removed": 77,
                "filtered": {"too short": 31},
                "labels": {"positive": 4100, "negative": 3020} if task == "classification" else None,
                "examples": examples,
                "sha256": "cd" * 32,
            }
        )
    return found


UNITS = {"mean": [0.5, 0.4], "low": [0.1, 0.1], "high": [0.9, 1]}
#: what two models do inside, as ``verdict.measure.activity`` tells it
ACTIVITY: dict[str, Any] = {
    "stage": "translation",
    "objective": "sequence_pairs",
    "rule": "the first",
    "record": 0,
    "candidates": 1,
    "source": ["a", "b", "<end>"],
    "read": ["<begin>", "c"],
    "next": ["c", "<end>"],
    "models": [
        {
            "run": "train/translation/lstm/s0",
            "architecture": "lstm",
            "seed": 0,
            "bits": [3.5, 0.25],
            "layers": [
                {"mixer": {"forget": UNITS}, "cross": {"attention": [[[0.5, 0.25, 0.25], [0, 0, 1.0]]]}},
                {"mixer": {"attention": [[[1.0, 0.0], [0.5, 0.5]]]}},
                {"mixer": {}},
            ],
        }
    ],
}


def build(folder: Path) -> dict[str, Path]:
    """Write the whole world below ``folder``, judged by the real judge with the project's own claims; paths by name."""
    from verdict import files
    from verdict.court import claims, judge
    from verdict.court import evidence as court_evidence

    results = folder / "results"
    results.mkdir(parents=True)
    paths = {
        name: results / f"{name}{suffix}"
        for name, suffix in (
            ("evidence", ".parquet"),
            ("history", ".parquet"),
            ("ledger", ".json"),
            ("machine", ".json"),
            ("verdict", ".json"),
        )
    }
    rows = evidence_rows()
    court_evidence.write(pl.DataFrame(rows, schema=EVIDENCE), paths["evidence"])
    paths["claims"] = CLAIMS
    files.write_json(paths["verdict"], judge.judge(claims.load(CLAIMS), court_evidence.read(paths["evidence"])))
    pl.DataFrame(history_rows(), schema=HISTORY).write_parquet(paths["history"])
    runs = sorted({str(item["run"]) for item in rows})
    _dump(
        paths["ledger"],
        {
            "runs": {run: f"{i:032x}" for i, run in enumerate(runs)},
            "experiment_id": "1",
            "tracking_uri": "sqlite:///mlflow.db",
        },
    )
    _dump(
        paths["machine"],
        {
            "date": "2026-01-31",
            "cpu": "A processor " + PLANTED,
            "cores": 2,
            "memory_bytes": 8 * 2**30,
            "gpu": None,
            "system": "Linux 6.1",
            "python": "3.11.7",
            "versions": {"torch": "2.13.0", "polars": "2.1.0"},
            "commit": "0123456789abcdef" * 2,
            "edition": "smoke",
            "seconds": 81.5,
        },
    )
    for card in cards():
        path = folder / "data" / "corpus" / card["task"] / "card.json"
        path.parent.mkdir(parents=True)
        _dump(path, card)
        paths[f"card_{card['task']}"] = path
    for task in ("translation", "summarization", "classification"):
        for architecture in TASKS[task]:
            for replicate in range(3):
                path = folder / "runs" / task / architecture / f"s{replicate}" / "outputs.jsonl"
                path.parent.mkdir(parents=True)
                with path.open("w", encoding="utf-8") as file:
                    for i in range(40):
                        for variant in ("greedy", "beam") if task != "classification" else ("scratch", "pretrained"):
                            record = {
                                "source": f"Source {i} {PLANTED if i == 0 else ''}",
                                "reference": f"Référence {i}",
                                "output": f"{architecture} sortie {i}",
                                "variant": variant,
                            }
                            if task == "classification":
                                record["text"] = record.pop("source")
                            file.write(json.dumps(record, ensure_ascii=False) + "\n")
                paths[f"outputs_{task}_{architecture}_{replicate}"] = path
    paths["activity_translation"] = folder / "measurements" / "activity" / "translation.json"
    paths["activity_translation"].parent.mkdir(parents=True)
    _dump(paths["activity_translation"], ACTIVITY)
    return paths


def _dump(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
