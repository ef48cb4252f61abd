"""What stands in notebooks/measured/ and what docs/results.md says of it are one and the same."""

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STORED = sorted((ROOT / "notebooks" / "measured").glob("*.json"))
TABLES = {  # by which benchmark
    "coverage": "covered",
    "equal_clips": "equal_cost",
    "equal_dives": "equal_cost",
    "fisv": "fisv",
}


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_a_stored_table_says_how_on_what_and_from_what_it_was_made(path):
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert (ROOT / stored["command"].split()[0]).is_file()
    assert {"torch", "device", "threads"} <= set(stored["made_on"])
    digests = stored["table_sha256"]
    digests = [digests] if isinstance(digests, str) else list(digests.values())
    assert stored["rows"] and digests and all(len(digest) == 64 for digest in digests)


@pytest.mark.parametrize("name", TABLES)
def test_the_page_of_results_has_its_rows(name, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    benchmark = importlib.import_module(TABLES[name])
    stored = json.loads((ROOT / "notebooks" / "measured" / f"{name}.json").read_text("utf-8"))
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").splitlines()
    lines = benchmark.lines_of(stored["rows"])
    assert len(lines) >= 2 and [line for line in lines if line not in page] == []
