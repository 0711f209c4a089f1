"""Bad input made by chance: what people do to settings, dockets, tables, texts, archives and command lines.

Every function takes a ``random.Random``, so that hypothesis can shrink what it draws and a benchmark can repeat it by
its seed (``benchmarks/bad_input.py``). What must come of an input says ``promise``, not this module.
"""

import copy
import csv
import datetime
import gzip
import io
import json
import math
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

Chance = random.Random
Made = tuple[bytes, str]  # a file's content, and what was done to it

#: a file of this name must never come to be: it is what planted commands would make
PLANTED = "planted"

WHOLE = (0, -1, 1, 2, 3, 7, 1000, 10**6, 10**9, 2**31, 2**63, -(2**63), 10**30, 16**5000)
BROKEN = (
    0.0, -0.0, 0.5, 1.0, 1.5, -0.1, 1e-300, 5e-324, 1e300, 1e-9, 1.0000001, math.nan, math.inf, -math.inf,
)  # fmt: skip
SHELL = (
    f"$(touch {PLANTED})", f"`touch {PLANTED}`", f"'; touch {PLANTED}; '", f'"; touch {PLANTED} #',
    f"a; touch {PLANTED}", "{{}}", "{x}", "{wildcards.task}", "{params}", "*", "?", "~", "..", "../..", "/",
    "/etc/passwd", "-", "--help", "-rf",
)  # fmt: skip
TEXTS = (
    *SHELL, "", " ", "\n", "a\nb", "two\r\nlines", "a\0b", "\t", "\x1b[31mred", "a" * 300, "word " * 4000, "é",
    "ｅ", "🙂", "\u202egnp.txt", "\u200b", "\u2028", "\ufeff", "\ud800", "null", "NaN", ".inf", "true", "1", "1e9",
    "a/b", "json", "<script>alert(1)</script>", "@@colour.lstm", "os:system", "no_such_module:Thing", "../x:Y",
    "lstm", "transformer", "lm", "quick", "translation", "rot13", "utf-16", "unicode_escape", "(", "(?i)x",
    "a(?i)b", "(?P<n>a)", "[", "(" * 200, "a{99999999999}", "verdict.models.mixers.lstm:LSTM",
)  # fmt: skip
OTHERS: tuple[Any, ...] = (
    None, True, False, [], {}, [None], [[]], {"": ""}, {"a": {"b": 1}}, [1, 1], ["a", "a"], [{}], (), b"bytes",
    datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 12), {1: 2}, {None: 1}, {(1, 2): 3}, list(range(2000)),
)  # fmt: skip


def anything(chance: Chance) -> Any:
    """A value that nobody expects."""
    return copy.deepcopy(chance.choice(chance.choice((WHOLE, BROKEN, TEXTS, OTHERS))))


# --------------------------------------------------------------------------------------------------- trees of settings


def unshared(tree: Any) -> Any:
    """A copy in which nothing stands twice, as what YAML's aliases name does."""
    if isinstance(tree, dict):
        return {key: unshared(inner) for key, inner in tree.items()}
    return [unshared(inner) for inner in tree] if isinstance(tree, list) else tree


