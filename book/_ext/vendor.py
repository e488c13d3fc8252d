"""Fetch the few JavaScript packages that the book serves itself, so that no page asks another host.

    python book/_ext/vendor.py _build/vendor            # MathJax, for the book
    python book/_ext/vendor.py _build/vendor --dev      # and what the browser tests need

Packages come through npm at a pinned version, are checked against the hash below, and are unpacked
beside their place and renamed: an interrupted fetch never counts as complete.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    """An npm package, and the files to keep: a pattern over the paths below `root`."""

    name: str
    version: str
    sha512: str  # base64, as npm writes it
    root: str
    keep: str


MATHJAX = Package(
    "mathjax",
    "3.2.2",
    "Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw==",
    "package/es5/",
    r"tex-chtml\.js|input/tex/extensions/.*\.js|output/chtml/fonts/woff-v2/.*\.woff",
)
AXE = Package(
    "axe-core",
    "4.14.1",
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    "package/",
    r"axe\.min\.js|LICENSE",
)
# Lighthouse as Chromium's developer tools hold it: in one file, and puppeteer, which it works
# through, in another. The package `lighthouse` brings 200 others.
LIGHTHOUSE = Package(
    "chrome-devtools-frontend",
    "1.0.1705227",  # Lighthouse 13.5.0
    "bCwTmQyZTMBsjhUcHvVaqRM+cj28v2Yijto6varONvt5W+4Y5FufKRDB/ue3qXl2h2F6UDRXOP6exZsZRyP/Pw==",
    "package/front_end/third_party/",
    r"lighthouse/(lighthouse-dt-bundle\.js|LICENSE)"
    r"|puppeteer/(package/lib/es5-iife/puppeteer-core-browser\.js|LICENSE)",
)


def fetch(package: Package, folder: Path) -> Path:
    """Put `package` into `folder/<name>` unless it is there already; returns that path.

    Raises:
        RuntimeError: npm is missing, the download failed, or its hash is another.
    """
    place, stamp = folder / package.name, f"{package.version} {package.sha512}\n"
    marker = place / ".complete"
    if marker.is_file() and marker.read_text() == stamp:
        return place
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{package.name}-") as work:
        archive = _download(package, Path(work))
        fresh = Path(work) / "fresh"
        _extract(archive, package, fresh)
        (fresh / ".complete").write_text(stamp)
        shutil.rmtree(place, ignore_errors=True)
        os.replace(fresh, place)
    return place


def _download(package: Package, folder: Path) -> Path:
    npm, wanted = shutil.which("npm"), f"{package.name}@{package.version}"
    if npm is None:
        raise RuntimeError(
            f"npm is needed once, to fetch {wanted}: install Node.js "
            "(Debian and Ubuntu: apt-get install npm; conda: conda install nodejs) and build again"
        )
    command = [npm, "pack", wanted, "--pack-destination", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    archives = list(folder.glob("*.tgz"))
    if done.returncode != 0 or len(archives) != 1:
        raise RuntimeError(
            f"`npm pack {wanted}` failed; is there a network?\n{done.stderr.strip()}"
        )
    digest = base64.b64encode(hashlib.sha512(archives[0].read_bytes()).digest()).decode()
    if digest != package.sha512:
        raise RuntimeError(
            f"{wanted} has another content than expected: sha512 {digest}, not {package.sha512}"
        )
    return archives[0]


def _extract(archive: Path, package: Package, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.removeprefix(package.root)
            if not member.isfile() or not re.fullmatch(package.keep, name) or ".." in name:
                continue
            content = tar.extractfile(member)
            assert content is not None  # a regular file
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.read())


def main() -> None:
    parser = argparse.ArgumentParser(description="Fetch what the book serves itself.")
    parser.add_argument("folder", type=Path, help="where to put them, e.g. _build/vendor")
    parser.add_argument("--dev", action="store_true", help="also what the browser tests need")
    arguments = parser.parse_args()
    for package in [MATHJAX, AXE, LIGHTHOUSE] if arguments.dev else [MATHJAX]:
        print(fetch(package, arguments.folder))


if __name__ == "__main__":
    main()
