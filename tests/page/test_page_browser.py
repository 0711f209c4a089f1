"""The page in a real headless Chromium: no request, no error, every chart drawn, both switches, no sideways scroll."""

import itertools
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
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


@pytest.mark.slow
def test_every_chart_is_drawn_without_network_or_errors(browser: Browser, built: dict[str, Path]) -> None:
    with Visit(browser, f"file://{built['page']}?lang=en") as visit:
        count = visit.page.locator(".chart").count()
        assert count > 20
        assert (
            visit.page.locator(
                ".chart[data-drawn] svg .mark-symbol path, .chart[data-drawn] svg .mark-rect path"
            ).count()
            > 200
        )
        empty = visit.page.eval_on_selector_all(
            ".chart",
            "all => all.filter(e => !e.querySelector('svg .mark-symbol path, svg .mark-rect path')"
            " || e.querySelector('svg').getBoundingClientRect().width < 200).map(e => e.id)",
        )
        assert empty == []
        texts = visit.page.locator(".chart svg text").all_text_contents()
        assert [text for text in texts if "@@" in text or "NaN" in text or "undefined" in text] == []
        assert visit.page.evaluate("window.planted") is None
        visit.page.locator(".chart path").first.hover(force=True)


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_narrow_screens_do_not_scroll_sideways(browser: Browser, built: dict[str, Path], lang: str) -> None:
    with Visit(browser, f"file://{built['page']}?lang={lang}", width=360) as visit:
        visit.page.eval_on_selector_all("details", "all => all.forEach(e => e.open = true)")
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
