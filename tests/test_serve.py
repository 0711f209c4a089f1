"""``verdict open``: the page over loopback, to this machine alone, nothing beside it, and a quiet end."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verdict import serve
from verdict.errors import UserError
from verdict.serve import file_of, is_ours, mlflow_command

ROOT = Path(__file__).parents[1]
WAIT = 60  # seconds, on a busy machine


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A finished run, as far as it is served, beside things that must not be."""
    folder = tmp_path_factory.mktemp("run")
    for name, content in (
        ("reports/index.html", "<p>The page</p>"), ("reports/charts/a.svg", "<svg/>"), ("reports/.hidden", "no"),
        ("reports/index.html.bak/x", "no"), ("secret", "no"), ("reports-secret/x", "no"),
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / "reports/out").symlink_to(folder / "secret")
    (folder / "reports/ring").symlink_to(folder / "reports/ring")
    return folder


@contextlib.contextmanager
def opened(folder, *arguments, **environment):
    """``verdict open`` in a process of its own with the address it tells."""
    command = [sys.executable, "-m", "verdict", "open", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        said = process.stdout.readline()
        assert "http://" in said, said + process.stderr.read()
        yield process, urlsplit(said.split()[2])
    finally:
        process.kill()
        process.communicate()


def ask(address, target="/", method="GET", **headers):
    """Status, headers and body of one request, whose target is sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=WAIT)
    connection.putrequest(method, target, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    with contextlib.closing(connection):
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def ended(process, number):
    """What a signal leaves: exit code and everything said in the end."""
    process.send_signal(number)
    out, err = process.communicate(timeout=WAIT)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def server(run_folder):
    with opened(run_folder, "--no-browser") as (_, address):
        yield address


def test_the_page_is_served(server):
    assert server.hostname == "127.0.0.1"
    status, headers, body = ask(server)
    assert (status, body) == (200, b"<p>The page</p>")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    assert ask(server, "/index.html?x=1")[2] == body
    assert ask(server, "/charts/a.svg")[1]["Content-Type"] == "image/svg+xml"
    status, headers, body = ask(server, method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, "15", b"")


@pytest.mark.parametrize(
    "target",
    ["/../secret", "/%2e%2e/secret", "/..%2fsecret", "/%2e%2e%2fsecret", "/charts/../../secret", "/..\\secret",
     "//secret", "/../reports-secret/x", "/out", "/ring", "/charts", "/charts/", "/.hidden", "/absent", "/%00", "/%ff",
     "secret", "../secret", "*", "/index.html.bak", "/" + "x" * 5000],
)  # fmt: skip
def test_nothing_else_is(server, target):
    status, _, body = ask(server, target)
    assert status == 404
    assert b"no" not in body.split()
    assert b"<svg" not in body


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "localhost.x:{port}"]
)
def test_another_name_is_refused(server, host):
    status, _, body = ask(server, Host=host.format(port=server.port))
    assert status == 421
    assert b"The page" not in body
    assert ask(server, Host=f"LOCALHOST:{server.port}")[0] == 200


def test_nothing_can_be_sent(server):
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(server, method=method)[0] == 501


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is no address of this machine")
def test_it_listens_on_one_address_alone(server):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", server.port), timeout=WAIT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_quietly(run_folder, number):
    with opened(run_folder, "--no-browser") as (process, _):
        assert ended(process, number) == (0, "", "")


def test_a_browser_is_sent_to_the_page(run_folder, tmp_path):
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > "{tmp_path}/part" && mv "{tmp_path}/part" "{tmp_path}/sent"\n')
    browser.chmod(0o755)
    with opened(run_folder, BROWSER=f"{browser} %s") as (_, address):
        _wait_for(lambda: (tmp_path / "sent").exists())
        assert (tmp_path / "sent").read_text() == address.geturl()


def test_a_port_that_is_taken_is_told(run_folder, server):
    with pytest.raises(UserError, match=f"port {server.port} of 127.0.0.1 cannot be had"):
        serve.serve(run_folder / "reports", server.port, browser=False)
    with pytest.raises(UserError, match=r"port 70000 of 127\.0\.0\.1 cannot be had"):
        serve.serve(run_folder / "reports", 70000, browser=False)


def test_what_is_missing_is_told(run_folder, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"index\.html does not exist; run `snakemake --cores all`"):
        serve.serve(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(
        UserError, match=r"mlflow\.db does not exist; run `snakemake --cores all`, or leave out --mlflow"
    ):
        serve.serve(run_folder / "reports", store=tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:word@runs.example")
    with pytest.raises(UserError, match=r"the runs are in MLFLOW_TRACKING_URI, runs\.example") as told:
        serve.serve(run_folder / "reports", store=tmp_path / "mlflow.db")
    assert "word" not in str(told.value)
    (tmp_path / "mlflow.db").touch()
    monkeypatch.setattr(serve.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="package mlflow is not installed"):
        serve.serve(run_folder / "reports", store=tmp_path / "mlflow.db")


PART = st.sampled_from(
    ["..", ".", "", "%2e%2e", "charts", "a.svg", "index.html", "out", "secret", "\\", "C:", "?", "#", "%"]
)


@settings(deadline=None)
@given(st.lists(PART | st.text(max_size=3), max_size=6), st.sampled_from(["/", "%2f", "\\", "//"]))
def test_no_target_leads_out(run_folder, parts, between):
    reports = run_folder / "reports"
    found = file_of(reports, "/" + between.join(parts))
    assert found in (
        None,
        reports / "index.html",
        (reports / "charts/a.svg").resolve(),
        (reports / "index.html").resolve(),
    )


def test_the_page_may_be_a_link_into_dvcs_cache(tmp_path):
    (tmp_path / "cache").write_text("page")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/index.html").symlink_to(tmp_path / "cache")
    assert file_of(tmp_path / "reports", "/").read_text() == "page"


def test_a_browser_leaves_out_the_port_that_all_know():
    assert is_ours("127.0.0.1", 80)
    assert not is_ours("127.0.0.1", 8080)
    assert not is_ours("127.0.0.1:8080", 80)


# ---------------------------------------------------------------- MLflow beside it

FAKE = """
    import os, socket, subprocess, sys, time
    told = dict(zip(sys.argv[2::2], sys.argv[3::2]))
    assert sys.argv[1] == "ui"
    open("started", "w").write(f"{os.getpid()} " + " ".join(sorted(n for n in os.environ if n.startswith("MLFLOW_"))))
    if os.path.exists("broken"):
        sys.exit("the store is broken")
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    taken = socket.create_server((told["--host"], int(told["--port"])))
    time.sleep(600)
"""


@pytest.fixture
def with_fake(run_folder, tmp_path, monkeypatch):
    """A package called mlflow in place of the real one, which takes long to start."""
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow/__init__.py").touch()
    (tmp_path / "mlflow/__main__.py").write_text(textwrap.dedent(FAKE))
    (tmp_path / "reports").symlink_to(run_folder / "reports")
    (tmp_path / "mlflow.db").touch()
    return {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'src'}", "MLFLOW_HOST": "0.0.0.0"}


def _wait_for(happened):
    end = time.monotonic() + WAIT
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def _members(group):
    """Processes of a group that are not yet gone."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, number = path.read_text().rpartition(")")[2].split()[:3]
            if number == group and state != "Z":
                found.append(path.parent.name)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the processes under /proc")
