"""Whatever stands in evidence, docket, cards, outputs, ledger and machine, on the page it is text."""

import re
from html.parser import HTMLParser
from pathlib import Path


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attributes}))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_what_is_planted_is_text(hostile_page: Path, built: dict[str, Path]) -> None:
    text = hostile_page.read_text(encoding="utf-8")
    page, plain = Elements(text), Elements(built["page"].read_text(encoding="utf-8"))
    assert {tag for tag, _ in page.found} <= {tag for tag, _ in plain.found}
    assert [tag for tag, _ in page.found].count("base") == 0
    names = {(tag, name) for tag, told in plain.found for name in told}
    assert {(tag, name) for tag, told in page.found for name in told} <= names
    assert [name for _, told in page.found for name in told if name.startswith("on")] == []
    addresses = [told[name] for _, told in page.found for name in ("href", "src", "action") if name in told]
    assert [one for one in addresses if not re.match(r"#|data:,$|data:image/", one)] == []
    running = [told for tag, told in page.found if tag == "script" and told.get("type") != "application/json"]
    assert len(running) == 2
    assert "</script><script>window" not in text
    assert "&lt;/script&gt;&lt;script&gt;window.planted=1" in text
    assert "{{ 7*7 }}" in text
    assert sum("window.planted=1" in one for one in page.texts) > 100
