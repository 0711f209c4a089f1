"""The page as one text: templates filled, charts and their library laid in, a policy that lets nothing else run."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import polars as pl
from altair.utils.schemapi import debug_mode
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from verdict.page import charts, library
from verdict.page.content import assemble
from verdict.page.content.naming import Naming
from verdict.page.content.order import LABELS
from verdict.page.content.texts import SAMPLES
from verdict.page.figures import pointer
from verdict.page.inputs import Inputs
from verdict.page.words import LANGUAGES, TOKEN, Words

# shapes in a box of 12 × 12, drawn as the charts draw them
_MARKS = {
    "circle": '<circle cx="6" cy="6" r="4.5"/>',
    "square": '<rect x="2" y="2" width="8" height="8"/>',
    "triangle-up": '<path d="M6 1.5 11 10.5H1Z"/>',
    "triangle-down": '<path d="M6 10.5 11 1.5H1Z"/>',
    "triangle-right": '<path d="M10.5 6 1.5 11V1Z"/>',
    "triangle-left": '<path d="M1.5 6 10.5 11V1Z"/>',
    "diamond": '<path d="M6 .8 11 6 6 11.2 1 6Z"/>',
    "cross": '<path d="M4.5 1h3v3.5H11v3H7.5V11h-3V7.500H1v-3h3.500Z"/>',
}


#: thumbs as the familiar page has them, drawn so that they look alike everywhere; what is neither has its own sign
_THUMB = (
    '<svg class="thumb" viewBox="0 0 16 16" aria-hidden="true" focusable="false"><path{turn} d="'
    "M1 7h3v8H1zM5 7.2 8.2 1c1.1 0 1.9.8 1.9 1.9V6h3.6c.9 0 1.5.8 1.3 1.7l-1.3 6c-.2.8-.8 1.3-1.6 1.3H6.2"
    'c-.7 0-1.2-.5-1.2-1.2z"/></svg>'
)
_SIGNS = {
    "supported": _THUMB.format(turn=""),
    "contradicted": _THUMB.format(turn=' transform="rotate(180 8 8)"'),
    "only_when": "◐",
    "tie": "＝",
    "inconclusive": "?",
    "not_tried": "○",
}
_SCRIPT_WORDS = ("chooser.any", "figure.never", "claim.copied", "table.replicate", "table.run", "table.model")
#: what a chart says in the page's words
_KEY = re.compile(re.escape(TOKEN) + r"([a-z_]+(?:\.\w+)+)")
METHOD_NOTES = ("one_path", "same_budget", "replicates", "pairing", "bytes", "alone", "machines", "margins", "cover")


def render(inputs: Inputs, words: Words, card: str | None = None, bundle: Callable[[], str] = library.bundle) -> str:
    """The whole page as HTML (UTF-8 text, a few megabytes at most). Pure: the same inputs give the same text.

    ``card``: address of the picture for links to the page; ``bundle``: gives the charts' library.
    """
    naming = named(inputs, words)
    words = naming.words
    # each part of a chart would be validated while it is made and again in the whole: the tests validate the whole
    with debug_mode(False):
        shown = assemble(naming)
    script = Markup(in_script(_resource("page.js")))
    specs = {item["id"]: script_json(item["panel"].spec) for item in shown["gallery"].items}
    environment = Environment(
        loader=PackageLoader("verdict.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["english"] = english
    environment.globals.update(
        t=words.t,
        naming=naming,
        words=words,
        fig=naming.fig,
        pointer=pointer,
        slug=slug,
        json=script_json,
        labels=LABELS,
        sign=sign,
        mark=lambda name: mark(name),
        count=lambda name: Markup('<span data-count="{}"></span>').format(name),
        run_ids=naming.run_ids,
        paths=inputs.paths,
        edition=f" --config edition={inputs.machine['edition']}" if inputs.machine.get("edition") else "",
    )
    template, library_script = environment.get_template("page.html.j2"), Markup(in_script(bundle()))
    return template.render(
        **shown,
        specs=specs,
        script_words=script_words(specs.values(), shown["chooser"]["choices"], words),
        claim_rows={claim["id"]: claim["rows"] for claim in shown["claims"]},
        evidence=table_json(inputs.table),
        samples=SAMPLES,
        card=card,
        house=inputs.rules,
        method_notes=METHOD_NOTES,
        tracking=inputs.ledger.get("tracking_uri", ""),
        style=Markup(_resource("page.css")),
        script=script,
        bundle=library_script,
        policy=policy(script, library_script),
    )


def named(inputs: Inputs, words: Words) -> Naming:
    """What things are called on the page: by the words, and by the docket where it names them."""
    more = {
        "metric": {name: text.model_dump() for name, text in inputs.claims.metrics.items()},
        "architecture": {name: text.model_dump() for name, text in inputs.claims.architectures.items()},
    }
    return Naming(inputs, words.extended(more))


def policy(*scripts: str) -> str:
    """A content security policy: no network at all, and no script but these very texts (by their hash)."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode()}'" for text in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def in_script(text: str) -> str:
    """Script text as it may stand inside ``<script>``; line ends as the parser leaves them, or the hash differs."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"<(/script|!--)", lambda found: "<\\" + found[1], text, flags=re.IGNORECASE)


def script_json(value: Any) -> Markup:
    """JSON that may stand inside ``<script type="application/json">``: no ``<``, whatever the data hold.

    Raises ``ValueError`` for NaN and infinities.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def script_words(specs: Iterable[str], choices: dict[str, list[Any]], words: Words) -> dict[str, dict[str, str]]:
    """The texts that the page's script puts in: language → key → text. They are those of the charts' tokens (in their
    JSON), of the chooser's options and of ``_SCRIPT_WORDS``."""
    used = {key for spec in specs for key in _KEY.findall(spec)}
    used |= {f"{name}.{value}" for name, values in choices.items() for value in values if isinstance(value, str)}
    used |= set(_SCRIPT_WORDS)
    return {lang: {key: words.plain(key, lang) for key in sorted(used) if key in words} for lang in LANGUAGES}


