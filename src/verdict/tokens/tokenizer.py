"""Byte-level byte-pair encoding (Sennrich et al. 2016; Radford et al. 2019) by the ``tokenizers`` library."""

import codecs
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from verdict.errors import UserError

PAD, BEGIN, END, MASK = 0, 1, 2, 3
SPECIAL = ("<pad>", "<begin>", "<end>", "<mask>")
#: pieces are kept as 16-bit numbers
LARGEST_VOCABULARY = 65_536
#: characters of a word that merges are learned from
LONGEST_WORD = 1000
_LONG, _SHORTER = re.compile(rf"\S{{{LONGEST_WORD + 1}}}"), re.compile(rf"\s*\S{{1,{LONGEST_WORD}}}")
#: what ``piece_texts`` shows for a piece that completes no character
UNFINISHED = "⋯"


def train(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """A tokenizer of ``vocabulary`` pieces: 4 special ones, the 256 bytes, and merges learned from ``texts``.

    Raises ``UserError`` if the vocabulary cannot hold the bytes or the texts are too few to fill it.
    """
    least = len(SPECIAL) + 256
    if not least <= vocabulary <= LARGEST_VOCABULARY:
        raise UserError(f"`vocabulary` is {vocabulary}; write a number from {least} to {LARGEST_VOCABULARY}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((part for text in texts for part in _cut(text)), trainer)
    tokenizer.encode_special_tokens = True  # a text that says "<end>" does not end there; the file does not keep this
    if tokenizer.get_vocab_size() < vocabulary:
        raise UserError(
            f"the training text gives only {tokenizer.get_vocab_size()} pieces of the {vocabulary} asked for; "
            "lower `vocabulary` or give more text"
        )
    return tokenizer


def _cut(text: str) -> Iterator[str]:
    """A text to learn from, its overlong words cut: the time that a word takes grows with the square of its length."""
    if _LONG.search(text):
        yield from _SHORTER.findall(text)
    else:
        yield text


def load(path: Path | str) -> Tokenizer:
    """Read a tokenizer written by ``python -m verdict.tokens``. Raises ``UserError`` if there is none."""
    if not Path(path).is_file():
        raise UserError(f"{path} does not exist; run the step that makes it, or name another folder")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # of no narrower kind
        raise UserError(f"{path} is damaged ({error}); remove {Path(path).parent} and run again") from error
    tokenizer.encode_special_tokens = True
    return tokenizer


def piece_bytes(tokenizer: Tokenizer) -> list[int]:
    """Bytes of text that each piece stands for (special pieces: 0), so that losses read in bits per byte.

    In byte-level BPE one character of a piece's name is one byte of the text.
    """
    names = {number: name for name, number in tokenizer.get_vocab(with_added_tokens=True).items()}
    return [0 if number < len(SPECIAL) else len(names[number]) for number in range(len(names))]


def piece_texts(tokenizer: Tokenizer, pieces: Iterable[int]) -> list[str]:
    """Pieces one after another as a reader sees them: each with the characters that it completes.

    A piece that completes none (a character of several bytes may be cut) is ``UNFINISHED``; special pieces say their
    names. Bytes that are no text are left out.
    """
    # byte-level BPE writes a byte as a letter: a printable one as its own, the others in order as those from U+0100 on
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    printable = {ord(letter) for letter in letters if ord(letter) < 256}
    others = [byte for byte in range(256) if byte not in printable]
    value = dict(zip(letters, [*sorted(printable), *others], strict=True))
    decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")
    texts = []
    for piece in pieces:
        if piece < len(SPECIAL):
            decoder.reset()
            texts.append(SPECIAL[piece])
        else:
            name = tokenizer.id_to_token(piece) or ""
            texts.append(decoder.decode(bytes(value[letter] for letter in name)) or UNFINISHED)
    return texts