def places(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in nested mappings and lists."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [way for key, inner in inside for way in ((*at, key), *places(inner, (*at, key)))]


def found(tree: Any, way: Sequence[Any]) -> Any:
    """The value at the end of a way."""
    for step in way:
        tree = tree[step]
    return tree


def misspelt(word: str, chance: Chance) -> str:
    """A word with one slip of the fingers."""
    at = chance.randrange(len(word)) if word else 0
    return chance.choice(
        (word[:at] + word[at + 1 :], word[:at] + word[at : at + 1] + word[at:], word + "s", word.upper())
    )


NEAR: tuple[Callable[[Any], Any], ...] = (
    lambda value: -value, lambda value: value + 1, lambda value: value * 1000, lambda value: value / 3,
    lambda value: value // 2, str,
)  # fmt: skip
CHANGES = ("set", "set", "set", "near", "near", "near", "remove", "rename", "swap", "copy", "repeat", "add")


def _spoil(tree: Any, chance: Chance) -> str:
    """Change one place of a tree; says what was done."""
    way, how = chance.choice(places(tree)), chance.choice(CHANGES)
    *above, last = way
    parent, value = found(tree, above), found(tree, way)
    name = ".".join(map(str, way))
    if how == "remove":
        del parent[last]
    elif how == "rename" and isinstance(parent, dict):
        parent[misspelt(str(last), chance)] = parent.pop(last)
    elif how in ("swap", "copy"):  # with what is right in another place
        kin = [one for one in places(tree) if type(found(tree, one)) is type(value)]
        kin = [one for one in kin if one[: len(way)] != way and way[: len(one)] != one]
        other = chance.choice(kin or [way])
        parent[last] = copy.deepcopy(found(tree, other))
        if how == "swap":
            found(tree, other[:-1])[other[-1]] = value
        name += f" with {'.'.join(map(str, other))}"
    elif how == "near" and isinstance(value, int | float) and not isinstance(value, bool):
        parent[last] = chance.choice(NEAR)(value)
    elif how == "near" and isinstance(value, str):
        parent[last] = misspelt(value, chance)
    elif how == "near" and isinstance(value, bool):
        parent[last] = not value
    elif how == "repeat" and isinstance(value, list) and value:
        value.append(copy.deepcopy(value[0]))
    elif how == "add" and isinstance(value, dict):
        key = anything(chance)
        value[key if isinstance(key, str | int | float | None) else "more"] = anything(chance)
    else:
        parent[last] = anything(chance)
    return f"{how} {name}"


def spoilt(tree: Any, chance: Chance) -> tuple[Any, str]:
    """A copy of a tree with up to three places changed, and what was done to it."""
    tree = unshared(tree)
    done = [_spoil(tree, chance) for _ in range(chance.choice((1, 1, 1, 2, 3))) if places(tree)]
    return tree, "; ".join(done)


def spoilt_settings(told: dict[str, Any], chance: Chance) -> tuple[dict[str, Any], str]:
    """params.yaml as parsed, spoilt; now and then by stages that refer to one another in a ring."""
    if chance.randrange(8):
        return spoilt(told, chance)
    tree = unshared(told)
    ring = chance.sample(sorted(tree["stages"]), chance.choice((1, 2, 3)))
    key, alike = chance.choice(("start", "tuned_as")), chance.randrange(2)
    for one, other in zip(ring, [*ring[1:], ring[0]], strict=True):
        if alike:  # or other checks would come first
            own = {"tuned_as": "scratch", "variant": f"ring_{one}"}
            tree["stages"][one] = {**copy.deepcopy(tree["stages"]["finetuning"]), **own}
        tree["stages"][one][key] = other
    return tree, f"{key} in a ring: {', '.join(ring)}"


# -------------------------------------------------------------------------------------------------- YAML as it is typed

BOMB = "bomb0: &b0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"bomb{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
MERGES = "merge0: &m0 {x: 1}\n" + "".join(
    f"merge{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 10)}]}}\n" for n in range(1, 9)
)
LINES = (
    BOMB, MERGES, f"!!python/object/apply:os.system ['touch {PLANTED}']", "x: !!python/name:os.system",
    f"evil: !!python/object/apply:os.system ['touch {PLANTED}']", "x: !!python/tuple [1, 2]", "x: !unknown 1",
    "x: !!binary '*'", "x: !!timestamp soon", "x: !!set {a, b}", "x: !!int nine", "x: !!float pi", "x: 2024-99-99",
    "x: 1:99:99", "x: 0o99", "x: " + "9" * 5000, "x: 0x" + "f" * 5000, "x: &a [*a]", "x: &a {y: *a}", "x: *nowhere",
    "<<: 3", "<<: [1, {a: 1}]", "? [a, b]\n: 1", "? {a: 1}\n: 1", "? &k [*k]\n: 1", "seeds: 1\nseeds: 2",
    "level: 0.9\nlevel: 0.5", "edition: smoke", "--- more", "...", "%YAML 3.0", "\tx: 1", "x:\n\t- 1", "x: 'open",
    'x: "open', "x: {a: 1", "x: [1, 2", "x: |\n  a\n b", "- a", "just words", "x: a: b", "@home", "`x`", "x: \x07",
    "x: \0", "x: \x85y", '"\\ud800": 1', 'x: "\\ud800"', 'x: "\\x00"', "x: " + "[" * 5000, "[" * 300 + "]" * 300,
    "x: " + "a" * 200_000, "__use_yte__: true", "?if True:\n  x: 1",
)  # fmt: skip
NOTHING = (b"", b"\n", b"# nothing\n", b"{}", b"[]", b"null", b"3", b"\xef\xbb\xbf", b"---\n", b"\0")
ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig", "cp037", "gb18030")
ENDS = (b"\r\n", b"\r", b"\n\r", b"\x0b", b"\xe2\x80\xa8")


def retyped(text: str, chance: Chance) -> Made:
    """A text file as someone spoilt it with an editor, a bad download or another system's encoding."""
    lines, whole = text.split("\n"), text.encode()
    at, byte = chance.randrange(len(lines)), chance.randrange(len(whole))
    how = chance.choice(
        ("cut", "line", "line", "line", "line", "top", "above", "tab", "delete", "twice", "swap", "indent", "colon",
         "quote", "byte", "bytes", "encoding", "ends", "empty")
    )  # fmt: skip
    if how == "cut":
        return whole[:byte], f"cut at {byte}"
    if how == "byte":
        return whole[:byte] + bytes([chance.randrange(256)]) + whole[byte + 1 :], f"another byte at {byte}"
    if how == "bytes":
        return whole[:byte] + bytes(chance.randrange(256) for _ in range(8)) + whole[byte:], f"8 bytes more at {byte}"
    if how == "encoding":
        name = chance.choice(ENCODINGS)
        return text.encode(name, "replace"), name
    if how == "ends":
        return whole.replace(b"\n", chance.choice(ENDS)), "other line ends"
    if how == "empty":
        return chance.choice(NOTHING), "nothing in it"
    if how in ("line", "top", "above"):
        more = chance.choice(LINES)
        indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())] if how == "line" and chance.randrange(2) else ""
        lines[at if how == "line" else 0 : at] = [indent + one for one in more.split("\n")]
        if how == "top":
            lines = [*more.split("\n"), *text.split("\n")]
        how += f" {more[:40]!r}"
    elif how == "tab":
        lines[at] = "\t" + lines[at].lstrip()
    elif how == "delete":
        del lines[at : at + chance.choice((1, 1, 2, 30))]
    elif how == "twice":
        lines[at:at] = lines[at : at + chance.choice((1, 1, 5, 60))]
    elif how == "swap":
        other = chance.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    elif how == "indent":
        lines[at] = chance.choice((" ", "  ", "   ")) + lines[at]
    elif how == "colon":
        lines[at] = lines[at].replace(":", chance.choice(("", ";", "=", " :", "::")), 1)
    else:
        place = chance.randrange(len(lines[at]) + 1)
        lines[at] = lines[at][:place] + chance.choice("'\"[]{}&*!|>%@`#") + lines[at][place:]
    return "\n".join(lines).encode(errors="surrogatepass"), f"{how} at line {at + 1}"


