"""What is installed: the files that name versions agree, and the package asks for little."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tnnlab
from tnnlab import _extras

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def environment() -> tuple[str, list[str]]:
    """Python's version and pip's arguments in environment.yml."""
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (python,) = (e for e in listed if isinstance(e, str) and e.startswith("python="))
    (pip,) = (e["pip"] for e in listed if isinstance(e, dict))
    return python.removeprefix("python="), pip


# torch for CUDA brings its own Triton, so the gpu extra has no pin.
@pytest.mark.parametrize("extra", ["", "book", "train", "dev"])
def test_every_dependency_is_pinned_within_its_range(extra: str) -> None:
    for line in EXTRAS[extra] if extra else PROJECT["dependencies"]:
        wanted = Requirement(line)
        pin = pins().get(canonicalize_name(wanted.name))
        assert pin, f"{wanted.name} has no version in constraints.txt"
        assert wanted.specifier.contains(pin, prereleases=True), f"{line} excludes {pin}"


def test_conda_installs_the_same_pins() -> None:
    python, pip = environment()
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(python)
    assert pip == ["-c constraints.txt", "-e .[book,train,dev]"]


def test_make_installs_what_conda_installs() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert "-c constraints.txt -e '.[book,train,dev]'" in makefile


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == tnnlab.__version__
    assert f"\n## {tnnlab.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def test_import_adds_nothing_to_torch_and_numpy() -> None:
    run = run_python(
        "import sys, numpy, torch\n"
        "before = set(sys.modules)\n"
        "import tnnlab\n"
        "for name in tnnlab.__all__: getattr(tnnlab, name)\n"
        "added = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "known = {name.split('.')[0] for name in before} | sys.stdlib_module_names\n"
        "print(sorted(added - known))\n"
    )
    assert run.stdout.strip() == "['tnnlab']", run.stdout + run.stderr


OPTIONAL = sorted({re.split(r"[<>=; ]", line)[0] for line in EXTRAS["book"] + EXTRAS["train"]})


def test_it_works_without_the_optional_packages(tmp_path: Path) -> None:
    """A model runs; saving it needs safetensors, and the error says how to get it."""
    blocked = {name: None for name in OPTIONAL} | {"yaml": None}
    run = run_python(
        "import sys\n"
        f"sys.modules.update({blocked!r})\n"
        "import torch, tnnlab\n"
        "model = tnnlab.CausalLM(tnnlab.TNNConfig(vocab_size=7, depth=1, width=8, glu_width=8))\n"
        "print(tuple(model(torch.zeros(1, 5, dtype=torch.long)).shape))\n"
        f"model.save_pretrained({str(tmp_path / 'model')!r})\n"
    )
    assert run.stdout.strip() == "(1, 5, 7)", run.stdout + run.stderr
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError"), run.stderr
    assert "`safetensors`" in last and "pip install 'tnnlab[train]'" in last


def test_a_missing_extra_names_the_command_that_brings_it() -> None:
    with pytest.raises(ImportError, match=r"`no_such_package`.*pip install 'tnnlab\[book\]'"):
        _extras.require("no_such_package.inside", extra="book")


ASKED = re.compile(r"""require\(\s*"([\w.]+)",\s*(?:extra=)?"(\w+)"\s*\)""")


def test_each_extra_brings_what_is_asked_of_it() -> None:
    brought = {
        extra: {canonicalize_name(Requirement(line).name) for line in lines}
        for extra, lines in EXTRAS.items()
    }
    distributions = metadata.packages_distributions()
    asked = {
        pair for path in (ROOT / "tnnlab").rglob("*.py") for pair in ASKED.findall(path.read_text())
    }
    assert ("safetensors.torch", "train") in asked
    for module, extra in sorted(asked):
        names = {canonicalize_name(name) for name in distributions[module.split(".")[0]]}
        assert names & brought[extra], f"tnnlab[{extra}] does not bring {module}"


def test_the_wheel_holds_the_whole_package(tmp_path: Path) -> None:
    """Recipes, scripts, py.typed, records, trained operators must reach `pip install .` too."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("tnnlab-*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("tnnlab/")}
    files = (path for path in (ROOT / "tnnlab").rglob("*") if path.is_file())
    source = {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    data = {
        f"tnnlab/{inside}/{path.relative_to(folder).as_posix()}"
        for folder, inside in (
            (ROOT / "data/results", "records"),
            (ROOT / "data/trained", "trained"),
        )
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert packed == source | data
    assert "tnnlab/py.typed" in packed
