"""``python -m verdict.measure.parallelism``: what can be done at once, what must wait, and what it costs.

Takes an encoded language-model task; leaves parallelism.json (rows): training and generation over threads and batch;
a map of training speed over batch and length, with utilisation and the lengths at which one architecture overtakes
another; the longest chain of dependent products; fused kernels beside plain code; and the cost of a million tokens in
time, memory and, where the device tells it, energy. All contestants are timed in turns with equal parameters.
"""

import argparse
import sys
from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from verdict.arguments import filled, json_argument
from verdict.device import choose_device, choose_precision, device_name, prepare
from verdict.errors import UserError, run_command
from verdict.measure import sweeps
from verdict.measure.chain import dependent_chain, read_stepwise
from verdict.measure.energy import joules, meter
from verdict.measure.implementations import agree, can_compile, implementations
from verdict.measure.machine import peak
from verdict.measure.timing import rounds, turns, with_threads
from verdict.measure.work import generator, make, shape_of, stepper, synthetic
from verdict.metrics import Report
from verdict.models.families import LanguageModel
from verdict.tokens.arrays import load_array
from verdict.training.objectives import training_flops
from verdict.training.settings import Job, device_of

Call = Callable[[], object]
Name = TypeVar("Name", bound=Hashable)
#: seconds per call in each round
Seconds = list[float]

#: largest relative difference between a recorded model and the one that trains, and between implementations (fp32)
RECORDED, REIMPLEMENTED = 1e-5, 1e-4


@dataclass(frozen=True)
class Settings:
    """What to measure."""

    #: one language-model job per architecture
    jobs: list[Job]
    #: rounds of turns
    rounds: int = 5
    #: pieces per sequence where threads, order and implementations are compared
    length: int = 64
    #: sequences at once where many are compared with one
    large_batch: int = 16
    #: pieces generated per sequence in a timed call
    generation_tokens: int = 16
    #: the map: sequences per batch (1 is always measured) × pieces per sequence, up to ``most_tokens`` pieces
    batches: list[int] = field(default_factory=lambda: [4, 16])
    lengths: list[int] = field(default_factory=lambda: [16, 64, 256, 1024])
    most_tokens: int = 4096
    #: pieces per sequence whose dependent products are counted
    chain_lengths: list[int] = field(default_factory=lambda: [16, 32, 64])
    #: whether plain code is also timed as torch.compile makes it (needs a C++ compiler and minutes: a loop over steps
    #: is unrolled)
    compile: bool = False
    #: pieces per sequence in training, and before those generated, for which costs are told (each from 1)
    contexts: list[int] = field(default_factory=lambda: [32, 128, 512])
    #: pieces per batch for which the cost of training is told
    cost_tokens: int = 1024


class Bench:
    """The architectures with equal parameters, what they can be asked to do, and the rows of what was measured."""

    def __init__(self, settings: Settings, tokens: Path, threads: int) -> None:
        """``tokens``: the folder of the encoded tasks. Raises ``UserError`` for jobs that cannot be compared here."""
        first = settings.jobs[0]
        for job in settings.jobs:
            if job.objective != "language_model":
                raise UserError(f"`jobs`: {job.name} trains for {job.objective}; give jobs of a language model alone")
        self.settings, self.threads = settings, threads
        self.jobs = {job.architecture_name: job for job in settings.jobs}
        folder = tokens / first.task
        self.shape = shape_of(first, folder)
        self.device = choose_device(first.device)
        self.precision = choose_precision(first.precision, self.device)
        self.piece_bytes = torch.from_numpy(load_array(folder / "piece_bytes.npy")).to(self.device)
        self.models = {name: cast(LanguageModel, make(job, self.shape, self.device)) for name, job in self.jobs.items()}
        self.counter = meter(self.device)
        self.report = Report(
            "parallelism",
            {
                "parallelism": asdict(settings), "threads": threads, "precision": self.precision,
                "energy": self.counter.name if self.counter else "not told by this device",
            },
            experiment="parallelism", task=first.task, matching="parameters", device=device_name(self.device),
            implementation="kernel",
        )  # fmt: skip

    def note(self, what: str) -> None:
        """A line of progress."""
        print(f"parallelism: {what}", file=sys.stderr, flush=True)

    def pieces(self, rows: int, length: int) -> Tensor:
        """The pieces [B, T] that are read; on the CPU."""
        return synthetic(self.settings.jobs[0], self.shape.vocabulary, rows, length)["tokens"][:, :-1]

    def trains(self, name: str, model: LanguageModel, rows: int, length: int) -> Call:
        """A call that trains one step on ``rows`` sequences of ``length`` pieces."""
        batch = synthetic(self.jobs[name], self.shape.vocabulary, rows, length)
        return stepper(self.jobs[name], model.train(), [batch], self.piece_bytes, self.precision)

    def training(self, rows: int, length: int) -> dict[str, Call]:
        """``trains`` of every architecture."""
        self.note(f"training, {rows} sequences of {length}")
        return {name: self.trains(name, model, rows, length) for name, model in self.models.items()}

    def generation(self, rows: int, context: int) -> dict[str, Call]:
        """Calls that generate ``generation_tokens`` pieces for each of ``rows`` sequences after ``context``."""
        self.note(f"generation, {rows} at once after {context}")
        count = self.settings.generation_tokens
        return {name: generator(model, rows, context, count) for name, model in self.models.items()}

    def time(self, calls: Mapping[Name, Call]) -> dict[Name, Seconds]:
        """Time calls in turns: one number a round."""
        found: dict[Name, Seconds] = {name: [] for name in calls}
        for _, name, seconds in rounds(calls, self.settings.rounds, self.device):
            found[name].append(seconds)
        return found

    def add(self, metric: str, values: Seconds, unit: str, better: str, **columns: Any) -> None:
        """One row a round."""
        for number, value in enumerate(values):
            self.report.add(metric, value, unit, better, replicate=number, **columns)


