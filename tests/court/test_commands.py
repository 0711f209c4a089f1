"""The command ``verdict``: files in, text out, exit codes that a script can rely on, one sentence on a mistake."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import synthetic

from verdict import __main__ as command
from verdict.court import claims as docket
from verdict.court import evidence
from verdict.court.judge import judge
from verdict.files import write_json

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Verdicts of a world, of the same world turned round, and the evidence of the first."""
    made = tmp_path_factory.mktemp("asked")
    claims = docket.load(ROOT / "claims.yaml")
    for name, world in (("a", {}), ("turned", {"quality": -1.0})):
        write_json(made / f"{name}.json", judge(claims, synthetic.table(**world)))
    evidence.write(synthetic.table(), made / "evidence.parquet")
    (made / "rows.json").write_text("[]")
    return made


@pytest.fixture
def ask(monkeypatch, capsys, folder):
    """Run the command in this process, in the folder; gives exit code, output and complaint."""
    monkeypatch.chdir(folder)

    def asked(*arguments):
        monkeypatch.setattr(sys, "argv", ["verdict", *map(str, arguments)])
        try:
            command.main()
            code = 0
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        return (1, out, f"{code}\n") if isinstance(code, str) else (code, out, err)

    return asked


def test_a_verdict_does_not_differ_from_itself(ask):
    code, out, _ = ask("diff", "a.json", "a.json")
    assert (code, out.splitlines()[:2]) == (0, ["A: a.json", "B: a.json"])


def test_a_change_ends_with_one_and_json_has_all_of_it(ask):
    code, out, _ = ask("diff", "a.json", "turned.json")
    assert code == 1
    assert "More than noise: " in out
    code, out, _ = ask("diff", "a.json", "turned.json", "--json")
    assert code == 1
    assert json.loads(out)["changed"] is True


@pytest.mark.parametrize("bad", ["absent.json", "rows.json", "evidence.parquet", "."])
def test_what_cannot_be_compared_ends_with_two(ask, bad):
    for pair in (("a.json", bad), (bad, "a.json")):
        code, out, err = ask("diff", *pair)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert bad in err
        assert err.count("\n") == 1


def test_a_reader_who_has_enough_is_no_error(folder):
    code = "import sys; from verdict.__main__ import main; sys.argv[1:] = ['diff', 'a.json', 'turned.json']; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT / "src"), "PYTHONUTF8": "1"},
    ) as process:  # fmt: skip
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode in (1, 141)


def test_the_codes_are_told(ask):
    code, out, _ = ask("diff", "--help")
    assert code == 0
    assert "exit code: 0 if nothing changed" in out


def test_a_badge_is_printed_or_written(ask, folder):
    code, printed, _ = ask("badge", "--verdict", "a.json")
    assert code == 0
    assert ElementTree.fromstring(printed).attrib["aria-label"].startswith("Transformer, for sure?: ")
    code, out, _ = ask("badge", "--verdict", "a.json", "--out", "badges/a.svg")
    assert (code, out, (folder / "badges/a.svg").read_text()) == (0, "", printed)
    code, out, _ = ask("badge", "--verdict", "a.json", "--claim", "A1")
    assert ElementTree.fromstring(out).attrib["aria-label"].startswith("A1: ")


def test_the_judge_says_the_same_of_an_export(ask, folder):
    assert ask("export", "--evidence", "evidence.parquet", "--out", "copy.csv")[0] == 0
    claims = docket.load(ROOT / "claims.yaml")
    assert judge(claims, evidence.read(folder / "copy.csv")) == json.loads((folder / "a.json").read_text())
    # and an export of an export is that export
    assert ask("export", "--evidence", "copy.csv", "--out", "again.csv")[0] == 0
    assert (folder / "again.csv").read_bytes() == (folder / "copy.csv").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["badge"], "results/verdict.json does not exist"),
        (["badge", "--verdict", "a.json", "--claim", "Z9"], "'Z9'"),
        (["export", "--out", "e.csv"], "results/evidence.parquet does not exist"),
        (["export", "--evidence", "evidence.parquet", "--out", "e.txt"], "--out e.txt must end in .csv"),
        (["open", "--no-browser"], "reports/index.html does not exist; run `snakemake --cores all`"),
    ],
)
def test_a_mistake_gets_one_sentence(ask, arguments, named):
    code, out, err = ask(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert named in err
    assert err.count("\n") == 1
