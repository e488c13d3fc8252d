"""Crossovers are read from the cache folder where this machine measured them, else built in."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tnnlab.ops import choose_method, crossovers, tiles, toeplitz, toeplitz_matmul

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache folder; what was read before is forgotten."""
    monkeypatch.setenv("TNNLAB_CACHE", str(tmp_path / "cache"))
    crossovers.forget()
    yield tmp_path / "cache" / "crossovers.json"
    crossovers.forget()


def choice(n: int, causal: bool = True) -> tuple[str, bool]:
    found = choose_method(n, 4, device="cpu", dtype=torch.float32, causal=causal)
    here, built_in = ("measured on this machine" in found.reason, "built in" in found.reason)
    assert here != built_in and "crossover" in found.reason
    return found.method, here


def test_without_a_measurement_the_built_in_table_is_used(place: Path) -> None:
    assert (choice(16), choice(4096)) == (("dense", False), ("fft", False))
    assert not place.exists()


def test_a_measurement_is_used_from_then_on(place: Path) -> None:
    assert choice(16) == ("dense", False)
    assert crossovers.keep(CPU, {"cpu": {"dense": 8, "tiles": 200}}) == place
    assert [choice(n)[0] for n in (8, 9, 200, 201)] == ["dense", "tiles", "tiles", "fft"]
    assert choice(16)[1]
    crossovers.forget()
    assert choice(16) == ("tiles", True)  # as another process sees it


def test_a_bidirectional_product_has_twice_the_tiles() -> None:
    crossovers.keep(CPU, {"cpu": {"dense": 8, "tiles": 200}})
    assert [choice(n, causal=False)[0] for n in (8, 100, 101)] == ["dense", "tiles", "fft"]


def test_a_method_without_a_limit_is_never_the_fastest() -> None:
    crossovers.keep(CPU, {"cpu": {}})
    assert choice(1) == ("fft", True)


