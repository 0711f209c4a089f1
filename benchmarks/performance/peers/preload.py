"""What is slow to import, for the process that workers are forked from; peers need not be installed."""

import contextlib

with contextlib.suppress(ImportError):
    import benchmarks.performance.peers.huggingface
with contextlib.suppress(ImportError):
    import benchmarks.performance.peers.xtransformers
with contextlib.suppress(ImportError):
    import benchmarks.performance.peers.joey  # noqa: F401