def damaged(data: bytes, chance: Chance) -> Made:
    """Bytes as a failing disk, a broken download or another program leaves them."""
    if not data:
        return b"\0", "a byte"
    at = chance.randrange(len(data))
    how = chance.choice(("cut", "flip", "flip", "zeros", "more", "head", "empty", "text"))
    if how == "flip":
        raw = bytearray(data)
        for _ in range(chance.choice((1, 1, 8, 64))):
            raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        return bytes(raw), "bits flipped"
    return {
        "cut": (data[:at], f"cut at {at}"),
        "zeros": (data[:at] + bytes(min(512, len(data) - at)) + data[at + 512 :], f"zeros at {at}"),
        "more": (data + b"more", "bytes at the end"),
        "head": (data[chance.choice((1, 4, 100)) :], "the beginning is gone"),
        "empty": (b"", "empty"),
        "text": (b"this is a text\n", "a text"),
    }[how]


# ----------------------------------------------------------------------------------------------------------- the court

CELLS = (
    "", " ", "NaN", "nan", "inf", "-inf", "Infinity", "1e999", "-1e999", "1e308", "-1e308", "5e-324", "0", "-1", "0.5",
    "1,5", "half", "9" * 30, "9223372036854775807", "9223372036854775808", "true", "null", "None", "\0", "é", "\u202e",
    "lstm", "transformer", "Transformer", "baseline", "lower", "higher", "better", "neither", "lm", "cuda: A card", "s",
    '"', "'", ",", "a,b", "a\nb", "🙂", "=1+1", "<script>", "{{x}}", "x" * 100_000,
)  # fmt: skip
TYPES: tuple[Any, ...] = (
    pl.Float32, pl.Int8, pl.Int32, pl.UInt64, pl.Int128, pl.Boolean, pl.String, pl.Binary, pl.Categorical, pl.Date,
    pl.Datetime, pl.Duration, pl.Time, pl.Null, pl.List(pl.Float64), pl.Struct({"a": pl.Int64}), pl.Decimal(20, 3),
)  # fmt: skip


def _cells(table: pl.DataFrame, chance: Chance) -> list[list[str]]:
    rows = list(csv.reader(io.StringIO(table.write_csv())))
    for _ in range(chance.choice((1, 1, 2, 5))):
        how = chance.choice(
            ("cell", "cell", "cell", "row", "rows", "short", "long", "drop", "column", "rename", "head")
        )
        at, column = chance.randrange(1, len(rows)), chance.randrange(len(rows[0]))
        if how == "cell":
            rows[at][column : column + 1] = [chance.choice(CELLS)]
        elif how == "row":
            rows.append(list(rows[at]))
        elif how == "rows":  # all rows of a metric alike
            metric, cell = rows[0].index("metric") if "metric" in rows[0] else 0, chance.choice(CELLS[:40])
            for row in rows[1:]:
                if row[metric : metric + 1] == rows[at][metric : metric + 1]:
                    row[column : column + 1] = [cell]
        elif how == "short":
            rows[at] = rows[at][:column]
        elif how == "long":
            rows[at] = [*rows[at], "more"]
        elif how == "drop":
            rows = [row[:column] + row[column + 1 :] for row in rows]
        elif how == "column":
            rows = [[*row, "extra" if i == 0 else "1"] for i, row in enumerate(rows)]
        elif how == "rename":
            rows[0][column] = chance.choice((misspelt(rows[0][column], chance), rows[0][0], "", "x"))
        else:
            rows[0], rows[at] = rows[at], rows[0]
        if len(rows[0]) < 2:
            break
    return rows


