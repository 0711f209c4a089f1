"""Generation, greedy and by beams, of ours against Hugging Face's ``generate``; fp32; the same outputs are checked."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor

from benchmarks.performance import peers, sizes
from benchmarks.performance.contest import Built, Spec, paired, tell, workers
from benchmarks.performance.peers import PEERS, Way
from benchmarks.performance.plan import Plan
from benchmarks.performance.sizes import Size
from benchmarks.performance.table import Row, ratios, row
from verdict.models.generation import beam_search
from verdict.models.settings import Family
from verdict.tokens import tokenizer as bpe

SECTION = "generation"
#: who generates; the plain LSTM stack has no attention, so it is left to the training
OURS = ("transformer", "lstm")
FAMILIES: tuple[Family, ...] = ("language_model", "encoder_decoder")
#: no piece ends a text: all contestants generate as many pieces
NEVER = -1
#: outputs of so many rows at least are compared, and so many of them must be the same pieces to the last: a near tie
#: may fall either way, and what follows it is another text
COMPARED, EQUAL = 8, 0.75


def parts(plan: Plan) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """One comparison each."""
    for name, size, beams in searches(plan):
        yield name, partial(compare, size, beams, plan)


def searches(plan: Plan) -> Iterator[tuple[str, Size, int]]:
    """The name, the size and the beams of each search, by families."""
    for family, (width, rows, count, beams) in product(FAMILIES, plan.generation):
        per_row = count * (2 if family == "encoder_decoder" else 1)
        yield (
            f"{family}-{width}-{rows}x{count}-beams{beams}",
            plan.size(family, width, count, tokens=rows * per_row),
            beams,
        )


def kind(size: Size, beams: int) -> str:
    """What a table calls a search."""
    return f"{size.family}, {f'{beams} beams' if beams > 1 else 'greedy'}"


def compare(size: Size, beams: int, plan: Plan) -> list[Row]:
    """Rates of all, and how many times as fast as each peer ours are."""
    columns: dict[str, Any] = {"precision": "fp32", "threads": plan.threads, **size.columns}
    model = kind(size, beams)
    names = [name for name, known in PEERS.items() if "Hugging Face" in name and size.family in known.families]
    found = []
    for name in names:
        told = tell(check, name, size, beams, threads=plan.threads)
        note = f"without {told['without']} on both sides" if told["without"] else "the same model"
        found.append(
            row(SECTION, model, name, "rows with the same outputs", [told["equal"]], "share", note=note, **columns)
        )
    specs = {name: Spec(ours, (name, size, beams), plan.threads) for name in OURS}
    for name in names:
        # of a single position the ways to compute attention differ in nothing: one of them stands for all
        attention = PEERS[name].attentions[0]
        specs[f"{name}, {attention}"] = Spec(theirs, (name, size, attention, beams), plan.threads)
        specs[f"{name}, as shipped"] = Spec(theirs, (name, size, "", beams), plan.threads, prepared=False)
    with workers(specs) as made:
        seconds = paired({name: worker.asks()["generate"] for name, worker in made.items()}, plan.rounds)
    pieces = size.rows * size.length
    for name, values in seconds.items():
        rates = [pieces / value for value in values]
        found.append(row(SECTION, model, name, "tokens per second", rates, "1/s", **columns))
    for name in OURS:
        for other in seconds:
            if other != name:
                found.append(ratios(SECTION, f"{model}: {name}", other, seconds[name], seconds[other], **columns))
    return found


def _prompts(size: Size) -> Tensor:
    """A piece of each row's own [B], so that rows are different texts."""
    return torch.randint(len(bpe.SPECIAL), size.vocabulary, (size.rows,), generator=torch.Generator().manual_seed(0))


def _our_call(model: Any, size: Size, beams: int) -> Callable[[], list[list[int]]]:
    limits, rows = torch.full((size.rows,), size.length), size.rows
    translates = size.family == "encoder_decoder"
    given = sizes.batch(size)["source"] if translates else _prompts(size)
    lengths = torch.full((rows,), size.length)
    model.eval()

    @torch.inference_mode()
    def call() -> list[list[int]]:
        if translates:
            decoding = model.start(given, lengths, size.length)
        else:
            _, decoding = model.step(given, model.start(rows, size.length + 1))
        return beam_search(model.step, decoding, rows, bpe.BEGIN, NEVER, limits, beams)

    return call


def _their_call(peer: Any, size: Size, beams: int) -> Callable[[], Tensor]:
    if size.family == "encoder_decoder":
        given = sizes.batch(size)["source"]
    else:
        given = torch.stack((_prompts(size), torch.full((size.rows,), bpe.BEGIN)), 1)
    inputs = {"input_ids": given, "attention_mask": torch.ones_like(given)}
    peer.eval()
    return lambda: peer.generate(inputs, size.length, beams)


def ours(name: str, size: Size, beams: int) -> Built:
    """A worker that generates with one of ours."""
    return {"generate": _our_call(sizes.model(name, size), size, beams)}, {}


def theirs(name: str, size: Size, attention: str, beams: int) -> Built:
    """A worker that generates with a peer; what it computes is the same either way, so users' defaults are one."""
    peer = peers.make(name, size, Way(shipped=not attention, attention=attention))
    return {"generate": _their_call(peer, size, beams)}, {}


def check(name: str, size: Size, beams: int) -> Built:
    """A worker that does nothing but compare outputs; raises ``ArithmeticError`` if too few rows are the same."""
    size = replace(size, tokens=size.tokens * max(1, COMPARED // size.rows))
    mine, peer = peers.twins(name, size)
    one, other = _our_call(mine, size, beams)(), _their_call(peer, size, beams)().tolist()
    equal = sum(a == b for a, b in zip(one, other, strict=True)) / size.rows
    if equal < EQUAL:
        raise ArithmeticError(f"{name} generates the same pieces as ours in only {equal:.0%} of the rows")
    return {}, {"equal": equal, "without": ", ".join(peer.without)}
