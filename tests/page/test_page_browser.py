"""The page in a real headless Chromium: no request, no error, every chart drawn with its marks, switches, chooser,
rows, sliders, keyboard, accessibility by axe, print."""

import itertools
import json
import math
import os
import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

DRAWN = "html[data-charts='drawn']"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if not found:
        pytest.fail(
            "no Chromium found: install it (Debian: apt-get install chromium fonts-noto-cjk) or run `make test`"
        )
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=[*root, "--disable-dev-shm-usage"])
        yield started
        started.close()


class Visit:
    """An open page with everything it asked for and complained about."""

    def __init__(self, browser: Browser, address: str, width: int = 1200, scheme: str = "light") -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page: Page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.errors.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(address)
        self.page.wait_for_selector(DRAWN, timeout=60_000)

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_: object) -> None:
        self.page.close()
        assert self.errors == []
        assert [url for url in self.requests if not re.match(r"file:|data:", url)] == []

    def colour_of(self, selector: str, name: str) -> str:
        return str(self.page.eval_on_selector(selector, f"e => getComputedStyle(e).{name}"))


#: in a chart's SVG, what stands for one value each
MARKS = "svg .mark-symbol path, svg .mark-rect path, svg .mark-area path"


def open_all(page: Page) -> None:
    """Unfold everything and wait until what was folded is drawn."""
    page.eval_on_selector_all("details", "all => all.forEach(e => e.open = true)")
    page.wait_for_function("[...document.querySelectorAll('.chart')].every(e => e.dataset.drawn)", timeout=60_000)


@pytest.mark.slow
def test_every_chart_is_drawn_without_network_or_errors(browser: Browser, built: dict[str, Path]) -> None:
    with Visit(browser, f"file://{built['page']}?lang=en") as visit:
        open_all(visit.page)
        assert visit.page.locator(".chart").count() > 20
        empty = visit.page.eval_on_selector_all(
            ".chart",
            f"all => all.filter(e => !e.querySelector({MARKS!r})"
            " || e.querySelector('svg').getBoundingClientRect().width < 200).map(e => e.id)",
        )
        assert empty == []
        texts = visit.page.locator(".chart svg text").all_text_contents()
        assert [text for text in texts if "@@" in text or "NaN" in text or "undefined" in text] == []
        assert visit.page.evaluate("window.planted") is None
        visit.page.locator(".chart path").first.hover(force=True)


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_is_planted_stays_asleep(browser: Browser, hostile_page: Path, lang: str) -> None:
    with Visit(browser, f"file://{hostile_page}?lang={lang}&theme=dark") as visit:  # fails of any message or request
        open_all(visit.page)
        for select in visit.page.locator("main select").all():
            select.select_option(index=select.locator("option").count() - 1)
        visit.page.locator("svg .mark-symbol path").first.hover(force=True)
        assert visit.page.evaluate("window.planted") is None
        assert (
            visit.page.evaluate("document.querySelectorAll('main img, main iframe, base, [onload], [onerror]').length")
            == 0
        )


@pytest.mark.slow
def test_charts_draw_a_mark_for_every_row(browser: Browser, built: dict[str, Path]) -> None:
    with Visit(browser, f"file://{built['page']}?lang=en") as visit:
        open_all(visit.page)
        counted = visit.page.evaluate(
            """() => [...document.querySelectorAll("script[data-chart]")].map((script) => {
                const spec = JSON.parse(script.textContent), box = document.getElementById(script.dataset.chart);
                const layers = spec.layer ?? [spec];
                const simple = layers.find((layer) => (layer.mark.type ?? layer.mark) === "point");
                const values = spec.data.values.filter((one) => (one.value ?? one.estimate ?? null) !== null);
                const drawsAll = simple && !JSON.stringify(layers).includes("place ===");
                return [script.dataset.chart, drawsAll ? values.length : -1,
                        box.querySelectorAll("svg .mark-symbol path").length];
            })"""
        )
        assert len([rows for _, rows, _ in counted if rows > 0]) > 10
        assert [one for one in counted if one[1] >= 0 and one[1] != one[2]] == []


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_narrow_screens_do_not_scroll_sideways(browser: Browser, built: dict[str, Path], lang: str) -> None:
    with Visit(browser, f"file://{built['page']}?lang={lang}", width=360) as visit:
        open_all(visit.page)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 360
        wide = visit.page.eval_on_selector_all(
            ".chart svg", "all => all.filter(e => e.getBoundingClientRect().right > 361).map(e => e.parentElement.id)"
        )
        assert wide == []