def evidence_csv(table: pl.DataFrame, chance: Chance) -> Made:
    """A table of evidence as CSV, with cells, rows, columns or bytes changed."""
    if chance.randrange(3) == 0:
        return retyped(table.write_csv(), chance)
    stream, end, comma = io.StringIO(), chance.choice(("\n", "\r\n")), chance.choice(",,,,;\t")
    csv.writer(stream, lineterminator=end, delimiter=comma).writerows(_cells(table, chance))
    return stream.getvalue().encode(errors="surrogatepass"), "cells"


def _change_column(table: pl.DataFrame, how: str, name: str, chance: Chance) -> pl.DataFrame:
    kind, place = table.schema[name], chance.randrange(max(1, table.height))
    if how == "type":
        other = chance.choice(TYPES)
        try:
            return table.with_columns(pl.col(name).cast(other, strict=False))
        except pl.exceptions.PolarsError:
            return table.with_columns(pl.lit(None, other).alias(name))
    value = chance.choice(BROKEN if kind.is_float() else WHOLE[:12] if kind.is_numeric() else CELLS)
    where = pl.int_range(pl.len()) == place
    if how == "values" and table.schema.get("metric") == pl.String and table.height and table["metric"][place]:
        where = pl.col("metric") == table["metric"][place]
    try:
        new = pl.lit(None if how == "null" else value, kind)
        return table.with_columns(pl.when(where).then(new).otherwise(pl.col(name)).alias(name))
    except (pl.exceptions.PolarsError, OverflowError, TypeError):
        return table.drop(name)


def evidence_parquet(table: pl.DataFrame, chance: Chance) -> Made:
    """A table of evidence as Parquet, with values, types, columns, rows or bytes changed."""
    done = []
    for _ in range(chance.choice((1, 1, 2, 3))):
        how = chance.choice(
            ("type", "type", "value", "value", "values", "null", "drop", "extra", "rename", "rows", "none", "twice")
        )
        name = chance.choice(table.columns)
        other = misspelt(name, chance)
        if how in ("type", "value", "values", "null"):
            table = _change_column(table, how, name, chance)
        elif how == "drop":
            table = table.drop(name)
        elif how == "extra":
            table = table.with_columns(pl.lit(1).alias(chance.choice(("extra", "row", other))))
        elif how == "rename" and other not in table.columns:
            table = table.rename({name: other})
        elif how == "rows" and table.height:
            table = table.sample(fraction=0.5, seed=chance.randrange(1000))
        elif how == "none":
            table = table.clear()
        else:
            table = pl.concat([table, table.head(chance.choice((1, 5, 1000)))])
        done.append(f"{how} {name}")
        if not table.columns:
            break
    stream = io.BytesIO()
    table.write_parquet(stream, compression="uncompressed")
    data = stream.getvalue()
    if chance.randrange(5) == 0:
        data, said = damaged(data, chance)
        done.append(said)
    return data, "; ".join(done)


def spoilt_verdict(verdict: dict[str, Any], chance: Chance) -> Made:
    """A verdict.json with keys, values, text or bytes changed."""
    how = chance.randrange(5)
    if how == 0:
        return retyped(json.dumps(verdict, indent=1), chance)
    if how == 1:
        return damaged(json.dumps(verdict).encode(), chance)
    tree, said = spoilt(verdict, chance)
    return in_json(tree).encode(), said


