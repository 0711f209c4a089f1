"""Figures in the documentation: what stands between ``<!-- figures: NAME -->`` and ``<!-- end -->`` is written anew."""

import re
from collections.abc import Mapping

from verdict.errors import UserError

PLACE = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def renewed(text: str, blocks: Mapping[str, str]) -> str:
    """The text with each place filled. Raises ``UserError`` for a place that there is nothing for."""
    if unknown := {name for _, name, _ in PLACE.findall(text)} - blocks.keys():
        raise UserError(f"no figures are called {', '.join(sorted(unknown))}; write one of {', '.join(blocks)}")
    return PLACE.sub(lambda found: f"{found[1]}\n{blocks[found[2]] or 'Not measured.'}\n\n{found[3]}", text)