@pytest.mark.slow
def test_language_and_theme_switch_in_place_and_stay_in_the_address(browser: Browser, built: dict[str, Path]) -> None:
    with Visit(browser, f"file://{built['page']}?lang=en") as visit:
        page = visit.page
        paper = visit.colour_of("body", "backgroundColor")
        # the first chart with a swept axis: its title is a word of the page
        assert "tokens per sequence" in " ".join(page.locator(".chart svg text").all_text_contents())
        page.get_by_role("button", name="中文").click()
        page.wait_for_selector(DRAWN)
        assert page.locator("html").get_attribute("lang") == "zh-Hans"
        assert page.title() == page.locator("h1").inner_text() == "当然选 Transformer？"
        assert "每条序列的词元数" in " ".join(page.locator(".chart svg text").all_text_contents())
        shown = page.locator("main").inner_text()
        assert "Not yet tried" not in shown
        assert "尚未检验" in shown
        page.locator("#theme").click()
        page.wait_for_selector(DRAWN)
        assert visit.colour_of("body", "backgroundColor") != paper
        assert page.locator("#theme").get_attribute("aria-pressed") == "true"
        assert "lang=zh" in page.url
        assert "theme=dark" in page.url
        page.reload()
        page.wait_for_selector(DRAWN)
        assert page.locator("html").get_attribute("data-lang") == "zh"
        assert visit.colour_of("body", "backgroundColor") != paper


@pytest.mark.slow
def test_the_systems_dark_mode_is_followed(browser: Browser, built: dict[str, Path]) -> None:
    with Visit(browser, f"file://{built['page']}", scheme="dark") as visit:
        red, green, blue = map(int, re.findall(r"\d+", visit.colour_of("body", "backgroundColor"))[:3])
        assert max(red, green, blue) < 60


@pytest.mark.slow
def test_a_link_to_a_run_opens_its_list(browser: Browser, built: dict[str, Path]) -> None:
    with Visit(browser, f"file://{built['page']}?lang=en#run-speed-lm") as visit:
        assert visit.page.locator("#runs").get_attribute("open") is not None
        assert visit.page.locator("#run-speed-lm").is_visible()


@pytest.mark.slow
def test_texts_and_tables_stand_without_scripts(browser: Browser, built: dict[str, Path]) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(f"file://{built['page']}")
    assert page.locator("#answer").inner_text().strip()
    assert page.locator(".noscript").is_visible()
    assert page.locator("article.claim").count() == 21
    page.close()


@pytest.mark.slow
def test_headings_and_names_for_those_who_do_not_see(browser: Browser, built: dict[str, Path]) -> None:
    with Visit(browser, f"file://{built['page']}?lang=en") as visit:
        levels = visit.page.eval_on_selector_all("h1, h2, h3, h4", "all => all.map(e => Number(e.tagName[1]))")
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
        unnamed = visit.page.eval_on_selector_all(
            "[role=region], [role=img], button, figure .chart[role]",
            "all => all.filter(e => !e.getAttribute('aria-label') && !e.getAttribute('aria-labelledby')"
            " && !e.textContent.trim()).map(e => e.outerHTML.slice(0, 80))",
        )
        assert unnamed == []
        broken = visit.page.eval_on_selector_all(
            "[aria-labelledby]",
            "all => all.map(e => e.getAttribute('aria-labelledby')).filter(id => !document.getElementById(id))",
        )
        assert broken == []