def in_json(tree: Any) -> str:
    """A tree as Python writes JSON, with NaN and infinities, and numbers of more digits than Python reads."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): plain(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [plain(inner) for inner in value]
        if isinstance(value, int) and abs(value) > 10**4000:
            return "huge"
        return value if isinstance(value, str | int | float | None) else str(value)

    return json.dumps(plain(tree)).replace('"huge"', "9" * 5000)


# --------------------------------------------------------------------------------------------------------- own corpora

WORDS = (
    "save", "the", "file", "as", "open", "close", "window", "print", "copy", "line", "word", "page", "undo", "find",
    "new", "last", "first", "show", "hide", "all", "none", "left", "right", "up", "down", "blue", "green", "red",
)  # fmt: skip
SCRIPTS = (
    "שלום עולם", "مرحبا بالعالم", "你好世界", "こんにちは", "здравствуй мир", "👩‍👩‍👧‍👦🏳️‍🌈", "e\u0301a\u0308",
    "ﬁ ﬂ ﬃ", "İıŞş", "ß", "𝔘𝔫𝔦", "\u202eabc\u202c", "a\u200bb", "a\u00a0b", "x\u2028y", "x\u0085y", "x\x0cy\x1cz",
    "\ufdfa", "<end> <pad>", "\ufffd",
)  # fmt: skip
CODECS = (
    "latin-1", "utf-16", "utf-7", "cp1252", "ascii", "utf_8_sig", "gb18030", "shift_jis", "utf-32", "unicode_escape",
    "raw_unicode_escape", "punycode", "idna", "undefined", "rot13", "hex", "base64", "bz2", "no-such", "", "a\0b",
)  # fmt: skip
FORBIDDEN = ("save", "^$", "(?i)SAVE", "x(?i)y", "(?P<a>.)", r"\d", "(a+)+$", "[", "a{99999999999}")


@dataclass(frozen=True)
class Corpus:
    """A user's own text: files, and the settings of ``corpora.<task>`` that read them."""

    task: str
    settings: dict[str, Any]
    files: dict[str, bytes]
    about: str
    vocabulary: int = 260


def sentence(number: int, chance: Chance) -> str:
    """A text like no other."""
    own = "".join(chr(97 + int(digit)) for digit in str(10**9 + number * 7919**2))
    return " ".join([own[:5], *(chance.choice(WORDS) for _ in range(chance.choice((3, 5, 9)))), own[5:]])


def _lines(chance: Chance) -> tuple[list[str], str]:
    """Lines of text: as many as a corpus needs, or too few, alike, strange."""
    how = chance.choice(
        (*["plain"] * 6, "scripts", "scripts", "test inside", "near", "few", "one", "none", "same", "blank", "digits",
         "marks", "long")
    )  # fmt: skip
    own = random.Random(chance.randrange(2**32))  # bulk is not drawn one by one
    lines = [sentence(number, own) for number in range(60)]
    if how == "few":
        lines = lines[: chance.randrange(2, 12)]
    elif how in ("one", "none"):
        lines = lines[: how == "one"]
    elif how == "same":
        lines = lines[:1] * 60
    elif how == "near":
        count = chance.choice((600, 3000))
        lines += [
            f"{lines[n % 60]} {chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)}" for n in range(count)
        ]
    elif how == "scripts":
        lines = [f"{line} {own.choice(SCRIPTS)} {own.choice(SCRIPTS)}" for line in lines]
    elif how == "blank":
        lines = [line if own.randrange(4) else own.choice(("", " ", "\u3000", "\ufeff", "\u200b")) for line in lines]
    elif how == "digits":
        lines = [str(number * 977) for number in range(60)]
    elif how == "marks":
        lines = ["!" * (number + 1) for number in range(60)]
    elif how == "long":
        lines[chance.randrange(60)] = own.choice(WORDS + SCRIPTS) * chance.choice((1000, 20_000))
    elif how == "test inside":
        lines = [one for line in lines for one in (line, line.upper() + "!", line)]
    return lines, how


DIRT = {"invalid": b"\xff\xc3\x28", "nul": b"\0", "surrogate": b"\xed\xa0\x80", "controls": b"\x01\x1b\x7f"}


def _written(lines: Sequence[str], chance: Chance) -> Made:
    """Lines as bytes: by the book, or with another system's ends, encoding or dirt."""
    how = chance.choice(
        (*["book"] * 12, "crlf", "cr", "mixed", "bom", "utf-16", "latin-1", "no end", "cut", "controls", *DIRT)
    )
    text = "".join(line + "\n" for line in lines)
    data = text.encode(errors="surrogatepass")
    at = chance.randrange(len(data) + 1)
    if how in ("crlf", "cr"):
        data = data.replace(b"\n", b"\r\n" if how == "crlf" else b"\r")
    elif how == "mixed":
        own = random.Random(at)
        data = b"".join(line.encode(errors="surrogatepass") + own.choice((b"\n", b"\r\n", b"\r")) for line in lines)
    elif how == "bom":
        data = b"\xef\xbb\xbf" + data
    elif how in ("utf-16", "latin-1"):
        data = text.encode(how, "replace")
    elif how in DIRT:
        data = data[:at] + DIRT[how] + data[at:]
    elif how == "no end":
        data = data.rstrip(b"\n")
    elif how == "cut":
        data = data[:at]
    return data, how