def threads(bench: Bench) -> None:
    """Rows of training and generation with one thread, all, and powers of two between, for one sequence and many.

    On a graphics card there is nothing to count threads of: no rows.
    """
    if bench.device.type != "cpu":
        return
    length, count = bench.settings.length, bench.settings.generation_tokens
    _over_threads(bench, "training", "train_tokens_per_second", lambda rows: bench.training(rows, length), length)
    _over_threads(bench, "generation", "generated_tokens_per_second", lambda rows: bench.generation(rows, 0), count)


def _over_threads(bench: Bench, variant: str, metric: str, calls: Callable[[int], dict[str, Call]], each: int) -> None:
    """``calls``: of a number of sequences, with ``each`` pieces of every one."""
    counts, sizes = sweeps.thread_counts(bench.threads), sorted({1, bench.settings.large_batch})
    rates: dict[int, dict[tuple[str, int], Seconds]] = {}
    for rows in sizes:
        found = bench.time(
            {(name, count): with_threads(call, count) for name, call in calls(rows).items() for count in counts}
        )
        rates[rows] = {key: [rows * each / second for second in seconds] for key, seconds in found.items()}
        for (name, count), values in rates[rows].items():
            columns = {"architecture": name, "size": f"batch {rows}", "variable": "threads", "at": count}
            bench.add(metric, values, "token/s", "higher", **columns)
    for name in bench.models:
        columns = {"architecture": name, "variant": variant}
        for rows in sizes if len(counts) > 1 else ():
            gains = _ratios(rates[rows][name, counts[-1]], rates[rows][name, 1])
            bench.add("thread_gain", gains, "ratio", "higher", size=f"batch {rows}", **columns)
        for count in counts if len(sizes) > 1 else ():
            gains = _ratios(rates[sizes[-1]][name, count], rates[1][name, count])
            bench.add("batch_gain", gains, "ratio", "higher", variable="threads", at=count, **columns)


def grid(bench: Bench) -> None:
    """Rows of training over batch × length: speed, utilisation, who overtakes whom, and how a step's time grows."""
    settings = bench.settings
    bench.note("the peak of matrix products")
    most = peak(bench.device, bench.precision)
    for rows in sorted({1, *settings.batches}):
        lengths = [length for length in sorted(settings.lengths) if rows * length <= settings.most_tokens]
        seconds = {length: bench.time(bench.training(rows, length)) for length in lengths}
        for length, found in seconds.items():
            columns = {"size": f"batch {rows}", "variable": "length", "at": length}
            batch = {"tokens": torch.empty(rows, length + 1)}
            for name, values in found.items():
                rates = [rows * length / value for value in values]
                bench.add("train_tokens_per_second", rates, "token/s", "higher", architecture=name, **columns)
                flops = training_flops(bench.models[name], batch, needed=True)
                used = [flops / value / most for value in values]
                bench.add("utilisation", used, "ratio", "higher", architecture=name, **columns)
                if rows == 1:
                    bench.add(
                        "train_step_seconds", values, "s", "lower", architecture=name, variant="single", **columns
                    )
        if len(lengths) > 1:
            _kept(bench, rows, lengths, seconds)
            _contests(bench, rows, lengths, seconds)
            if rows == 1:
                _exponents(bench, lengths, seconds)


