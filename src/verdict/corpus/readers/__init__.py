"""Readers turn members into records; ``READERS`` finds one by the name used in params.yaml."""

from verdict.corpus.readers.base import Reader
from verdict.corpus.readers.catalogues import CATALOGUES
from verdict.corpus.readers.own import ALIGNED, JSONL, TEXT, TSV
from verdict.corpus.readers.packaged import BOTOCORE, KJV, VADER

READERS: dict[str, Reader] = {
    reader.name: reader for reader in (KJV, CATALOGUES, BOTOCORE, VADER, TEXT, TSV, JSONL, ALIGNED)
}
