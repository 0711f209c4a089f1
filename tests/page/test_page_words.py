"""Words: the same keys and open places in every language, none missing, none left over, nothing comes alive."""

import re
from pathlib import Path

import pytest
from markupsafe import Markup

from verdict.errors import UserError
from verdict.page import words as page_words

HOME = Path(page_words.__file__).parent
WORDS = page_words.load()

# families whose last part is a value of the evidence, verdict or a card, looked up by ``words.name`` or ``token``
NAMED = {
    "metric",
    "task",
    "architecture",
    "baseline",
    "variant",
    "matching",
    "device",
    "size",
    "variable",
    "criterion",
    "part",
    "split",
    "field",
    "effect",
    "experiment",
    "short",
    "unit",
    "gate",
}


def asked_for() -> tuple[set[str], set[str]]:
    """Keys and beginnings of keys that templates and code mention."""
    text = "\n".join(
        path.read_text(encoding="utf-8") for path in [*HOME.rglob("*.py"), *(HOME / "templates").iterdir()]
    )
    keys = set(re.findall(r"""(?:\b(?:t|plain|word)\(\s*|data-word=)["']([\w.]+)["']""", text))
    keys |= set(re.findall(r"(?:@@|\{TOKEN\})((?!colour)[a-z_]+(?:\.\w+)+)", text)) | {"figure.never"}
    begun = set(re.findall(r"""["']((?:[a-z_]+\.)+)["']\s*[~+]""", text)) | {"chart.over."}
    keys.discard("chart.over")
    return {key for key in keys if not key.endswith(".")}, begun | {f"{family}." for family in NAMED}


def test_languages_have_the_same_keys_and_places() -> None:
    english, chinese = WORDS.texts["en"], WORDS.texts["zh"]
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert text.strip(), key
        assert chinese[key].strip(), key
        assert page_words.places(text) == page_words.places(chinese[key]), key


def test_no_word_is_missing() -> None:
    keys, begun = asked_for()
    assert [key for key in sorted(keys) if key not in WORDS] == []
    assert [start for start in sorted(begun) if not any(key.startswith(start) for key in WORDS.texts["en"])] == []


def test_no_word_is_left_over() -> None:
    keys, begun = asked_for()
    assert [key for key in WORDS.texts["en"] if key not in keys and not key.startswith(tuple(begun))] == []


def test_the_page_shows_no_open_place_and_no_key(built: dict[str, Path]) -> None:
    page = built["page"].read_text(encoding="utf-8")
    body = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    assert [place for place in re.findall(r"\{[a-z_]+\}", body)] == []
    assert "finding." not in body
    # nothing of the evidence goes without a word in both languages
    assert page.count('<span lang="en">') == page.count('<span lang="zh-Hans">')


def test_values_are_escaped_and_markup_is_kept() -> None:
    words = page_words.Words({"en": {"a": "1 < {x} & {y}"}, "zh": {"a": "{y} {x}"}})
    assert words.t("a", x="<b>", y=Markup("<i>2</i>")) == (
        '<span lang="en">1 &lt; &lt;b&gt; &amp; <i>2</i></span><span lang="zh-Hans"><i>2</i> &lt;b&gt;</span>'
    )


def test_unknown_values_are_shown_as_they_are() -> None:
    assert WORDS.name("metric", "new_<metric>") == "new &lt;metric&gt;"
    assert WORDS.token("metric", "new_metric") == "new metric"


def test_a_broken_words_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "en.yaml").write_text("a: {b: 3}")
    with pytest.raises(UserError, match=r"a\.b is not text"):
        page_words.load(tmp_path)
    (tmp_path / "en.yaml").write_text("a: [")
    with pytest.raises(UserError, match=r"en\.yaml line \d: .*; correct it"):
        page_words.load(tmp_path)
    (tmp_path / "en.yaml").unlink()
    with pytest.raises(UserError, match=r"en\.yaml does not exist"):
        page_words.load(tmp_path)