@pytest.mark.parametrize(("refusal", "known"), [(None, "triton"), ("not float64", "fft")])
def test_kernels_that_refuse_a_dtype_are_not_chosen(
    refusal: str | None, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a GPU float64 goes by the limits of float32, which the kernels take.
    crossovers.keep(CPU, {"cuda": {"dense": 8, "triton": 200}})
    monkeypatch.setattr(toeplitz, "arithmetic", lambda device, dtype: ("cuda", refusal))
    assert [choice(n)[0] for n in (8, 9, 200, 201)] == ["dense", known, known, "fft"]


def test_it_counts_for_this_machine_only(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = crossovers.machine(CPU)
    assert torch.__version__ in key and key.endswith(f"{torch.get_num_threads()} threads")
    crossovers.keep(CPU, {"cpu": {"tiles": 99}})
    for part in ("device_name", "threads"):
        with monkeypatch.context() as patch:
            if part == "threads":
                patch.setattr(torch, "get_num_threads", lambda: 77)
            else:
                patch.setattr(crossovers, "device_name", lambda device: "Another")
                crossovers.forget()
            assert choice(16) == ("dense", False)
            crossovers.keep(CPU, {"cpu": {"dense": 1}})
        crossovers.forget()
        assert choice(16) == ("tiles", True)
    assert len(json.loads(place.read_text())) == 3


def test_kinds_of_arithmetic_do_not_disturb_each_other(place: Path) -> None:
    crossovers.keep(CPU, {"cpu": {"dense": 1}, "another": {"dense": 2}})
    crossovers.keep(CPU, {"cpu": {"dense": 3}})
    (kinds,) = json.loads(place.read_text()).values()
    assert kinds == {"cpu": {"dense": 3}, "another": {"dense": 2}}


@pytest.mark.parametrize(
    ("installed", "capability", "dtype", "precision", "kind"),
    [
        (True, (9, 0), torch.bfloat16, "highest", "hopper half"),
        (True, (8, 9), torch.float16, "highest", "cuda half"),
        (True, (9, 0), torch.float32, "high", "cuda tf32"),
        (True, (9, 0), torch.float32, "highest", "cuda"),
        (True, (9, 0), torch.float64, "high", "cuda"),
        (True, (7, 5), torch.float16, "highest", "cuda"),
        (False, (9, 0), torch.bfloat16, "highest", "cuda"),
    ],
)
def test_the_arithmetic_of_a_gpu(
    installed: bool,
    capability: tuple[int, int],
    dtype: torch.dtype,
    precision: str,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tiles, "_TRITON", installed)
    monkeypatch.setattr(tiles, "_gpu", lambda device: ("GPU", capability))
    shared = 227 if capability == (9, 0) else 99
    monkeypatch.setattr(tiles, "_shared_memory", lambda device: 1024 * shared)
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: precision)
    found, refusal = crossovers.arithmetic(torch.device("cuda"), dtype)
    assert found == kind
    assert bool(refusal) == (not installed or capability < (8, 0) or dtype == torch.float64)


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"cpu',
        "[]",
        '"cpu"',
        '{"machine": 3}',
        '{"machine": {"cpu": null}}',
        '{"machine": {"cpu": {"dense": "long"}}}',
        '{"machine": {"cpu": {"dense": true}}}',
        '{"machine": {"cpu": {"tiles": 9, "dense": 9}}}',
        '{"machine": {"cpu": {"winograd": 9}}}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_file_is_named_once_and_passed_over(text: str | bytes, place: Path) -> None:
    place.parent.mkdir()
    place.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.warns(UserWarning, match=r"cannot be read.*delete .*crossovers\.json"):
        assert choice(16) == ("dense", False)
    assert choice(17) == ("dense", False)
    with pytest.warns(UserWarning, match="cannot be read"):
        crossovers.forget()
        crossovers.keep(CPU, {"cpu": {"dense": 3}})  # puts a whole one in its place
    assert choice(16) == ("fft", True)


def test_a_file_that_may_not_be_read_is_passed_over(place: Path) -> None:
    place.mkdir(parents=True)
    with pytest.warns(UserWarning, match="cannot be read"):
        assert choice(16) == ("dense", False)


@pytest.mark.filterwarnings("ignore")  # deprecations inside torch's compiler
@pytest.mark.parametrize("dynamic", [False, True])
def test_a_compiled_product_reads_it_without_a_graph_break(dynamic: bool) -> None:
    crossovers.keep(CPU, {"cpu": {"tiles": 40}})
    torch.compiler.reset()
    called = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> object:
        called.append(str(graph.code))
        return graph

    def product(kernel: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return toeplitz_matmul(kernel, x, causal=True)

    compiled = torch.compile(product, fullgraph=True, dynamic=dynamic, backend=backend)
    kernel, x = torch.randn(2, 30), torch.randn(3, 2, 30)
    torch.testing.assert_close(compiled(kernel, x), product(kernel, x))
    assert "tile_product" in called[0]


def test_few_sequences_do_not_pay_for_a_matrix_on_a_cpu() -> None:
    def choose(n: int, sequences: int | None) -> str:
        where: Any = {"device": "cpu", "dtype": torch.float32}
        found = choose_method(n, 4, **where, sequences=sequences)
        assert ("few" in found.reason) == (n == 64 and sequences == 4)
        return found.method

    assert [choose(64, sequences) for sequences in (4, 64, None)] == ["fft", "dense", "dense"]
    assert [choose(n, 1) for n in (1, 32)] == ["dense", "dense"]
    assert choose(4096, 1) == "fft"


@pytest.mark.parametrize(("batch", "expected"), [((2, 2), "fft"), ((8, 8), "dense"), ((), "fft")])
def test_a_product_counts_its_sequences(
    batch: tuple[int, ...], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel, x = torch.randn(3, 64), torch.randn(*batch, 3, 64)
    known = {
        name: toeplitz_matmul(kernel, x, causal=True, method=name) for name in ("dense", "fft")
    }
    assert not torch.equal(known["dense"], known["fft"])  # rounding tells them apart
    assert torch.equal(toeplitz_matmul(kernel, x, causal=True), known[expected])


def test_reading_is_quiet_where_there_is_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not crossovers.crossovers(CPU, "cpu").measured
