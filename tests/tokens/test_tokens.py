"""Text to pieces and back, on disk and off."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from verdict.errors import UserError
from verdict.tokens import tokenizer as bpe
from verdict.tokens.__main__ import tokenize
from verdict.tokens.arrays import Records, encode

LEARNED = ["the cat sat on the mat and the dog sat on the log. " * 3, "Ünïcode, größe; 机器翻译 العربية 🙂"]
TEXT = st.text(st.characters(codec="utf-8"))
#: texts that have broken tokenizers before
HARD = [
    "", " ", "  two  ", "\x00", "a\r\nb\rc\n", "👩‍👩‍👧‍👦 🏳️‍🌈", "שלום العربية \u202eabc", "e\u0301 é \ufeff", "Ġ Ċ ĉ",
    "\u2028\u0085", "\U0010ffff\ue000", "<end> a <pad><mask> <begin>",
]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return bpe.train(LEARNED, 290)


@pytest.fixture(scope="module")
def reread(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return bpe.load(path)


def whole(tokenizer: Tokenizer, text: str) -> None:
    """Nothing is lost or added, and every byte is counted once."""
    pieces = encode(tokenizer, [text])[0].tolist()
    assert tokenizer.decode(pieces) == text
    assert not set(pieces) & set(range(len(bpe.SPECIAL)))
    sizes = bpe.piece_bytes(tokenizer)
    assert sum(sizes[piece] for piece in pieces) == len(text.encode())


@settings(deadline=None, max_examples=150)
@given(text=TEXT)
def test_any_text_comes_back_byte_for_byte(reread: Tokenizer, text: str):
    whole(reread, text)


@pytest.mark.parametrize("text", HARD)
def test_hard_texts_come_back_byte_for_byte(tokenizer: Tokenizer, reread: Tokenizer, text: str):
    whole(tokenizer, text)
    whole(reread, text)


@settings(deadline=None, max_examples=150)
@given(texts=st.lists(TEXT | st.sampled_from(HARD), min_size=1, max_size=3), before=st.integers(0, 3))
def test_pieces_are_shown_with_the_characters_that_they_complete(reread: Tokenizer, texts: list[str], before: int):
    """Cut anywhere (which cuts characters too), nothing is shown that is not in the text."""
    shown, pieces = [], []
    for text in texts:
        own = encode(reread, [text])[0].tolist()
        said = bpe.piece_texts(reread, own)
        assert len(said) == len(own)
        assert "".join(said).replace(bpe.UNFINISHED, "") == text.replace(bpe.UNFINISHED, "")
        assert "" not in said
        cut = bpe.piece_texts(reread, own[before : len(own) - 1])
        assert "".join(cut).replace(bpe.UNFINISHED, "") in text.replace(bpe.UNFINISHED, "")
        shown += [*said, "<end>"]
        pieces += [*own, bpe.END]
    assert bpe.piece_texts(reread, pieces) == shown


def test_a_character_that_a_special_piece_cuts_is_left_out(reread: Tokenizer):
    """A text may be cut to its longest length within a character."""
    cut = [*encode(reread, ["a語"])[0].tolist()[:-1], bpe.END, *encode(reread, ["a"])[0].tolist()]
    assert bpe.piece_texts(reread, cut) == ["a", *[bpe.UNFINISHED] * (len(cut) - 3), "<end>", "a"]


def test_the_file_holds_the_same_tokenizer(tokenizer: Tokenizer, reread: Tokenizer):
    texts = [*LEARNED, *HARD]
    assert encode(tokenizer, texts).pieces.tolist() == encode(reread, texts).pieces.tolist()


def test_the_vocabulary_is_as_asked_and_begins_with_the_special_pieces(tokenizer: Tokenizer):
    assert tokenizer.get_vocab_size() == 290
    assert [tokenizer.id_to_token(i) for i in range(4)] == list(bpe.SPECIAL)
    assert bpe.piece_bytes(tokenizer)[:4] == [0, 0, 0, 0]
    assert (bpe.PAD, bpe.BEGIN, bpe.END, bpe.MASK) == (0, 1, 2, 3)


def test_training_twice_gives_the_same_tokenizer(tokenizer: Tokenizer):
    assert bpe.train(LEARNED, 290).to_str() == tokenizer.to_str()


@settings(deadline=None, max_examples=50)
@given(texts=st.lists(TEXT, max_size=6), longest=st.integers(2, 12))
def test_texts_are_cut_to_the_longest_and_always_end(reread: Tokenizer, texts: list[str], longest: int):
    records, uncut = encode(reread, texts, longest, bpe.END), encode(reread, texts, None, bpe.END)
    assert len(records) == len(texts)
    for i in range(len(texts)):
        row, full = records[i].tolist(), uncut[i].tolist()
        assert len(row) == min(longest, len(full))
        assert row[-1] == bpe.END
        assert row[:-1] == full[: len(row) - 1]


@settings(deadline=None, max_examples=30)
@given(rows=st.lists(st.lists(st.integers(0, 65_535), max_size=9), min_size=1, max_size=8))
def test_records_come_back_from_disk(tmp_path_factory: pytest.TempPathFactory, rows: list[list[int]]):
    folder = tmp_path_factory.mktemp("records")
    flat = np.asarray([piece for row in rows for piece in row], dtype=np.uint16)
    Records(flat, np.cumsum([len(row) for row in rows])).save(folder, "text")
    if not len(flat):
        return  # an empty file cannot be mapped; a real text has at least its END
    back = Records.open(folder, "text")
    assert [back[i].tolist() for i in range(len(back))] == rows
    assert back.lengths.tolist() == [len(row) for row in rows]
    assert isinstance(back.pieces, np.memmap)


@pytest.mark.parametrize("vocabulary", [0, 259, 65_537, -1])
def test_a_vocabulary_that_cannot_be_is_refused(vocabulary: int):
    with pytest.raises(UserError, match="write a number from 260 to 65536"):
        bpe.train(LEARNED, vocabulary)


def test_too_little_text_for_a_vocabulary_is_told(tmp_path: Path):
    with pytest.raises(UserError, match="lower `vocabulary` or give more text"):
        bpe.train(["aaa"], 5000)


def corpus(folder: Path, labels: dict[str, list[str]]) -> Path:
    """A corpus of one sentence per label in each split."""
    for split, said in labels.items():
        rows = [{"text": f"{LEARNED[0]} number {i}", "label": label} for i, label in enumerate(said)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_every_split_and_label_is_encoded(tmp_path: Path):
    folder = corpus(tmp_path, {"train": ["b", "a", "b"], "valid": ["a", "b"], "test": ["b"]})
    tokenize(folder, tmp_path / "tokens", 270, {"text": 20})
    told = json.loads((tmp_path / "tokens/tokens.json").read_text())
    assert told["labels"] == ["a", "b"]
    assert told["vocabulary"] == 270
    assert np.load(tmp_path / "tokens/train.label.npy").tolist() == [1, 0, 1]
    assert {name: value["records"] for name, value in told["splits"].items()} == {
        "train.text": 3, "valid.text": 2, "test.text": 1,
    }  # fmt: skip
    assert Records.open(tmp_path / "tokens", "train.text").lengths.max() == 20


def test_a_label_that_training_never_saw_is_told_and_nothing_is_left(tmp_path: Path):
    folder = corpus(tmp_path, {"train": ["a", "b"], "valid": ["a", "new"], "test": ["a"]})
    with pytest.raises(UserError, match=r"valid\.jsonl has the label 'new'"):
        tokenize(folder, tmp_path / "tokens", 270, {})
    assert not (tmp_path / "tokens").exists()
    assert not list(tmp_path.glob(".tokens*"))
