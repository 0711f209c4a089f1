"""Where everything came from: machine, versions, hashes, runs, and what this run did not try."""

from typing import Any

from markupsafe import Markup, escape

from verdict.page.content.naming import Naming
from verdict.page.figures import pointer
from verdict.page.inputs import Elsewhere

Facts = list[tuple[str, Markup]]


def _facts(naming: Naming, machine: dict[str, Any], source: str) -> Facts:
    """What a machine.json (known to the figures as ``source``) tells, in reading order."""
    facts = []
    for key in ("date", "cpu", "cores", "memory_bytes", "gpu", "system", "python", "edition", "seconds", "commit"):
        value = machine.get(key)
        if value is None:
            continue
        if isinstance(value, int | float) and not isinstance(value, bool):
            shown = naming.fig.pointed(value, source, pointer(key), "bytes" if key == "memory_bytes" else "seconds")
        elif key == "date":
            shown = naming.fig.date(value)
        else:
            shown = Markup("<code>{}</code>").format(value) if key == "commit" else escape(str(value))
        facts.append((key, shown))
    return facts


def _elsewhere(naming: Naming, number: int, other: Elsewhere) -> dict[str, Any]:
    """A run on another kind of device: its folder and the facts of its machine."""
    facts = _facts(naming, other.machine, f"machine:{number}")
    facts.append(("recorded_docket_sha256", Markup('<code class="hash">{}</code>').format(other.docket_sha256)))
    return {"folder": other.folder, "facts": facts}


def machine(naming: Naming) -> dict[str, Any]:
    """The machine's facts in reading order, and those of runs on other kinds of devices."""
    machine = naming.inputs.machine
    facts = _facts(naming, machine, "machine")
    for key in ("docket_sha256", "recorded_docket_sha256", "evidence_sha256"):
        if naming.inputs.verdict.get(key) is None:
            continue
        facts.append((key, Markup('<code class="hash">{}</code>').format(naming.inputs.verdict[key])))
    for name, digest in naming.inputs.md5.items():
        facts.append(("md5", Markup('{} <code class="hash">{}</code>').format(name, digest)))
    matmul = [row for row in naming.inputs.evidence if row["metric"] == "matmul_flops_per_second"]
    if matmul:
        several = len({row["device"] for row in matmul}) > 1
        told = [
            naming.listed(
                [naming.words.name("device", row["device"])] * several
                + [Markup("{} {}").format(naming.words.name("variant", row["variant"]), naming.fig.evidence(row))]
            )
            for row in matmul
        ]
        facts.insert(2, ("matmul", naming.listed(told)))
    made = ("cpu", "date")  # what the first line of the page says of it
    return {
        "scale": _scale(naming),
        "made": [shown for key, shown in facts if key in made],
        "facts": facts,
        "others": [_elsewhere(naming, number, other) for number, other in enumerate(naming.inputs.others)],
        "versions": sorted((machine.get("versions") or {}).items()),
    }


def _scale(naming: Naming) -> Markup | None:
    """How large the largest model is, and how much the longest training read; None without trainings."""
    rows = naming.inputs.evidence
    largest = {
        metric: max((row for row in rows if row["metric"] == metric), key=lambda row: row["value"], default=None)
        for metric in ("parameters_total", "train_tokens")
    }
    parameters, tokens = largest["parameters_total"], largest["train_tokens"]
    if parameters is None or tokens is None:
        return None
    return naming.words.t(
        "page.scale",
        parameters=naming.fig.evidence(parameters),
        tokens=naming.fig.evidence(tokens),
        edition=naming.words.name("size", naming.inputs.machine.get("edition") or ""),
    )


def runs(naming: Naming) -> list[dict[str, str]]:
    """Every run that the page names, with its id in the ledger."""
    names = {row["run"] for row in naming.inputs.evidence} | {item.run for item in naming.inputs.outputs}
    return [{"name": name, "id": naming.run_ids.get(name, "")} for name in sorted(names | set(naming.run_ids)) if name]


def untried(naming: Naming) -> list[Markup]:
    """What this run did not try, so that nobody reads it out of the page: devices, conditions without rows, claims."""
    words, inputs = naming.words, naming.inputs
    devices = {row["device"] for row in inputs.evidence}
    found = [
        words.t("untried.device", name=words.name("device", name)) for name in ("cpu", "cuda") if name not in devices
    ]
    experiments = {row["experiment"] for row in inputs.evidence}
    if "cost" in experiments and not any(row["unit"] == "J" for row in inputs.evidence):
        found.append(words.t("untried.joules"))
    for claim in inputs.verdict["claims"]:
        missing = [test["name"] for test in claim["tests"] if test["label"] == "not_tried"]
        known = {test.name: test for test in inputs.claims.claim(claim["id"]).tests}
        found += [
            Markup("<b>{}</b> {}").format(claim["id"], words.both(known[name].reads.model_dump()))
            for name in dict.fromkeys(missing)
            if name in known
        ]
    return [*found, *(words.t("untried.always." + key) for key in ("scale", "corpora", "variants", "sessions"))]