@pytest.mark.slow
def test_the_chooser_answers_what_the_judge_found(browser: Browser, built: dict[str, Path]) -> None:
    verdict = json.loads(built["verdict"].read_text())
    with Visit(browser, f"file://{built['page']}?lang=en") as visit:
        page = visit.page
        options = {
            name: page.eval_on_selector_all(f"#chooser [name={name}] option", "all => all.map(e => e.value)")
            for name in page.eval_on_selector_all("#chooser select", "all => all.map(e => e.name)")
        }
        assert {"criterion", "task", "length"} <= options.keys()
        asked = 0
        for criterion, task in itertools.product(options["criterion"], options["task"]):
            for length in ("", *options["length"][1:]):
                for name, value in (("criterion", criterion), ("task", task), ("length", length)):
                    page.select_option(f"#chooser [name={name}]", value)
                found = {
                    line["pointer"]: line["favoured"]
                    for line in page.eval_on_selector_all(".chosen-list li", "all => all.map(e => ({...e.dataset}))")
                }
                expected = situations(verdict, criterion, task, float(length or 0))
                assert found == expected, (criterion, task, length)
                assert page.locator("#chosen").get_attribute("data-answer") == answer(expected.values())
                assert page.locator(".chosen-answer:visible").count() == 1
                known = [one["variable"] for one in verdict["final"]["situations"] if one["criterion"] == criterion]
                if length and not {"length", "context"} & set(known):
                    assert page.locator("[data-unheard=length]").is_visible()
                asked += bool(found)
        assert asked > 10


def situations(verdict: dict[str, Any], criterion: str, task: str, length: float) -> dict[str, str]:
    """What the chooser must show, from verdict.json alone: pointer → whom the evidence favours."""
    found = {
        f"/final/situations/{number}": one
        for number, one in enumerate(verdict["final"]["situations"])
        if one["label"] != "not_tried" and one["criterion"] == criterion and one["task"] in ("", task)
    }
    over_length = {place: one for place, one in found.items() if one["variable"] in ("length", "context") and one["at"]}
    if length and over_length:
        families: dict[tuple[str, ...], list[str]] = {}
        for place, one in over_length.items():
            families.setdefault(tuple(one[key] for key in ("test", "size", "matching")), []).append(place)
        series: list[list[str]] = []
        for places in families.values():
            variants = [over_length[place]["variant"] for place in places]
            ats = [over_length[place]["at"] for place in places]
            if len(set(variants)) == len(set(ats)) == len(places):  # they only name the lengths
                series.append(places)
            else:
                series += [[p for p in places if over_length[p]["variant"] == name] for name in set(variants)]

        def off(place: str) -> float:
            return abs(math.log2(over_length[place]["at"]) - math.log2(length))

        nearest = [[p for p in places if off(p) == min(map(off, places)) <= 1] for places in series]
        found = {place: over_length[place] for places in nearest for place in places}
    return {place: one["favoured"] for place, one in found.items()}


def answer(favoured: Collection[str]) -> str:
    """The chooser's sentence for situations that favour these sides."""
    if not favoured:
        return "nothing"
    decided = [side for side in favoured if side != "unresolved"]
    if not decided:
        return "unresolved"
    if not (named := set(decided) - {"no_difference"}):
        return "no_difference"
    if len(named) > 1:
        return "depends"
    side = named.pop()
    if 2 * len(decided) < len(favoured):
        return f"mostly {side}"
    return f"{'alike' if decided.count('no_difference') > decided.count(side) else 'for'} {side}"