def _kept(bench: Bench, rows: int, lengths: list[int], seconds: dict[int, dict[str, Seconds]]) -> None:
    """The share of the rate at the shortest sequences that is kept at as many of the longest."""
    shortest, longest = lengths[0], lengths[-1]
    for name in bench.models:
        slower = _ratios(seconds[shortest][name], seconds[longest][name])
        kept = [ratio * longest / shortest for ratio in slower]
        bench.add("throughput_kept", kept, "ratio", "higher", architecture=name, size=f"batch {rows}")


def _contests(bench: Bench, rows: int, lengths: list[int], seconds: dict[int, dict[str, Seconds]]) -> None:
    for name, rival in permutations(bench.models, 2):
        columns = {"architecture": name, "variant": f"against {rival}", "size": f"batch {rows}"}
        for number in range(bench.settings.rounds):
            # equal pieces: the ratio of rates is the ratio of seconds, turned over
            ratios = [seconds[length][rival][number] / seconds[length][name][number] for length in lengths]
            stands = sweeps.contest(lengths, ratios)
            bench.report.add("faster_share", stands.faster_share, "share", "higher", replicate=number, **columns)
            bench.report.add("crossover_length", stands.overtakes_at, "token", "lower", replicate=number, **columns)


def _exponents(bench: Bench, lengths: list[int], seconds: dict[int, dict[str, Seconds]]) -> None:
    """How a step's time grows over the longer half of the lengths; below, what a step costs at any length hides it."""
    lengths = lengths[(len(lengths) - 1) // 2 :]
    for name in bench.models:
        series = zip(*(seconds[length][name] for length in lengths), strict=True)
        slopes = [sweeps.exponent(lengths, values) for values in series]
        bench.add(
            "step_time_exponent", slopes, "exponent", "lower", architecture=name, variant="single", size="batch 1"
        )


def order(bench: Bench) -> None:
    """Rows of what waiting costs: the share of a training step that is saved when the same number of pieces is given
    as sequences of one piece, so that none waits for another (and attention has nothing but itself to look at)."""
    length = bench.settings.length
    for rows in sorted({1, bench.settings.large_batch}):
        calls = {("in order", name): call for name, call in bench.training(rows, length).items()}
        calls |= {("at once", name): call for name, call in bench.training(rows * length, 1).items()}
        found = bench.time(calls)
        for name in bench.models:
            saved = [1 - ratio for ratio in _ratios(found["at once", name], found["in order", name])]
            bench.add(
                "serial_share", saved, "share", "lower",
                architecture=name, size=f"batch {rows}", variable="length", at=length,
            )  # fmt: skip


def chains(bench: Bench) -> None:
    """Rows of the longest chain of dependent products over length, recorded, and as the mixers declare it.

    Counted on the CPU. Raises ``ArithmeticError`` if what is recorded does not compute what is trained.
    """
    for name, job in bench.jobs.items():
        bench.note(f"the longest chain of {name}")
        model = cast(LanguageModel, make(job, bench.shape, torch.device("cpu"))).eval()
        for length in bench.settings.chain_lengths:
            pieces = bench.pieces(1, length)
            with torch.no_grad():
                agree(f"{name} read step by step", read_stepwise(model, pieces), model.logits(model(pieces)), RECORDED)
            columns = {"architecture": name, "variable": "length", "at": length}
            for variant, generates in (("training", False), ("generation", True)):
                longest = dependent_chain(model, pieces, generates)
                bench.report.add("dependent_chain", longest, "matrix products", "lower", variant=variant, **columns)
            declared = max(block.mixer.chain(length) for block in model.decoder.blocks)
            bench.report.add("declared_chain", declared, "matrix products", "lower", variant="training", **columns)


def software(bench: Bench) -> None:
    """Rows of training by the framework's kernel and by plain code of the same layers.

    ``kernel`` is the framework's fused one; elsewhere attention takes whichever is the faster.
    Raises ``ArithmeticError`` if an implementation computes anything else.
    """
    length, rows = bench.settings.length, bench.settings.large_batch
    pieces = bench.pieces(2, length).to(bench.device)
    compiled = bench.settings.compile and can_compile(bench.device)
    if bench.settings.compile and not compiled:
        bench.note("g++ (or what CXX names) and, on a GPU, triton are needed; compiled code is left out")
    calls: dict[tuple[str, str], Call] = {}
    for name, model in bench.models.items():
        # cuDNN's recurrent kernel multiplies in TF32 by default, which would be told as a difference
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            truth = model.eval()(pieces)
            for implementation, twin in implementations(model, compiled).items():
                bench.note(f"{name} by {implementation}")
                agree(f"{name} by {implementation}", twin(pieces), truth, REIMPLEMENTED)
                calls[name, implementation] = bench.trains(name, twin, rows, length)
    found = bench.time(calls)
    for (name, implementation), seconds in found.items():
        columns = {
            "experiment": "implementation", "architecture": name, "implementation": implementation,
            "size": f"batch {rows}", "variable": "length", "at": length,
        }  # fmt: skip
        rates = [rows * length / value for value in seconds]
        bench.add("train_tokens_per_second", rates, "token/s", "higher", **columns)
        if implementation != "kernel" and (name, "kernel") in found:
            bench.add("kernel_gain", _ratios(seconds, found[name, "kernel"]), "ratio", "neither", **columns)


def costs(bench: Bench) -> None:
    """Rows of the cost of a million tokens in training and generation, and of the memory a sequence takes, over
    context."""
    settings = bench.settings
    many, count = settings.large_batch, settings.generation_tokens
    for context in settings.contexts:
        rows = max(1, settings.cost_tokens // context)
        _cost(bench, "training", context, rows, bench.training(rows, context), rows * context)
        _cost(bench, "generation", context, many, bench.generation(many, context), many * count)
        for name, model in bench.models.items():
            bench.report.add(
                "state_bytes", state_bytes(model, context), "byte", "lower",
                experiment="cost", architecture=name, variable="context", at=context,
            )  # fmt: skip


def _cost(bench: Bench, variant: str, context: int, batch: int, calls: dict[str, Call], pieces: int) -> None:
    columns = {
        "experiment": "cost", "variant": variant, "size": f"batch {batch}", "variable": "context", "at": context,
    }  # fmt: skip
    for name, seconds in bench.time(calls).items():
        values = [value / pieces * 1e6 for value in seconds]
        bench.add("seconds_per_million_tokens", values, "s", "lower", architecture=name, **columns)
    if bench.counter is None:
        return
    for number, name in turns(list(calls), bench.settings.rounds):
        used = joules(calls[name], bench.counter, bench.device) / pieces * 1e6
        bench.report.add(
            "joules_per_million_tokens", used, "J", "lower", architecture=name, replicate=number, **columns
        )


@torch.inference_mode()
def state_bytes(model: LanguageModel, context: int) -> int:
    """Bytes of the state (a cache, where it is one) with which a sequence goes on after ``context`` >= 1 pieces.

    Raises ``ArithmeticError`` if the mixers' own account of it is not what their tensors take.
    """
    weight = model.embedding.weight
    begin = torch.zeros(1, dtype=torch.long, device=weight.device)
    _, decoding = model.step(begin, model.start(1, context))
    taken = sum(part.nbytes for part in tree_leaves(decoding.states) if isinstance(part, Tensor))
    told = sum(block.mixer.state_floats(context) for block in model.decoder.blocks) * weight.element_size()
    if taken != told:
        raise ArithmeticError(f"the state after {context} pieces takes {taken} bytes, not the {told} its mixers tell")
    return taken


def run(settings: Settings, tokens: Path, out: Path, threads_in_all: int) -> None:
    """Measure everything and write the rows. ``tokens``: the folder of the encoded tasks."""
    bench = Bench(settings, tokens, threads_in_all)
    for part in (chains, threads, grid, order, software, costs):
        part(bench)
    bench.report.write(out)


def _ratios(over: Seconds, under: Seconds) -> Seconds:
    return [one / other for one, other in zip(over, under, strict=True)]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.measure.parallelism", description=__doc__)
    parser.add_argument("--settings", type=json_argument, required=True, help="what to measure, as JSON")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the encoded tasks")
    parser.add_argument("--threads", type=int, required=True, help="CPU threads: all of the machine's")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    given = parser.parse_args()
    settings = filled(Settings, given.settings, "--settings")
    prepare(given.threads, device_of(settings.jobs))
    run(settings, given.tokens, given.out, given.threads)


if __name__ == "__main__":
    run_command(main)