def _settings(reader: str, files: Sequence[str], chance: Chance) -> dict[str, Any]:
    size = chance.choice((5, 5, 5, 5, 5, 3, 3, 0.2, 25))
    near = {
        "unit": chance.choice(("words", "characters")),
        "size": chance.choice((1, 3, 5, 5)),
        "similarity": chance.choice((0.01, 0.6, 0.6, 0.9, 1)),
    }
    by = "group" if chance.randrange(16) == 0 else "content"
    told: dict[str, Any] = {
        "name": "mine", "title": "My own text", "licence": "mine", "language": "en",
        "source": {"files": [{"path": name} for name in files]},
        "reader": {"name": reader, "options": {}},
        "split": {"valid": size, "test": size, "by": by, "near_duplicates": near},
    }  # fmt: skip
    if chance.randrange(10) == 0:
        most = chance.choice((None, None, 4000, 1))
        told["limits"] = {"records": chance.choice((3, 50, 10**9)), "characters": most}
    if chance.randrange(8) == 0:
        told["filters"] = {"forbidden": chance.sample(FORBIDDEN, chance.choice((1, 2)))}
    if chance.randrange(6) == 0:
        told["reader"]["options"]["encoding"] = chance.choice(CODECS)
    return told


def corpus_text(chance: Chance) -> Corpus:
    """Plain text."""
    lines, said = _lines(chance)
    data, how = _written(lines, chance)
    settings = _settings("text", ["mine.txt"], chance)
    settings["reader"]["options"]["documents"] = chance.choice((*["lines"] * 14, "blank_lines", "files"))
    return Corpus("lm", settings, {"mine.txt": data}, f"{said}, {how}", chance.choice((260, 260, 260, 280, 5000)))


LABELS = (("good", "bad"), ("good", "bad"), ("good",), ("", "good", "bad"), ("",), ("1", "0"), ("a" * 5000, "b"))
COLUMNS: tuple[dict[str, int], ...] = (
    {"text": 0, "label": 1}, {"text": 0, "label": 9}, {"text": 0}, {"source": 1, "target": 0}, {"text": 0,
    "group": 1}, {},
)  # fmt: skip


def corpus_tsv(chance: Chance) -> Corpus:
    """Columns parted by tabs: labelled texts or pairs."""
    lines, said = _lines(chance)
    task, labels = chance.choice(("classification", "translation", "lm")), chance.choice(LABELS)
    seconds = [labels[n % len(labels)] if task == "classification" else line[::-1] for n, line in enumerate(lines)]
    rows = [f"{line}\t{second}" for line, second in zip(lines, seconds, strict=True)]
    if rows and chance.randrange(4) == 0:
        at = chance.randrange(len(rows))
        row = rows[at]
        rows[at] = chance.choice(
            (row.replace("\t", " "), row + "\tmore", "\t", "\tx", row.split("\t")[0] + "\t", "\t" * 9)
        )
    data, how = _written(rows, chance)
    settings = _settings("tsv", ["mine.tsv"], chance)
    if chance.randrange(5) == 0:
        settings["reader"]["options"]["header"] = True
    if chance.randrange(5) == 0:
        settings["reader"]["options"]["columns"] = chance.choice(COLUMNS)
    return Corpus(task, settings, {"mine.tsv": data}, f"{task}, {said}, {how}")


ODD: tuple[Any, ...] = (
    None,
    3,
    2.5,
    True,
    [],
    {},
    "",
    " ",
    "\0",
    "\ud800",
    "\U0001f642",
    "a\nb",
    "x\u2028y",
    "x" * 9999,
)
ODD_LINES = (
    "{", "[1]", "null", "3", '"x"', "NaN", "{}", '{"text": 1e999}', "[" * 9999, "9" * 5000,
    '{"text": "a", "text": "b"}', '{"text": "\\u0000"}', '\ufeff{"text": "a"}', '{"text": "a"} {"text": "b"}',
    '{"text": "a"',
)  # fmt: skip
KEYS = ({"text": "body"}, {"group": "group"}, {"label": "text"}, {"source": "target"})


def corpus_jsonl(chance: Chance) -> Corpus:
    """A JSON object a line."""
    lines, said = _lines(chance)
    task = chance.choice(("classification", "translation", "summarization", "lm"))
    rows: list[dict[str, Any]] = [
        {"text": line} if task in ("lm", "classification") else {"source": line, "target": line[::-1]} for line in lines
    ]
    for number, row in enumerate(rows if task == "classification" else ()):
        row["label"] = ("good", "bad")[number % 2]
    texts = [json.dumps(row, ensure_ascii=bool(number % 2)) for number, row in enumerate(rows)]
    for _ in range(chance.choice((0, 0, 1, 3)) if texts else 0):
        at = chance.randrange(len(texts))
        odd = {**rows[at], chance.choice([*rows[at], "group", "more"]): chance.choice(ODD)}
        texts[at] = chance.choice((in_json(odd), chance.choice(ODD_LINES)))
    data, how = _written(texts, chance)
    settings = _settings("jsonl", ["mine.jsonl"], chance)
    if chance.randrange(6) == 0:
        settings["reader"]["options"]["keys"] = chance.choice(KEYS)
    return Corpus(task, settings, {"mine.jsonl": data}, f"{task}, {said}, {how}")


