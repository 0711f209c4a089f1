"""A synthetic table in the form of the real one, with planted differences; it never leaves the tests."""

import random
from typing import Any

import polars as pl

from verdict.court import evidence

Row = dict[str, Any]
ARCHITECTURES = ("transformer", "lstm")


def table(seed: int = 0, **world: float) -> pl.DataFrame:
    """Evidence of a quick edition: three seeds, five timing rounds, two tasks timed on one device."""
    return evidence.frame(rows(seed, **world))


def rows(seed: int = 0, quality: float = 1.0, speed: float = 2.0) -> list[Row]:
    """``quality`` scales the planted gaps of quality (0: none, −1: turned round), ``speed`` is the LSTM's slowness."""
    chance = random.Random(seed)
    made: list[Row] = []

    def add(experiment: str, task: str, architecture: str, metric: str, value: float, unit: str, better: str, **more):
        run = more.pop("run", f"{experiment}/{task}/{architecture}")
        made.append(
            {"experiment": experiment, "task": task, "architecture": architecture, "metric": metric, "value": value,
             "unit": unit, "better": better, "run": run, "device": "cpu", "size": "", **more}
        )  # fmt: skip

    for replicate in range(3):
        luck = chance.gauss(0, 0.4)  # shared by the pair: the same data order
        for name, gap in (("transformer", 0.0), ("lstm", 2.5), ("lstm_no_attention", 12.0)):
            run = f"train/translation/{name}/s{replicate}"
            here = {"replicate": replicate, "run": run, "matching": "parameters"}
            for variant, extra in (("greedy", 0.0), ("beam", 1.1)):
                for metric, base in (("chrf", 44.0), ("bleu", 21.0)):
                    value = base + extra - quality * gap + luck + chance.gauss(0, 0.15)
                    add("training", "translation", name, metric, value, "points", "higher", variant=variant, **here)
            bits = 1.32 * (1 + quality * gap / 60) + chance.gauss(0, 0.006)
            add("training", "translation", name, "bits_per_byte", bits, "bits/byte", "lower", **here)
            for matching in ("flops", "seconds"):
                factor = 1.06 if name == "lstm" and matching == "seconds" else 1.0
                here["matching"] = matching
                add(
                    "training", "translation", name, "valid_bits_per_byte",
                    bits * factor + chance.gauss(0, 0.01), "bits/byte", "lower", **here,
                )  # fmt: skip
        for name, gap in (("transformer", 0.0), ("lstm", 1.0)):
            here = {"replicate": replicate, "matching": "parameters", "run": f"train/lm/{name}/s{replicate}"}
            bits = 2.31 * (1 + 0.003 * gap) + chance.gauss(0, 0.004)
            add("training", "lm", name, "bits_per_byte", bits, "bits/byte", "lower", **here)
            here["run"] = f"train/summarization/{name}/s{replicate}"
            for variant, extra in (("greedy", 0.0), ("beam", 0.8)):
                for metric, base in (("rouge1", 46.0), ("rouge2", 28.0), ("rougeL", 44.0)):
                    value = base + extra - 3 * quality * gap + chance.gauss(0, 0.5)
                    add("training", "summarization", name, metric, value, "points", "higher", variant=variant, **here)
            here["run"] = f"train/classification/{name}/s{replicate}"
            for variant, base in (("scratch", 71.0), ("pretrained", 77.0)):
                for metric in ("accuracy", "f1"):
                    value = base - quality * gap * (variant == "scratch") + chance.gauss(0, 0.7)
                    add("training", "classification", name, metric, value, "%", "higher", variant=variant, **here)
            for task in ("lm", "translation"):
                add(
                    "time_to_quality", task, name, "seconds_sought", 200.0, "s", "neither",
                    replicate=replicate, run=f"train/{task}/{name}/s{replicate}",
                )  # fmt: skip
            for task, targets in (("lm", (3.0, 2.6, 2.4)), ("translation", (2.4, 1.8, 1.4))):
                for order, target in enumerate(targets):
                    seconds = 12.0 * 2.2**order * (speed if name == "lstm" else 1.0) * chance.gauss(1, 0.04)
                    never = name == "lstm" and order == 2 and (task == "translation" or replicate == 1)
                    add(
                        "time_to_quality", task, name, "seconds_to_target", float("inf") if never else seconds,
                        "s", "lower", variable="target_bits_per_byte", at=target, replicate=replicate,
                        run=f"train/{task}/{name}/s{replicate}",
                    )  # fmt: skip
    for task in ("translation", "summarization"):
        for variant, value in (("copy", 24.0), ("lead", 27.0), ("most_frequent", 8.0), ("nearest", 29.0)):
            for metric in ("chrf", "bleu") if task == "translation" else ("rouge1", "rouge2", "rougeL"):
                add("baseline", task, "baseline", metric, value, "points", "higher", variant=variant)
    for round_ in range(5):
        for name in ARCHITECTURES:
            slow = speed if name == "lstm" else 1.0
            for task in ("lm", "translation"):
                here = {"replicate": round_, "run": f"speed/{task}"}
                rates = {}
                own = 20500 / slow * chance.gauss(1, 0.02)
                add("speed", task, name, "train_tokens_per_second", own, "tokens/s", "higher", **here)
                for length in (32, 64, 128, 256):
                    drag = 1 + length / 2000 if name == "transformer" else 1 + length / 400
                    rates[length] = 21000 / slow / drag * chance.gauss(1, 0.02)
                    swept = {"variable": "length", "at": length, **here}
                    step, memory = 2048 / rates[length], 4e8 * (1 + length / 900)
                    add("speed", task, name, "train_tokens_per_second", rates[length], "tokens/s", "higher", **swept)
                    add("speed", task, name, "train_step_seconds", step, "s", "lower", **swept)
                    add("speed", task, name, "peak_memory_bytes", memory / slow**0.5, "bytes", "lower", **swept)
                kept = rates[256] / rates[32]
                add("speed", task, name, "throughput_kept", kept, "ratio", "higher", **here)
                for size in ("batch 1", "batch 16") if task == "lm" else ():
                    swept = {**here, "size": size, "run": "parallelism"}
                    for length in (32, 256):
                        rate = rates[length] * chance.gauss(1, 0.02)
                        add(
                            "parallelism", task, name, "train_tokens_per_second", rate, "tokens/s", "higher",
                            variable="length", at=length, **swept,
                        )  # fmt: skip
                    add("parallelism", task, name, "throughput_kept", kept, "ratio", "higher", **swept)
                for batch in (1, 8, 64):
                    rate = 2500 * batch**0.4 / slow * chance.gauss(1, 0.02)
                    swept = {"variable": "batch", "at": batch, **here}
                    add("speed", task, name, "train_tokens_per_second", rate, "tokens/s", "higher", **swept)
                add("speed", task, name, "batch_gain", 64**0.4 * chance.gauss(1, 0.02), "ratio", "higher", **here)
                here["run"] = f"generation/{task}"
                for batch in (1, 16):
                    rate = 260 * batch**0.7 * (1.6 if name == "lstm" else 1.0) * chance.gauss(1, 0.03)
                    swept = {"variable": "batch", "at": batch, **here}
                    add("generation", task, name, "generated_tokens_per_second", rate, "tokens/s", "higher", **swept)
                    add("generation", task, name, "seconds_per_generated_token", 1 / rate, "s", "lower", **swept)
                gain = 16**0.7 * (1.3 if name == "lstm" else 1.0) * chance.gauss(1, 0.03)
                add("generation", task, name, "batch_gain", gain, "ratio", "higher", **here)
    for task in ("lm", "translation", "classification"):
        for name, inner in (("transformer", 12), ("lstm", 8)):
            for variant in ("equal_width", "matched"):
                width, layers = (128, 2) if variant == "equal_width" or name == "transformer" else (156, 2)
                body, table_size = inner * width**2 * layers, 4096 * width
                here = {"variant": variant, "run": "anatomy"}
                add("anatomy", task, name, "parameters_total", body + table_size, "parameters", "neither", **here)
                add("anatomy", task, name, "parameters_nonembedding", body, "parameters", "neither", **here)
                add("anatomy", task, name, "parameters_embedding", table_size, "parameters", "neither", **here)
                add("anatomy", task, name, "flops_per_token", 6 * body, "FLOPs", "neither", **here)
    for replicate in range(3):
        for name, gap in (("transformer", 0.0), ("lstm", 2.5)):
            for task, metric, base in (
                ("translation", "valid_chrf", 44.0), ("summarization", "valid_rougeL", 44.0),
            ):  # fmt: skip
                for matching in ("flops", "seconds"):
                    value = base - quality * gap + chance.gauss(0, 0.15)
                    here = {"replicate": replicate, "run": f"matched/{task}", "matching": matching}
                    add("training", task, name, metric, value, "points", "higher", **here)
    for task, metric in (("translation", "valid_chrf"), ("summarization", "valid_rougeL")):
        for variant, value in (("copy", 24.0), ("nearest", 29.0)):
            add("baseline", task, "baseline", metric, value, "points", "higher", variant=variant)
    add("device", "", "device", "matmul_flops_per_second", 9.1e10, "FLOPs/s", "higher", variant="fp32")
    return made
