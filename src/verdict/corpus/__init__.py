"""Where text comes from: fetched and checked by hash, read, cleaned, split by content, described on a card.

The only room of the package that opens network connections.
"""

from verdict.corpus.spec import CorpusSpec, check_task

__all__ = ["CorpusSpec", "check_task"]