def test_mlflow_starts_beside_it_and_ends_with_it(with_fake, tmp_path):
    with opened(tmp_path, "--no-browser", "--mlflow", **with_fake) as (process, address):
        assert process.stdout.readline() == "MLflow starts …\n"
        where = urlsplit(process.stdout.readline().split()[1])
        assert where.hostname == "127.0.0.1"
        socket.create_connection((where.hostname, where.port), timeout=WAIT).close()
        assert ask(address)[0] == 200
        group, *environment = (tmp_path / "started").read_text().split()
        assert environment == ["MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"]
        assert len(_members(group)) == 2
        assert ended(process, signal.SIGTERM) == (0, "", "")
        _wait_for(lambda: not _members(group))


def test_the_page_stays_when_mlflow_ends(with_fake, tmp_path):
    (tmp_path / "broken").touch()
    with opened(tmp_path, "--no-browser", "--mlflow", **with_fake) as (process, address):
        process.stdout.readline()
        assert process.stdout.readline() == "MLflow ended (the store is broken); the page stays\n"
        assert ask(address)[0] == 200
        assert ended(process, signal.SIGINT) == (0, "", "")


def test_mlflow_is_for_this_machine_alone():
    command = mlflow_command(Path("mlflow.db"), 5001)
    told = dict(zip(command[4::2], command[5::2], strict=False))
    assert command[1:4] == ["-m", "mlflow", "ui"]
    assert (told["--host"], told["--port"]) == ("127.0.0.1", "5001")
    assert told["--backend-store-uri"] == "sqlite:///mlflow.db"
    assert "--disable-security-middleware" not in command


@pytest.mark.slow
def test_the_real_mlflow_answers_to_its_own_name_alone(run_folder, tmp_path):
    import sqlite3

    (tmp_path / "reports").symlink_to(run_folder / "reports")
    sqlite3.connect(tmp_path / "mlflow.db").close()
    (tmp_path / "mlflow.db").touch()
    with opened(tmp_path, "--no-browser", "--mlflow") as (process, _):
        process.stdout.readline()
        where = urlsplit(process.stdout.readline().split()[1])
        assert ask(where)[0] == 200
        assert ask(where, Host="evil.example")[0] == 403
        assert ended(process, signal.SIGTERM)[0] == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", where.port), timeout=WAIT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db", "reports"]