@pytest.mark.slow
def test_a_claims_rows_are_laid_out_and_can_be_taken_away(
    browser: Browser, built: dict[str, Path], tmp_path: Path
) -> None:
    verdict = json.loads(built["verdict"].read_text())
    evidence = pl.read_parquet(built["evidence"])
    evidence = evidence.sort(evidence.columns, nulls_last=False)
    claim = next(one for one in verdict["claims"] if one["id"] == "A1")
    rows = sorted({row for test in claim["tests"] for row in test["rows"]})
    with Visit(browser, f"file://{built['page']}?lang=en") as visit:
        page, box = visit.page, visit.page.locator("#A1 details.rows")
        box.locator("summary").click()
        assert box.locator("tbody tr").count() == len(rows) > 0
        with page.expect_download() as waited:
            box.locator("[data-download]").click()
        assert waited.value.suggested_filename == "A1.csv"
        waited.value.save_as(tmp_path / "A1.csv")
    read = pl.read_csv(tmp_path / "A1.csv", schema_overrides=evidence.schema)
    texts = [pl.col(name).fill_null("") for name, kind in evidence.schema.items() if kind == pl.String]
    assert read.with_columns(texts).equals(evidence[rows].with_columns(texts))


@pytest.mark.slow
def test_a_slider_tells_what_every_replicate_says_at_its_place(browser: Browser, built: dict[str, Path]) -> None:
    evidence = pl.read_parquet(built["evidence"]).filter(
        pl.col("metric") == "seconds_to_target", pl.col("task") == "lm"
    )
    with Visit(browser, f"file://{built['page']}?lang=en") as visit:
        box = visit.page.locator("[data-explorer]").filter(has_text="Language modelling").first
        slider = box.locator("input[type=range]")
        ats = sorted(evidence["at"].unique())
        slider.focus()
        visit.page.keyboard.press("Home")
        for place, at in enumerate(ats):
            assert float(box.locator("output").inner_text()) == at == float(slider.get_attribute("aria-valuetext") or 0)
            for name in ("transformer", "lstm"):
                here = evidence.filter(pl.col("at") == at, pl.col("architecture") == name).sort("replicate")
                told = box.locator(f"[data-of={name}]").inner_text().split(" · ")
                assert len(told) == len(here)
                for said, value in zip(told, here["value"], strict=True):
                    assert (said == "never") if math.isinf(value) else float(said) == pytest.approx(value, rel=0.01)
            assert place == int(slider.input_value())
            visit.page.keyboard.press("ArrowRight")


@pytest.mark.slow
@pytest.mark.parametrize(("query", "width"), [("lang=en", 1200), ("lang=zh&theme=dark", 360)])
def test_axe_finds_no_violation(browser: Browser, built: dict[str, Path], query: str, width: int) -> None:
    with Visit(browser, f"file://{built['page']}?{query}", width=width) as visit:
        levels = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
        found = Axe().run(visit.page, options={"runOnly": levels}).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == []


@pytest.mark.slow
def test_the_keyboard_reaches_everything_in_order(browser: Browser, built: dict[str, Path]) -> None:
    with Visit(browser, f"file://{built['page']}?lang=en") as visit:
        page, seen = visit.page, []
        for _ in range(60):
            page.keyboard.press("Tab")
            seen.append(
                page.evaluate(
                    """() => {
                        const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e);
                        return {what: e.id || e.getAttribute("href") || e.name || e.dataset.setLang || e.tagName,
                                shown: box.width > 0 && style.outlineStyle !== "none", top: box.top + scrollY};
                    }"""
                )
            )
        names = [one["what"] for one in seen]
        order = ["#main", "#verdict", "#area-A", "en", "zh", "theme", "#area-A", "#A1", "criterion"]
        assert [name for name in names if name in order][: len(order)] == order
        assert all(one["shown"] for one in seen)


@pytest.mark.slow
def test_it_prints(browser: Browser, built: dict[str, Path], tmp_path: Path) -> None:
    with Visit(browser, f"file://{built['page']}?lang=en") as visit:
        visit.page.pdf(path=tmp_path / "page.pdf", format="A4")
        visit.page.emulate_media(media="print")
        assert not visit.page.locator(".bar").is_visible()
        assert not visit.page.locator("#chooser").is_visible()
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
