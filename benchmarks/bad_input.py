"""Bad input by the hundred: is each taken without harm, or told in one clear sentence?

    python benchmarks/bad_input.py
    python benchmarks/bad_input.py --count 2000 --seed 1 --only "own text"

Prints a Markdown table (docs/reliability.md shows one) and what is wrong, if anything is; the exit code is then 1. The
inputs are those of tests/faults/inputs.py, made anew from the seed; what counts as wrong stands in
tests/faults/promise.py: a traceback, a sentence that is not one readable line or names neither file nor key, something
accepted that ends a later step, something half-made or lost, or more than a minute of computing.
"""

import argparse
import hashlib
import random
import shlex
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
#: seconds of computing that an input may take
PATIENCE = 60
LABELS = ("accepted", "told", "wrong")


def give_up(*_: object) -> None:
    """What the timer does."""
    raise TimeoutError(f"it took more than {PATIENCE} s")


def main() -> None:
    """Try every kind of input and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="distinct inputs of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--only", default="", help="kinds whose name has this in it (default: all)")
    given = parser.parse_args()

    sys.path[:0] = [str(TESTS), str(TESTS / "court"), str(TESTS / "faults")]
    import commands
    import tiny
    from promise import KINDS, Kind, Outcome, left

    def tried(kind: Kind, chance: random.Random, seen: set[str]) -> tuple[str, Outcome] | None:
        made = kind.make(chance)
        limit = sys.get_int_max_str_digits()  # some inputs have numbers that Python refuses to write
        sys.set_int_max_str_digits(0)
        name = hashlib.sha256(repr(made).encode(errors="surrogatepass")).hexdigest()
        sys.set_int_max_str_digits(limit)
        if name in seen:
            return None
        seen.add(name)
        about = made[1] if isinstance(made, tuple) else made.about
        with tempfile.TemporaryDirectory() as folder:
            signal.setitimer(signal.ITIMER_PROF, PATIENCE)
            outcome = kind.attempt(made, Path(folder))
            signal.setitimer(signal.ITIMER_PROF, 0)
        return about, outcome

    signal.signal(signal.SIGPROF, give_up)
    with tempfile.TemporaryDirectory() as name:
        kinds = dict(KINDS)
        if given.only in "command lines":
            world = Path(name)
            tiny.run_everything(world)
            commands.finish(world)
            kinds["command lines"] = commands.command_kind(world)
            before = left(world)
        print("| input | enters at | distinct | accepted, harmless | told in one sentence | wrong | s |")
        print("|---|---|---|---|---|---|---|")
        total: Counter[str] = Counter()
        wrong: list[str] = []
        for title, kind in kinds.items():
            if given.only not in title:
                continue
            counts: Counter[str] = Counter()
            seen: set[str] = set()
            begun, number = time.monotonic(), 0
            while len(seen) < given.count and number < 10 * given.count:
                found = tried(kind, random.Random(f"{given.seed} {title} {number}"), seen)
                number += 1
                if found:
                    counts[found[1].label] += 1
                    if found[1].label == "wrong":
                        wrong.append(f"{title} number {number - 1} ({found[0][:200]}): {found[1].said}")
            total += counts
            cells = " | ".join(f"{counts[label]:,}" for label in LABELS)
            print(f"| {title} | {kind.enters} | {len(seen):,} | {cells} | {time.monotonic() - begun:.0f} |", flush=True)
        if "command lines" in kinds and left(world) != before:
            wrong.append("command lines: the folder that was copied from has changed")
    cells = " | ".join(f"{total[label]:,}" for label in LABELS)
    print(f"| all | | {sum(total.values()):,} | {cells} | |\n")
    print(f"`python {shlex.join(['benchmarks/bad_input.py', *sys.argv[1:]])}`")
    for sentence in wrong:
        print(f"wrong: {sentence}", file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
