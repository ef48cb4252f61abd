"""A prepared dataset from a stranger: what its names and paths may say, and that nothing in it
stops the kit with a traceback."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from corelib.data.banks import FeatureSteps, write_bank
from corelib.data.contract import is_below, is_folder_name, is_id
from corelib.data.samples import DatasetError, SampleTable
from tests.data.test_samples import INFO, good, written

BELOW = (
    "a.mp4",
    "videos/a.mp4",
    "./videos//a.mp4",
    "videos/a..b.mp4",
    "…/bild 1.10 AM.mov",
    "12 30/x",
)
OUTSIDE = (
    "../a.mp4", "videos/../../a.mp4", "/etc/passwd", "..", "videos/..", "C:\\a.mp4", "C:a.mp4",
    "\\\\host\\share\\a.mp4", "..\\a.mp4", "/", "", ".", "a\nb.mp4", "a\0.mp4", "\x1b[2J", 7, None,
)  # fmt: skip


def test_a_path_is_below_its_folder_or_it_is_not():
    assert [path for path in BELOW if not is_below(path)] == []
    assert [path for path in OUTSIDE if is_below(path)] == []


@pytest.mark.parametrize(
    "media", [path for path in OUTSIDE if isinstance(path, str) and path not in ("", "a\0.mp4")]
)
@pytest.mark.parametrize("raw_root", [None, "..", "absolute"])
def test_media_that_leave_their_folder_are_listed_even_where_the_file_exists(
    tmp_path, media, raw_root
):
    folder = tmp_path / "deep" / "d"
    folder.mkdir(parents=True)
    for root in (tmp_path, folder.parent, folder):
        for name in "abcd":
            (root / f"{name}.mp4").write_bytes(b"somebody's own video")
    info = (
        INFO | {None: {}, "..": {"raw_root": ".."}, "absolute": {"raw_root": str(folder)}}[raw_root]
    )
    samples = good().assign(media=[media, "b.mp4", "c.mp4", "d.mp4"])
    with pytest.raises(
        DatasetError,
        match=(
            r"1 problem\(s\).*\n.*line 2 \(id a\): media is .*it must be a path below .*neither"
            r" absolute nor with '\.\.'"
        ),
    ):
        SampleTable.load(written(folder, samples, info))


def test_a_raw_root_may_be_anywhere(tmp_path):
    (tmp_path / "raw").mkdir()
    for name in "abcd":
        (tmp_path / "raw" / f"{name}.mp4").write_bytes(b"video")
    for root in ("../raw", str(tmp_path / "raw")):
        table = SampleTable.load(written(tmp_path / "d", good(), INFO | {"raw_root": root}))
        assert table.root == (tmp_path / "raw").resolve()


@pytest.mark.parametrize(
    "name",
    [
        "../../home",
        "a/b",
        "a\\b",
        "C:a",
        "..",
        ".",
        "",
        " ",
        "x" * 101,
        "a\nb",
        "\x1b[2J",
        7,
        None,
        ["a"],
    ],
)
def test_a_datasets_name_names_the_runs_folder_and_nothing_else(tmp_path, name):
    assert not is_folder_name(name)
    with pytest.raises(
        DatasetError, match="dataset.json: name must be a name that a folder can have"
    ):
        SampleTable.load(written(tmp_path / "d", good(), INFO | {"name": name}))


@pytest.mark.parametrize("name", ["two words", "line\nend", " a", "\x1b[2Ja", "tab\t", ""])
def test_ids_are_words(tmp_path, name):
    assert not is_id(name) and is_id("dive-1") and is_id("Müller_3")
    samples = good().assign(id=[name or "  ", "b", "c", "d"])
    with pytest.raises(DatasetError, match="line 2 .*id is .*it must have no white space") as error:
        SampleTable.load(written(tmp_path / "d", samples))
    assert "\x1b" not in str(error.value)


ODD = (
    None,
    True,
    0,
    -1,
    2**70,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "a\0b",
    [],
    [1],
    [2, 1],
    ["a", "b"],
    [[0], [1]],
    [None, 1],
    {},
    {"a": 1},
    [0, 10**400],
)


def test_every_odd_value_in_dataset_json_is_refused_or_does_no_harm(tmp_path):
    written(tmp_path / "d", good())
    read = 0
    for key in [*INFO, "percent_range", "raw_root"]:
        for value in ODD:
            (tmp_path / "d" / "dataset.json").write_text(json.dumps(INFO | {key: value}))
            try:
                table = SampleTable.load(tmp_path / "d")
                table.target(True), table.target(False, "percent"), table.name, table.folds
                read += 1
            except DatasetError as error:
                assert len(str(error)) < 2000
    assert 20 < read < 50


WRONG = {
    "divided_by_difficulty": ("no", "false", 0, 1, None, []), "leaks_on_purpose": ("no", 1, None),
    "title": (7, ["a"], {}), "source": (True, 1.5), "licence": ([],),
    "citation": ({},),
    "frame_size": ("32x32", [32], [32, 32, 3], [32, 0], [32.5, 32], [True, 32], {}),
    "left_out": (None, "a", {}, [7], [None]),
    "split": (["train"], 1), "seed": ("0", 1.5, -1, None, False), "frames": ("36", 0, True),
    "steps": (32.0,), "dive_numbers": ("103B", [103], None),
    "flagged": ([], {"a": "b"}, {"a": None}), "raw_root": (0, False, [], {}), "table": (7,),
    "derived_from": ([],), "encoder_sha256": (7,), "folds": (4,),
}  # fmt: skip


@pytest.mark.parametrize("key", WRONG)
def test_every_field_of_dataset_json_has_a_type(tmp_path, key):
    for value in WRONG[key]:
        with pytest.raises(
            DatasetError, match=rf"1 problem\(s\).*\n  dataset.json: {key} must be .*, not "
        ):
            SampleTable.load(written(tmp_path / "d", good(), INFO | {key: value}))


def test_what_our_scripts_and_other_people_write_is_accepted(tmp_path):
    more = {
        "left_out": [{"id": "x", "reason": "no video"}, "y"],
        "flagged": {"score off the rule": 1},
        "frames": 36,
        "seed": 0,
        "dive_numbers": ["103B"],
        "table": "a.csv",
        "title": None,
        "source": None,
        "licence": None,
        "citation": "@inproceedings{a,\n title={b}}",
        "frame_size": None,
        "frame_rate": None,
        "steps": 32,
        "note": [1, None],
        "leaks_on_purpose": True,
        "folds": "user",
        "raw_root": "",
    }
    folder = written(tmp_path / "d", good(), INFO | more)
    assert SampleTable.load(folder).info == INFO | more
    (folder / "dataset.json").write_text(
        "\ufeff" + json.dumps(INFO), encoding="utf-8"
    )  # as an editor may save it
    assert SampleTable.load(folder).info == INFO


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "7", "null", '"x"', "", "\ufeff", "{}"])
def test_a_dataset_json_that_is_no_description_is_refused(tmp_path, text):
    (written(tmp_path / "d", good()) / "dataset.json").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match="dataset.json"):
        SampleTable.load(tmp_path / "d")


@pytest.mark.parametrize(
    "column, value",
    [("start", 0.5), ("end", 1e300), ("end", np.inf), ("end", 2**40), ("start", -np.inf)],
)
def test_a_frame_range_is_of_frame_numbers(tmp_path, column, value):
    samples = good().astype({"start": float, "end": float})
    samples.loc[0, column] = value
    with pytest.raises(
        DatasetError, match=r"line 2 \(id a\): end is .*start must be a frame number"
    ):
        SampleTable.load(written(tmp_path / "d", samples))


def test_rows_that_are_longer_than_the_header_are_refused(tmp_path):
    folder = written(tmp_path / "d", good()[["id", "split", "score", "difficulty", "media"]])
    (folder / "samples.csv").write_text("id,split,score,difficulty,media\na,b,train,60,3,a.mp4\n")
    with pytest.raises(DatasetError, match="more fields than the header, which has 5"):
        SampleTable.load(folder)


def test_a_judges_cell_is_read_in_no_time(tmp_path):
    # sixty digits and a letter can be split into marks in 2 ** 59 ways, and a careless pattern
    # tries all of them
    folder = written(tmp_path / "d", good().assign(judges=["7" * 60 + "x", "", "", ""]))
    command = [
        sys.executable,
        "-c",
        f"from corelib.data.samples import SampleTable; SampleTable.load({str(folder)!r})",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=100, cwd=Path(__file__).parents[2]
    )
    assert "it must be numbers separated by spaces" in done.stderr


def test_mutated_tables_are_refused_or_read(tmp_path):
    folder = written(tmp_path / "d", good())
    originals = {name: (folder / name).read_bytes() for name in ("samples.csv", "dataset.json")}
    refused = 0
    for number in range(300):
        rng, name = np.random.default_rng(number), list(originals)[number % 2]
        data = bytearray(originals[name])
        for _ in range(2 ** int(rng.integers(0, 5))):
            place = int(rng.integers(len(data)))
            if rng.random() < 0.5:
                data[place] ^= 1 << int(rng.integers(8))
            elif rng.random() < 0.5:
                data[place : place + 1] = bytes(
                    rng.choice(list(b'",\n\0-/.e9"[]{}')) for _ in range(3)
                )
            else:
                del data[place : place + int(rng.integers(40))]
                data = data or bytearray(b"x")
        (folder / name).write_bytes(data)
        try:
            SampleTable.load(folder)
        except DatasetError:
            refused += 1
        (folder / name).write_bytes(originals[name])
    assert 150 < refused < 300


def bank(header: dict, content: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content


def stored(shape: list, end: int, size: int, *, name: str = "features", ids: str | None = None):
    """A bank of one tensor whose header states `end` bytes, with `size` of them."""
    metadata = {} if ids is None else {"__metadata__": {"ids": ids}}
    tensor = {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}
    return bank(metadata | {name: tensor}, bytes(size))


FOUR = '["a.mp4", "b.mp4", "c.mp4", "d.mp4"]'
BANKS = {
    "a header of exabytes": (2**62).to_bytes(8, "little") + b"{}",
    "a tensor of terabytes": stored([10**6, 10**3, 10**3], 4 * 10**12, 64),
    "a tensor beyond the end": stored([4, 1, 4], 64, 63),
    "a shape that overflows": stored([2**40, 2**40, 2**40], 64, 64),
    "no features": stored([4, 1, 4], 64, 64, name="other"),
    "no ids": stored([4, 1, 4], 64, 64),
    "ids that are no list": stored([4, 1, 4], 64, 64, ids='{"a": 1}'),
    "more ids than rows": stored([3, 1, 4], 48, 48, ids=FOUR),
    "too few axes": stored([4, 4], 64, 64, ids=FOUR),
    "nothing": b"",
    "a pickle": b"\x80\x04cos\nsystem\n.",
}


@pytest.mark.parametrize("kind", BANKS)
def test_a_feature_bank_that_is_none_is_refused(tmp_path, kind):
    folder = written(tmp_path / "d", good())
    (folder / "features.safetensors").write_bytes(BANKS[kind])
    with pytest.raises(
        DatasetError,
        match=r"1 problem\(s\).*\n.*features.safetensors cannot be read as a feature bank: ",
    ) as error:
        SampleTable.load(folder)
    assert len(str(error.value).splitlines()) == 2
    write_bank(
        folder / "features.safetensors", np.zeros((4, 1, 4), np.float32), good()["media"].tolist()
    )
    assert safetensors.numpy.load_file(SampleTable.load(folder).feature_bank)["features"].shape == (
        4,
        1,
        4,
    )


def test_damaged_feature_banks_are_refused_in_words_or_read(tmp_path):
    folder, refused = written(tmp_path / "d", good()), 0
    path = folder / "features.safetensors"
    write_bank(path, np.ones((4, 2, 4), np.float32), good()["media"].tolist())
    original = path.read_bytes()
    for number in range(200):
        rng, data = np.random.default_rng(number), bytearray(original)
        for _ in range(2 ** int(rng.integers(0, 5))):
            place = int(rng.integers(len(data)))
            if rng.random() < 0.6:
                data[place] ^= 1 << int(rng.integers(8))
            else:
                del data[place : place + int(rng.integers(40))]
                data = data or bytearray(b"x")
        path.write_bytes(data)
        try:
            table = SampleTable.load(folder)
            assert all(FeatureSteps(table)[row].eq(1).all() for row in range(4))
        except DatasetError as error:
            refused += 1
            assert all(line.isprintable() for line in str(error).splitlines())
    assert refused > 100
