"""book/_ext/vendor.py: what is fetched is whole, is what was expected, or is not there."""

import base64
import dataclasses
import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from tests.ext.conftest import load

vendor = load("vendor")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A package that a stand-in for npm delivers; each delivery is written to a log."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name in (
            "package/es5/a.js",
            "package/es5/sub/b.woff",
            "package/README",
            "package/../x",
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(name)
            tar.addfile(entry, io.BytesIO(name.encode()))
    archive = tmp_path / "toy-1.0.tgz"
    archive.write_bytes(content.getvalue())
    folder = tmp_path / "bin"
    folder.mkdir()
    npm = folder / "npm"
    npm.write_text(f'#!/bin/sh\necho "$2" >> {tmp_path}/log\ncp {archive} "$4"\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    digest = base64.b64encode(hashlib.sha512(content.getvalue()).digest()).decode()
    return vendor.Package("toy", "1.0", digest, "package/es5/", r".*\.(js|woff)")


def deliveries(tmp_path: Path) -> list[str]:
    log = tmp_path / "log"
    return log.read_text().split() if log.exists() else []


def test_wanted_files_are_kept_and_fetched_once(tmp_path: Path, package) -> None:
    place = vendor.fetch(package, tmp_path / "vendor")
    files = {p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file()}
    assert files == {"a.js", "sub/b.woff", ".complete"}
    vendor.fetch(package, tmp_path / "vendor")
    assert deliveries(tmp_path) == ["toy@1.0"]
    assert [p.name for p in (tmp_path / "vendor").iterdir()] == ["toy"]


def test_another_content_is_refused_and_leaves_nothing(tmp_path: Path, package) -> None:
    other = dataclasses.replace(package, sha512="AAAA")
    with pytest.raises(RuntimeError, match=r"toy@1\.0 has another content than expected"):
        vendor.fetch(other, tmp_path / "vendor")
    assert list((tmp_path / "vendor").iterdir()) == []


def test_an_incomplete_or_older_copy_is_replaced(tmp_path: Path, package) -> None:
    place = tmp_path / "vendor" / "toy"
    place.mkdir(parents=True)
    (place / "old.js").write_text("")
    (place / ".complete").write_text("0.9\n")
    vendor.fetch(package, tmp_path / "vendor")
    assert not (place / "old.js").exists() and (place / "a.js").exists()


def test_without_npm_it_says_what_to_install(
    tmp_path: Path, package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"npm is needed once, to fetch toy@1\.0: install Node"):
        vendor.fetch(package, tmp_path / "vendor")