def english(text: Markup) -> str:
    """The English of a text in all languages, without markup."""
    reader = _English()
    reader.feed(str(text))
    return " ".join("".join(reader.parts).split())


class _English(HTMLParser):
    """Collects the text that stands in no element of another language."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._open: list[bool] = []  # of every open element, whether it or one around it is foreign

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        foreign = dict(attrs).get("lang", "en") != "en"
        self._open.append(foreign or bool(self._open and self._open[-1]))

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if not (self._open and self._open[-1]):
            self.parts.append(data)


def sign(label: str) -> Markup:
    """A label's sign, which stands beside its word and is not read out."""
    return Markup(_SIGNS[label])


def table_json(table: pl.DataFrame) -> Markup:
    """The evidence for the page's script, as JSON column by column: numbers as they are, ``"inf"`` for never reached,
    texts as places in a list of the distinct ones."""
    texts: dict[str, list[str]] = {}
    columns = []
    for values in table:
        if values.dtype == pl.String:
            texts[values.name] = values.unique().sort().to_list()
            values = values.rank("dense") - 1
        numbers = values.cast(pl.String).replace("inf", '"inf"').fill_null("null").str.join(",").item()
        columns.append(f'"{values.name}":[{numbers}]')
    return Markup('{{"names":{},"texts":{},"columns":{{{}}}}}').format(
        script_json(table.columns), script_json(texts), Markup(",".join(columns))
    )


def mark(name: str) -> Markup:
    """An architecture's shape in its colour, as a small inline picture beside its name."""
    shape = charts.shape_of(name)
    drawn = _MARKS.get(shape) or f'<path transform="translate(6 6) scale(5)" d="{shape}"/>'
    return Markup(
        f'<svg class="mark arch-{charts.kind_of(name)}" viewBox="0 0 12 12" aria-hidden="true" focusable="false">'
        f"{drawn}</svg>"
    )


def slug(name: str) -> str:
    """A run's name as an id: distinct names stay distinct."""
    return re.sub(r"[^A-Za-z0-9]", lambda found: "-" if found[0] == "/" else f"_{ord(found[0]):x}", name)


def _resource(name: str) -> str:
    return resources.files("verdict.page").joinpath("templates", name).read_text(encoding="utf-8")
