"""What the code may not do anywhere: read pickles, run text, unpack archives to disk, ask a shell."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for folder in ("src", "workflow", "benchmarks") for path in (ROOT / folder).rglob("*.py") if path.is_file()
)
RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]

#: modules that run what they read
UNPICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "pandas", "copyreg"}
#: functions that run a text, hand it to a shell, unpickle, or write where an archive says
FORBIDDEN = {
    "eval", "exec", "compile", "execfile", "os.system", "os.popen", "torch.load", "torch.save", "torch.jit.load",
    "yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "subprocess.getoutput", "subprocess.getstatusoutput",
    "tempfile.mktemp", "shutil.unpack_archive",
}  # fmt: skip
#: methods of any object
METHODS = {"extract", "extractall", "read_pickle", "to_pickle"}
#: where a module is loaded by a name that is no constant, and why that is right
BY_NAME = {
    "src/verdict/models/mixers/__init__.py": "the mixer that params.yaml names",
    "src/verdict/job.py": "the module that the rule names, and what the server has ready",
    "benchmarks/performance/peers/__init__.py": "the peers' modules, from a table in that file",
}


def problems(tree: ast.AST, where: str) -> Iterator[str]:
    """What a module does that it may not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            yield from (f"imports {name}" for name in names if name.split(".")[0] in UNPICKLERS)
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        told = {one.arg: ast.unparse(one.value) for one in node.keywords}
        if called in FORBIDDEN or (isinstance(node.func, ast.Attribute) and node.func.attr in METHODS):
            yield f"calls {called}"
        if called in ("np.load", "numpy.load") and told.get("allow_pickle") != "False":
            yield f"calls {called} without allow_pickle=False"
        if called == "yaml.load" and told.get("Loader") != "_Loader":
            yield "calls yaml.load with another loader"
        if told.get("shell", "False") != "False":
            yield f"asks a shell in {called}"
        by_name = called in ("importlib.import_module", "__import__", "runpy.run_module", "runpy.run_path")
        if by_name and where not in BY_NAME and not (node.args and isinstance(node.args[0], ast.Constant)):
            yield f"loads a module by name with {called}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_runs_what_it_reads(path: Path) -> None:
    where = path.relative_to(ROOT).as_posix()
    assert list(problems(ast.parse(path.read_bytes()), where)) == []


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import pickle", "imports pickle"),
        ("from joblib import load", "imports joblib"),
        ("import numpy as np\nnp.load('x.npy')", "without allow_pickle"),
        ("np.load('x.npy', allow_pickle=True)", "without allow_pickle"),
        ("torch.load('x.pt')", "torch.load"),
        ("yaml.load(text, Loader=yaml.Loader)", "another loader"),
        ("archive.extractall(folder)", "extractall"),
        ("subprocess.run(command, shell=True)", "shell"),
        ("os.system(command)", "os.system"),
        ("eval(text)", "eval"),
        ("importlib.import_module(name)", "by name"),
    ],
)
def test_what_is_forbidden_is_noticed(source: str, problem: str) -> None:
    assert any(problem in one for one in problems(ast.parse(source), "src/verdict/x.py"))


@pytest.mark.parametrize(
    "source",
    ["np.load(path, allow_pickle=False)", "model.eval()", "yaml.load(text, Loader=_Loader)", "import verdict.files"],
)
def test_what_is_allowed_is_not_complained_about(source: str) -> None:
    assert list(problems(ast.parse(source), "src/verdict/x.py")) == []


def test_no_rule_runs_python_of_its_own() -> None:
    """A ``run:`` or ``script:`` would have Snakemake pickle or fill in a program; all rules have ``shell:``."""
    for path in RULES:
        text = path.read_text(encoding="utf-8")
        assert re.findall(r"^ +(?:run|script|notebook|wrapper|cwl):", text, re.M) == [], path.name
        assert re.findall(r"pickle|\beval\(|\bexec\(|os\.system", text) == [], path.name


def test_those_that_load_by_name_are_still_there() -> None:
    """Or the list of exceptions would grow old."""
    for name in BY_NAME:
        assert "import_module" in (ROOT / name).read_text(encoding="utf-8"), name
