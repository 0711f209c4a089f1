"""One byte-level BPE per task, trained on its training split and shared by every architecture."""
