"""``python -m verdict.tokens``: train a task's tokenizer on its training split and encode every split once.

Takes data/corpus/{task}; leaves data/tokens/{task}: tokenizer.json, {split}.{field}.npy, {split}.{field}.ends.npy,
piece_bytes.npy, tokens.json.
"""

import argparse
from pathlib import Path

import numpy as np

from verdict.arguments import json_argument
from verdict.errors import UserError, run_command
from verdict.files import replacing_folder, write_json
from verdict.tokens import tokenizer as bpe
from verdict.tokens.arrays import encode, read_records

#: fields that are encoded as text; every other field of a record is a label
TEXT_FIELDS = ("text", "source", "target")


def tokenize(corpus: Path, out: Path, vocabulary: int, longest: dict[str, int]) -> None:
    """Train on train.jsonl (and pretrain.jsonl, if there), encode all splits; ``longest`` pieces per field.

    Raises ``UserError`` naming the file that is missing, damaged or empty, or has other fields than the rest.
    """
    splits = sorted({"train", *(path.stem for path in corpus.glob("*.jsonl"))})
    records = {split: list(read_records(corpus / f"{split}.jsonl")) for split in splits}
    for split, found in records.items():
        if not found:
            raise UserError(f"{corpus}/{split}.jsonl is empty; make the corpus again")
        if odd := [number for number, record in enumerate(found, start=1) if record.keys() != found[0].keys()]:
            raise UserError(f"{corpus}/{split}.jsonl line {odd[0]} has other fields than the first; make it again")
    fields = [field for field in TEXT_FIELDS if field in records["train"][0]]
    learned_from = [record for split in ("train", "pretrain") for record in records.get(split, [])]
    texts = (record[field] for record in learned_from for field in fields if field in record)
    try:
        tokenizer = bpe.train(texts, vocabulary)
    except UserError as error:
        raise UserError(f"{corpus}/train.jsonl: {error}") from error
    labels = sorted({record["label"] for record in records["train"] if "label" in record})
    summary: dict[str, dict[str, int]] = {}
    with replacing_folder(out) as folder:
        tokenizer.save(str(folder / "tokenizer.json"))
        np.save(folder / "piece_bytes.npy", np.asarray(bpe.piece_bytes(tokenizer), dtype=np.int64))
        for split in splits:
            for field in fields:
                if field in records[split][0]:
                    encoded = encode(tokenizer, (r[field] for r in records[split]), longest.get(field), bpe.END)
                    encoded.save(folder, f"{split}.{field}")
                    summary[f"{split}.{field}"] = {"records": len(encoded), "pieces": len(encoded.pieces)}
            if labels and "label" in records[split][0]:
                unknown = {r["label"] for r in records[split]} - set(labels)
                if unknown:
                    raise UserError(
                        f"{corpus}/{split}.jsonl has the label '{min(unknown)[:40]}', which train.jsonl lacks"
                    )
                numbers = [labels.index(record["label"]) for record in records[split]]
                np.save(folder / f"{split}.label.npy", np.asarray(numbers, dtype=np.int64))
        write_json(folder / "tokens.json", {"vocabulary": vocabulary, "labels": labels, "splits": summary})


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.tokens", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--vocabulary", type=int, required=True, help="pieces of the tokenizer")
    parser.add_argument("--longest", type=json_argument, default={}, help='most pieces per field, as {"source": 64}')
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    given = parser.parse_args()
    if not isinstance(given.longest, dict) or not all(isinstance(most, int) for most in given.longest.values()):
        raise UserError('--longest must be a JSON object of fields and whole numbers, as {"source": 64}')
    tokenize(given.corpus, given.out, given.vocabulary, given.longest)


if __name__ == "__main__":
    run_command(main)
