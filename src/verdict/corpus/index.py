"""Where pip looks for packages, and a file's address there.

``pip download`` would run the setup.py of a source archive and refuses files for other Python versions, so a file is
looked up by its name in the index's own listing: the simple API (PEP 503 as HTML, PEP 691 as JSON), on the web or in a
folder, and the pages and folders of ``find-links``.
"""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from verdict.errors import without_secrets

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"


@dataclass(frozen=True, slots=True)
class Index:
    """pip's settings that say where files come from."""

    indexes: tuple[str, ...]
    links: tuple[str, ...] = ()
    cert: str | None = None
    client_cert: str | None = None
    proxy: str | None = None
    trusted: frozenset[str] = field(default_factory=frozenset)

    def session(self) -> requests.Session:
        """A session with pip's certificates and proxy; names and passwords come from addresses or ``.netrc``."""
        session = _Session(self.trusted)
        retry = Retry(3, backoff_factor=0.5, status_forcelist=(429, 502, 503, 504), raise_on_status=False)
        for place in (*self.indexes, *self.links):  # files are retried and resumed where they are downloaded
            if place.startswith(("http://", "https://")):
                session.mount(place, HTTPAdapter(max_retries=retry))
        if self.cert:
            session.verify = self.cert
        if self.client_cert:
            session.cert = self.client_cert
        if self.proxy:
            session.proxies = {"http": self.proxy, "https": self.proxy}
        return session


class _Session(requests.Session):
    def __init__(self, trusted: frozenset[str]) -> None:
        super().__init__()
        self.trusted = trusted

    def request(self, method, url, *args, **kwargs):  # type: ignore[no-untyped-def]
        """A request; hosts that pip is told to trust are not asked for a certificate."""
        place = urlsplit(url)
        if {place.hostname, place.netloc.rpartition("@")[2]} & self.trusted:
            kwargs.setdefault("verify", False)
        elif self.verify is not True:
            kwargs.setdefault("verify", self.verify)  # else REQUESTS_CA_BUNDLE would go before pip's own setting
        return super().request(method, url, *args, **kwargs)


def pip_index() -> Index:
    """What ``pip config list`` says, files and environment alike; the environment alone where there is no pip."""
    try:
        listed = subprocess.run(
            [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        listed = "".join(
            f":env:.{key[4:].lower().replace('_', '-')}={value!r}\n"
            for key, value in os.environ.items()
            if key.startswith("PIP_")
        )
    return index_from(listed)


def index_from(listed: str) -> Index:
    """Settings from the lines ``section.key='value'`` of ``pip config list``; later sections of pip's order win."""
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}, "download": {}, ":env:": {}}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in sections:
            try:
                sections[section][key] = str(ast.literal_eval(value))
            except (ValueError, SyntaxError):
                continue
    merged: dict[str, str] = {}
    for values in sections.values():
        merged |= values
    nowhere = merged.get("no-index", "").lower() in ("1", "true", "yes", "on")
    indexes = [merged.get("index-url", "https://pypi.org/simple"), *merged.get("extra-index-url", "").split()]
    return Index(
        indexes=() if nowhere else tuple(indexes),
        links=tuple(merged.get("find-links", "").split()),
        cert=merged.get("cert") or None,
        client_cert=merged.get("client-cert") or None,
        proxy=merged.get("proxy") or None,
        trusted=frozenset(merged.get("trusted-host", "").split()),
    )


def candidates(
    package: str, file: str, index: Index, session: requests.Session, notes: list[str]
) -> Iterator[tuple[str, str | None]]:
    """Addresses of a file with the SHA-256 that the listing states, folders first; ``notes`` collects what failed."""
    places = [*index.links, *(f"{one.rstrip('/')}/{package}/" for one in index.indexes)]
    for place in sorted(places, key=lambda one: one.startswith(("http://", "https://"))):
        shown = without_secrets(place)
        try:
            listing = _listing(place, session)
        except FileNotFoundError:
            listing = []
        except (requests.RequestException, OSError, ValueError, KeyError, TypeError) as error:
            reason = getattr(getattr(error, "response", None), "status_code", None) or type(error).__name__
            notes.append(f"{shown} cannot be read ({reason})")
            continue
        found = [(url, stated) for name, url, stated in listing if name == file]
        if not found:
            notes.append(f"{shown} does not list it")
        yield from found


def _listing(place: str, session: requests.Session) -> list[tuple[str, str, str | None]]:
    """File name, address and stated SHA-256 of everything a page or folder lists."""
    if not place.startswith(("http://", "https://")):
        path = Path(url2pathname(urlsplit(place).path)) if place.startswith("file:") else Path(place).expanduser()
        page = path / "index.html" if path.is_dir() and (path / "index.html").is_file() else path
        if page.is_dir():
            return [(one.name, one.resolve().as_uri(), None) for one in sorted(page.iterdir()) if one.is_file()]
        return _links(page.read_text(encoding="utf-8"), page.resolve().as_uri())
    response = session.get(place, headers={"Accept": ACCEPT}, timeout=60)
    response.raise_for_status()
    if "json" in response.headers.get("Content-Type", ""):
        return [
            (
                one["filename"],
                _with_secret(urljoin(response.url, one["url"]), place),
                one.get("hashes", {}).get("sha256"),
            )
            for one in json.loads(response.text)["files"]
        ]
    return [(name, _with_secret(url, place), stated) for name, url, stated in _links(response.text, response.url)]


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.base: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        target = dict(attrs).get("href")
        if target and tag == "a":
            self.links.append(target)
        elif target and tag == "base" and self.base is None:
            self.base = target


def _links(page: str, address: str) -> list[tuple[str, str, str | None]]:
    parser = _Anchors()
    parser.feed(page)
    base = urljoin(address, parser.base or "")
    found = []
    for link in parser.links:
        url, _, fragment = urljoin(base, link).partition("#")
        stated = fragment.removeprefix("sha256=").split("&")[0] if fragment.startswith("sha256=") else None
        found.append((unquote(urlsplit(url).path).rsplit("/", 1)[-1], url, stated))
    return found


def _with_secret(url: str, place: str) -> str:
    """The name and password of an index's address serve its files on the same host too."""
    file, index = urlsplit(url), urlsplit(place)
    secret, _, host = index.netloc.rpartition("@")
    if secret and "@" not in file.netloc and (file.scheme, file.netloc) == (index.scheme, host):
        return urlunsplit(file._replace(netloc=f"{secret}@{host}"))
    return url
