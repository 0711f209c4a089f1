"""From inputs to what the templates show: selected, ordered and named, never averaged."""

from typing import Any

from verdict.page.content import beside, changes, claims, explain, models, provenance, situations, texts
from verdict.page.content.naming import Naming
from verdict.page.content.panels import Gallery


def assemble(naming: Naming) -> dict[str, Any]:
    """Everything that the templates name; ``gallery`` has the charts, numbered in the order of the page."""
    gallery = Gallery(naming)
    cards = claims.cards(naming, gallery)
    return {
        "gallery": gallery,
        "claims": cards,
        "areas": claims.areas(naming, cards),
        "final": situations.final(naming),
        "chooser": situations.chooser(naming),
        "explorers": explain.explorers(naming, gallery),
        "inside": explain.inside(naming, gallery),
        "dependencies": explain.dependencies(),
        "beside": beside.beside(naming, gallery),
        "anatomy": models.anatomy(naming, gallery),
        "costs": models.costs(naming),
        "tuning": models.tuning(naming),
        "scores": models.scores(naming, gallery),
        "outputs": texts.outputs(naming),
        "corpora": texts.corpora(naming),
        "machine": provenance.machine(naming),
        "changes": changes.changes(naming),
        "untried": provenance.untried(naming),
        "runs": provenance.runs(naming),
        "level": naming.level(),
    }