NAMES = (
    *[["mine.en", "mine.de"]] * 5, ["mine.en"], ["mine.en", "mine.en"], ["mine.en", "absent"], ["mine.en", "."],
)  # fmt: skip


def corpus_aligned(chance: Chance) -> Corpus:
    """Two files, line by line."""
    lines, said = _lines(chance)
    others = [line[::-1] for line in lines]
    if others and chance.randrange(4) == 0:
        at = chance.randrange(len(others))
        others[at : at + 1] = chance.choice(([], [others[at], "one more"], [""], ["\u2028"], ["a\x0bb"], ["a\x85b"]))
    (left, how), (right, as_well) = _written(lines, chance), _written(others, chance)
    settings, task = _settings("aligned", chance.choice(NAMES), chance), chance.choice(("translation", "summarization"))
    return Corpus(task, settings, {"mine.en": left, "mine.de": right}, f"{said}, {how}, {as_well}")


# ------------------------------------------------------------------------------------------------------------ archives


@dataclass(frozen=True)
class Archive:
    """An archive and the members that are asked for."""

    name: str
    data: bytes
    patterns: list[list[str]]
    about: str


ESCAPES = (
    "../out.txt", "a/../../out.txt", "/etc/out.txt", "C:/out.txt", "..\\out.txt", "\\\\host\\out.txt", "./../out.txt",
    "a/b/../../../out.txt", "//out.txt", "a\0.txt", "~/out.txt", "a\n.txt", "\x1b[31m.txt", "é.txt", "con.txt",
    ".txt", "", "a" * 300 + ".txt",
)  # fmt: skip
MODES = {"link": stat.S_IFLNK, "device": stat.S_IFBLK, "pipe": stat.S_IFIFO}
METHODS = {"deflated": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}
KINDS = {
    "sym": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "device": tarfile.CHRTYPE, "pipe": tarfile.FIFOTYPE,
    "folder": tarfile.DIRTYPE, "unknown": b"Z", "sparse": tarfile.GNUTYPE_SPARSE,
}  # fmt: skip
ARCHIVES = ("t.zip", "t.zip", "t.tar.gz", "t.tar.gz", "t.whl", "t.tar", "t.tgz", "t.txt", "t.gz", "t.txt.gz", "t")
PATTERNS = (
    [["*.txt"]], [["*.txt"]], [["*.txt"]], [["*"]], [["a.txt"]], [["a.txt"]], [["d/*"], ["*.gz"]], [["*.gz!*.txt"]],
    [["*.gz!in.txt"]], [["a.txt!b"]], [], [["absent"]], [["["]], [["!"]], [["absent", "b.txt"]], [["*.txt",
    "a.txt"], ["*"]], [["*/*"]], [[""]],
)  # fmt: skip


def _zip(members: Mapping[str, bytes], chance: Chance) -> Made:
    stream = io.BytesIO()
    how = chance.choice(("plain", "plain", *METHODS, *MODES, "encrypted", "folder"))
    with zipfile.ZipFile(stream, "w", METHODS.get(how, zipfile.ZIP_STORED)) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = archive.compression
            if how in MODES:
                info.external_attr = (MODES[how] | 0o777) << 16
            archive.writestr(info, data)
        if how == "folder":
            archive.writestr("folder.txt/", b"")
    made = stream.getvalue()
    for mark, at in ((b"PK\x03\x04", 2), (b"PK\x01\x02", 4)) if how == "encrypted" else ():
        first, *parts = made.split(mark)  # the flag stands in both headers of a member
        made = mark.join([first, *(part[:at] + bytes([part[at] | 1]) + part[at + 1 :] for part in parts)])
    return made, f"zip {how}"


def _tar(members: Mapping[str, bytes], chance: Chance) -> Made:
    stream, packing, how = io.BytesIO(), chance.choice(("", "gz", "bz2", "xz")), chance.choice((*["plain"] * 4, *KINDS))
    with tarfile.open(fileobj=stream, mode=f"w:{packing}") as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        if how != "plain":
            info = tarfile.TarInfo(chance.choice(("z.txt", "a.txt", "../z.txt")))
            info.type, info.linkname = KINDS[how], chance.choice(("/etc/passwd", "../..", "a.txt", "z.txt", ""))
            archive.addfile(info)
    return stream.getvalue(), f"tar {packing} {how}"


