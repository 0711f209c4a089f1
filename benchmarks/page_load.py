"""How long a page takes in Chromium until it shows something, its first screen, and its last chart.

    python benchmarks/page_load.py reports/index.html

Prints a table in Markdown: medians of cold loads, each in a browser of its own, in milliseconds.
"""

import argparse
import shutil
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

#: the moments that the browser itself has noted
PAINTED = """() => new Promise(done => new PerformanceObserver(list =>
    done(Object.fromEntries(list.getEntries().map(e => [e.name, e.startTime]))))
    .observe({type: "paint", buffered: true}))"""


def load(path: Path) -> dict[str, float]:
    """One cold load: first paint, first contentful paint, and all charts of the page drawn."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        begun = time.monotonic()
        page.goto(path.resolve().as_uri())
        page.wait_for_selector("html[data-charts='drawn']", timeout=120_000)
        drawn = 1000 * (time.monotonic() - begun)
        told = page.evaluate(PAINTED)
        browser.close()
    return {"first paint": told["first-paint"], "first content": told["first-contentful-paint"], "all charts": drawn}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--loads", type=int, default=5)
    given = parser.parse_args()
    found = [load(given.page) for _ in range(given.loads)]
    print("| moment | median, ms | slowest, ms |\n|---|---|---|")
    for name in found[0]:
        values = [one[name] for one in found]
        print(f"| {name} | {median(values):.0f} | {max(values):.0f} |")


if __name__ == "__main__":
    main()