def archive(chance: Chance) -> Archive:
    """An archive as nobody should make one, or by the book."""
    texts: dict[str, bytes] = {"a.txt": b"one\n", "b.txt": b"two\n", "d/c.txt": b"three\n"}
    done = []
    if chance.randrange(4) == 0:
        texts[chance.choice(ESCAPES)] = b"four\n"
        done.append("escape")
    if chance.randrange(5) == 0:  # around the limit of 1 MiB that the promise sets
        texts["big.txt"] = bytes(chance.choice((2**20, 2**20 + 1, 3 * 2**20)))
        done.append("big")
    if chance.randrange(5) == 0:
        packed = gzip.compress(bytes(chance.choice((10, 2**21))), mtime=0)
        texts["g.txt.gz"] = damaged(packed, chance)[0] if chance.randrange(2) else packed
        done.append("gz inside")
    if chance.randrange(5) == 0:
        texts["i.tar.gz"], inner = _tar({"in.txt": b"deep", chance.choice(("x.txt", "../x.txt")): b"1"}, chance)
        done.append(f"{inner} inside")
    data, said = chance.choice((_zip, _tar))(texts, chance)
    done.append(said)
    if chance.randrange(4) == 0:
        data, how = damaged(data, chance)
        done.append(how)
    if chance.randrange(10) == 0:
        data = gzip.compress(data, mtime=0)
        done.append("gzipped")
    name = chance.choice(ARCHIVES)
    return Archive(name, data, chance.choice(PATTERNS), ", ".join([name, *done]))


# ------------------------------------------------------------------------------------------------------- command lines


@dataclass(frozen=True)
class Command:
    """A command line that was right before one thing of it, or of the files that it names, was spoilt."""

    module: str
    arguments: list[str]
    #: file below the working folder → new content; None removes it, "folder" makes it one
    damage: dict[str, bytes | str | None] = field(default_factory=dict)
    about: str = ""


ARGUMENTS = (
    "", "absent", "absent/file.json", ".", "/", "/dev/null", "x" * 5000, "{", "[]", "{}", "[{}]", "null", "3", "-3",
    "1e9", '{"task": 1}', '[{"jobs": []}]', "NaN", '"x"', "é", "[" * 9999, "9" * 5000, "--", "-x", "*", "mine.txt",
    "results",
)  # fmt: skip
#: where a JSON list of whole jobs is taken from the workflow alone, it is only looked whether it is JSON
NO_JSON = ("", "absent", "{", "[1, 2", "x" * 5000, "é")
CONTENTS: tuple[bytes | str | None, ...] = (
    None, None, "folder", b"", b"{", b"{}", b"[]", b"[{}]", b"null", b"3", b"words\n", b"\xff\xfe", b"\0" * 100,
    b'{"rows": []}', b'{"rows": 3}', b'{"rows": [{}]}', b'{"job": {}}', b"[" * 9999, b"9" * 5000, b'{"a": NaN}',
    b"PK\x03\x04", b"PAR1", b"\x93NUMPY\x01",
)  # fmt: skip


def command(
    known: Sequence[tuple[str, list[str], list[str]]], chance: Chance, content: Callable[[str], bytes]
) -> Command:
    """One of the known command lines (module, arguments, files that it reads), spoilt in one place."""
    module, told, reads = chance.choice(list(known))
    arguments = list(told)
    how = chance.choice(("file", "file", "file", "damaged", "argument", "argument", "missing", "unknown", "cut"))
    if how in ("file", "damaged") and reads:
        name = chance.choice(reads)
        # of a damaged model.json that is still JSON, only missing keys are told
        if how == "damaged" and not name.endswith("model.json"):
            data, said = damaged(content(name), chance)
            return Command(module, arguments, {name: data}, f"{name}: {said}")
        new = chance.choice(CONTENTS)
        return Command(module, arguments, {name: new}, f"{name}: {new!r:.40}")
    values = [at for at, one in enumerate(arguments) if not one.startswith("--")]
    if how == "argument" and values:
        at = chance.choice(values)
        arguments[at] = chance.choice(NO_JSON if arguments[at - 1] in ("--jobs", "--trials") else ARGUMENTS)
        return Command(module, arguments, {}, f"{arguments[at - 1]} {arguments[at]!r:.40}")
    if how == "missing" and arguments:
        del arguments[chance.randrange(len(arguments))]
    elif how == "unknown":
        arguments.insert(chance.randrange(len(arguments) + 1), chance.choice(("--no-such", "more", "-q", "--out")))
    else:
        arguments = arguments[: chance.randrange(len(arguments) + 1)]
    return Command(module, arguments, {}, f"{how}: {' '.join(arguments)[:80]}")
