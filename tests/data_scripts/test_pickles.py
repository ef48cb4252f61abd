"""Pickles from strangers: what a dataset needs comes through, anything else is refused by name."""

import ast
import bz2
import gzip
import json
import lzma
import pickle
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from corelib.data.samples import DatasetError
from data_scripts.readers.pickles import load_pickle
from tests.payloads import payloads, runs_plainly

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.integers() | st.text(), inner)
    ),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("pickles")


@given(value=plain, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values_come_through_unchanged(scratch, value, protocol):
    path = scratch / "plain.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    assert load_pickle(path) == value


ARRAYS = (
    np.arange(6, dtype=">f4").reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.array([], int), np.array(3.0), np.array([True]), np.array([1 + 2j]), np.array(["a", "bé"]),
    np.array(["é"], ">U1"), np.array([b"xx"]), np.array([1, "a", None, [2]], object),
    np.float32(2), np.str_("é"), np.bool_(True), np.int64(4), np.dtype(">f4").type(3),
    np.arange(24, dtype=np.int16).reshape(2, 3, 4).transpose(2, 0, 1), np.arange(6)[::-2],
    np.bytes_(b"x"), np.float16(1.5),
)  # fmt: skip


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_kind_are_read_as_numpy_reads_them(tmp_path, protocol):
    for array in ARRAYS:
        content = pickle.dumps(array, protocol=protocol)
        (tmp_path / "array.pkl").write_bytes(content)
        found, expected = load_pickle(tmp_path / "array.pkl"), pickle.loads(content)
        assert (
            type(found) is type(expected)
            and found.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
            and np.array_equal(found, expected)
        )


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_dictionaries_that_were_saved_again_come_through(tmp_path, protocol, compress):
    by_event = defaultdict(list, {"01": [(np.int64(1), 2)]})
    content = [
        OrderedDict(a=1, b=np.float32(2)),
        by_event,
        Counter("aab"),
        {1, 2},
        frozenset("x"),
        {np.str_("k"): (True, b"x", 1 + 2j)},
    ]
    path = tmp_path / "again.pkl"
    path.write_bytes(compress(pickle.dumps(content, protocol)))
    found = load_pickle(path)
    assert found == content and type(found[1]) is dict
    assert list(found[0]) == ["a", "b"] and 7 not in found[1]


def test_an_array_of_numpy_1_and_protocol_5_is_read(tmp_path):
    content = pickle.dumps({"marks": np.arange(3.0)}, 5).replace(
        b"\x13numpy._core.numeric", b"\x12numpy.core.numeric"
    )
    (tmp_path / "marks.pkl").write_bytes(
        content.replace(content[2:11], b"")
    )  # without the frame, whose length has changed
    assert load_pickle(tmp_path / "marks.pkl")["marks"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_numpy_arrays_and_scalars_come_through(tmp_path, protocol):
    path = tmp_path / "marks.pkl"
    content = {
        (1, 2): {
            "marks": np.array([7.5, 8.0]),
            "score": np.float64(66.5),
            "names": np.array(["a", "bé"], object),
        }
    }
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    dive = load_pickle(path)[1, 2]
    assert dive["marks"].tolist() == [7.5, 8.0] and dive["marks"].dtype == np.float64
    assert dive["score"] == 66.5 and dive["names"].tolist() == ["a", "bé"]


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_a_scalar_written_by_python_2_is_read(tmp_path, module):
    # By hand, protocol 0, as Python 2 wrote it: scalar(dtype("f8"), the eight bytes of 1.5 as a
    # latin1 string).
    state = "(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
    content = "S'" + "\\x00" * 6 + "\\xf8?'\ntR."
    text = f"c{module}\nscalar\n(cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR{state}{content}"
    path = tmp_path / "old.pkl"
    path.write_bytes(text.encode("latin1"))
    assert load_pickle(path) == 1.5


def test_text_of_python_2_is_read_as_latin1(tmp_path):
    path = tmp_path / "old.pkl"
    path.write_bytes(b"S'M\\xfcller'\n.")
    assert load_pickle(path) == "Müller"


KINDS = list(payloads(Path("marker")))
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_that_calls_a_function_is_refused_and_the_function_is_not_called(tmp_path, kind):
    marker, path = tmp_path / "marker", tmp_path / "trap.pkl"
    for protocol in (0, 2, 4):
        content = pickle.dumps({"score": 1.0, "trap": payloads(marker)[kind]}, protocol=protocol)
        assert runs_plainly(content, marker), "the trap must work, or this test shows nothing"
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"trap\.pkl: this pickle asks for \w") as error:
            load_pickle(path)
        assert not marker.exists() and len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("script", "name", "options"),
    [
        (
            "prepare_mtl_aqa",
            "final_annotations_dict_with_dive_number.pkl",
            ["--info", ".", "--frames", "."],
        ),
        ("prepare_finediving", "a.pkl", ["--annotations", "a.pkl", "--frames", "."]),
        (
            "prepare_finediving",
            "split.pkl",
            [
                "--annotations",
                "a.json",
                "--train",
                "split.pkl",
                "--test",
                "split.pkl",
                "--frames",
                ".",
            ],
        ),
        ("prepare_jigsaws", "splits.pkl", ["--raw", ".", "--splits", "splits.pkl"]),
        (
            "prepare_jigsaws",
            "labels.pkl",
            ["--raw", ".", "--folds", "user", "--labels", "labels.pkl"],
        ),
    ],
)
def test_every_script_that_reads_a_pickle_refuses_one_that_runs_something(
    tmp_path, monkeypatch, data_script, script, name, options
):
    marker = tmp_path / "marker"
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(pickle.dumps({(1, 1): payloads(marker)["os.system"]}, protocol=2))
    Path("a.json").write_text(
        json.dumps(
            {
                "key": ["e", 1],
                "action_type": "103B",
                "start_frame": 1,
                "end_frame": 9,
                "dive_score": 60,
                "difficulty": 2,
                "judge_scores": [9] * 3,
            }
        )
    )
    for task in ("Suturing", "Needle_Passing", "Knot_Tying"):
        Path(task).mkdir()
        Path(task, f"meta_file_{task}.txt").write_text("")
    done = CliRunner().invoke(data_script(script).main, [*options, "--out", "out"])
    assert (
        done.exit_code == 2
        and done.output.startswith("error: ")
        and f"{name}: this pickle asks for" in done.output
    )
    assert (
        len(done.output.strip().splitlines()) == 1
        and not marker.exists()
        and not Path("out").exists()
    )


@pytest.mark.parametrize(
    "content, name",
    [
        (b"cos\nsystem\n(S'true'\ntR.", r"os\.system"),
        (b"cbuiltins\neval\n(S'1'\ntR.", r"builtins\.eval"),
        (b"cnumpy\nload\n(S'x'\ntR.", r"numpy\.load"),
        (b"cnumpy.core.multiarray\nfromfile\n(S'x'\ntR.", r"numpy\.core\.multiarray\.fromfile"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.", r"numpy\.ndarray\.dump"),
        (pickle.dumps(deque([1])), r"collections\.deque"),
        (b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.", "rot13"),
        (b"c__builtin__\nbytes\n(L1000000000000L\ntR.", "takes 0 positional arguments"),
        (b"cnumpy\nndarray\n((L100000000000L\ntS'd'\ntR.", "not callable"),
        (
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntS'b'\ntR.",
            "class of its own",
        ),
        (b"cnumpy\ndtype\n(S'f8,O'\ntR.", "an array of the type 'f8,O'"),
        (b"cnumpy\ndtype\n(S'M8[s]'\ntR.", "an array of the type 'M8"),
        (b"ccodecs\nlookup\n(S'x'\ntR.", r"codecs\.lookup"),
        (
            pickle.dumps(Path("a")),
            r"pathlib.*save what it holds as plain dictionaries, lists, numbers and numpy arrays",
        ),
        (b"cbuiltins\nlist\n(tR.", "not callable"),
        (b"ccollections\ndefaultdict\n(cos\nsystem\ntR.", r"os\.system"),
        (b"c_codecs\nencode\n}b.", "setting the state of a function"),
        (
            b"\x80\x04\x8c\x02os\x8c\x40" + b"x" * 32 + b"\nB" + b"\x1b[2J" * 7 + b"xx" + b"\x93.",
            "this is no pickle",
        ),
    ],
)
def test_a_refusal_names_the_file_and_what_was_asked_for(tmp_path, content, name):
    path = tmp_path / "stranger.pkl"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=rf"stranger\.pkl.*{name}"):
        load_pickle(path)


@pytest.mark.parametrize("content", [b"", b"id,score\n1,2\n", pickle.dumps([1.0] * 100)[:-20]])
def test_what_is_no_whole_pickle_is_an_error_that_names_the_file(tmp_path, content):
    path = tmp_path / "broken.pkl"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"broken\.pkl cannot be read as a pickle"):
        load_pickle(path)


@pytest.mark.parametrize(
    "write, told",
    [
        (
            lambda path: torch.save({"a": 1}, path),
            "zip archive, as torch.save writes, .*load it with torch.load, and save",
        ),
        (
            lambda path: torch.save({"a": 1}, path, _use_new_zipfile_serialization=False),
            "a file of torch.save and no plain pickle; load it with torch.load",
        ),
        (lambda path: np.save(path.open("wb"), np.zeros(3)), "a .npy file and no pickle"),
        (lambda path: path.write_bytes(b"<!DOCTYPE html><html>"), "a web page"),
        (
            lambda path: path.write_bytes(
                b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
            ),
            "git lfs pull",
        ),
        (
            lambda path: path.write_bytes(gzip.compress(pickle.dumps([1.0] * 100))[:-9]),
            "compressed and cannot be decompressed",
        ),
        (
            lambda path: path.write_bytes(gzip.compress(pickle.dumps(bytes(2**25)))),
            "more than 100 times its own size",
        ),
    ],
)
def test_what_is_no_pickle_is_told_by_its_kind(tmp_path, write, told):
    path = tmp_path / "dives.pkl"
    write(path)
    with pytest.raises(DatasetError, match=rf"dives\.pkl.*{told}") as error:
        load_pickle(path)
    assert len(str(error.value).splitlines()) == 1


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_pickle(tmp_path / "nowhere.pkl")


def test_the_official_mtl_aqa_files_are_read(aqa_data):
    dives = load_pickle(aqa_data / "mtl_aqa" / "final_annotations_dict_with_dive_number.pkl")
    splits = [
        load_pickle(aqa_data / "mtl_aqa" / f"{part}_split_0.pkl") for part in ("train", "test")
    ]
    assert len(dives) == 1412 and [len(split) for split in splits] == [1059, 353]
    assert set(map(tuple, splits[0] + splits[1])) == set(dives)
    assert all(len(dive["judge_scores"]) == 7 for dive in dives.values())


OBJECT = b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR"
PLAIN_FLAGS = (  # the state of a type of plain bytes, given to objects
    b"(I3\nS'|'\nNNNI-1\nI-1\nI0\ntb"
)


def array_of(data_type: bytes, shape: bytes, content: bytes) -> bytes:
    new = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    return new + b"(I1\n(" + shape + b"t" + data_type + b"I00\n" + content + b"tb."


MULTIARRAY, FROM_BUFFER = b"cnumpy.core.multiarray\n", b"cnumpy._core.numeric\n_frombuffer\n"
FLOAT = b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR"
CRAFTED = {
    # the bytes AAAAAAAA become an address that numpy follows as soon as the element is looked at
    "flags that make addresses of bytes": array_of(OBJECT + PLAIN_FLAGS, b"I1\n", b"S'AAAAAAAA'\n"),
    "a list shorter than its shape": array_of(OBJECT, b"I4096\n", b"(lI1\na"),
    "a scalar of objects": MULTIARRAY + b"scalar\n(" + OBJECT + PLAIN_FLAGS + b"S'AAAAAAAA'\ntR.",
    "a record of objects": MULTIARRAY + b"scalar\n(cnumpy\ndtype\n(S'V8'\nI0\nI1\ntR(I3\nS'|'\nN"
    + b"(S'a'\nt(dS'a'\n(" + OBJECT + b"I0\ntsI8\nI1\nI0\ntbS'AAAAAAAA'\ntR.",
    "too few bytes": array_of(FLOAT, b"I1000000\n", b"S'AAAAAAAA'\n"),
    "a negative shape": array_of(FLOAT, b"I-1\nI-1\n", b"S'AAAAAAAA'\n"),
    "no characters": array_of(b"cnumpy\ndtype\n(S'U1'\nI0\nI1\ntR", b"I1\n", b"S'AAAA'\n"),
    "memory for 4 billion entries": b"Nr\xff\xff\xff\xff.",
    "eight gigabytes of zeros": b"\x80\x05\x96" + (2**33).to_bytes(8, "little") + b"x.",
    "objects from a buffer": FROM_BUFFER + b"(S'AAAAAAAA'\n" + OBJECT + PLAIN_FLAGS
    + b"(I1\ntS'C'\ntR.",
    "a buffer that is too short": FROM_BUFFER + b"(S'AAAAAAAA'\n" + FLOAT
    + b"(I1000000\ntS'C'\ntR.",
    "a set of a terabyte": b"cbuiltins\nset\n(L1000000000000L\ntR.",
}  # fmt: skip
READ = """
import sys
from data_scripts.readers.pickles import load_pickle
from corelib.data.samples import DatasetError
from tests.mutated_media import peak
before = peak()
for name in sys.argv[1:]:
    print(name, file=sys.stderr, flush=True)
    try:
        print("read", repr(load_pickle(name))[:40])
    except DatasetError as error:
        print("refused", str(error).startswith(name) and str(error).isprintable())
assert peak() - before < 100, f"{peak() - before:.0f} MB"
"""


def read_in_a_process(paths: list[Path]) -> list[str]:
    """What becomes of each file: "refused True", or "read" and its content; a crash is an error of
    this test alone."""
    done = subprocess.run(
        [sys.executable, "-c", READ, *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-1000:]}"
    return done.stdout.splitlines()


def test_what_was_crafted_to_crash_numpy_or_to_fill_the_memory_does_neither(tmp_path):
    paths = [tmp_path / f"{kind}.pkl" for kind in CRAFTED]
    for path, content in zip(paths, CRAFTED.values(), strict=True):
        path.write_bytes(content)
    answers = dict(zip(CRAFTED, read_in_a_process(paths), strict=True))
    assert (
        answers.pop("memory for 4 billion entries") == "read None"
    )  # there is nothing else in the file
    assert set(answers.values()) == {"refused True"}


def test_mutated_pickles_are_refused_or_read(tmp_path):
    content = {
        (1, 2): {
            "marks": np.array([7.5, 8.0]),
            "score": np.float64(6),
            "names": np.array(["a", None], object),
            "text": np.array(["é"]),
        }
    }
    originals = [pickle.dumps(content, protocol=protocol) for protocol in range(6)]
    paths = []
    for number in range(1500):
        rng, data = np.random.default_rng(number), bytearray(originals[number % 6])
        for _ in range(2 ** int(rng.integers(0, 4))):
            place, what = rng.integers(len(data)), rng.random()
            if what < 0.5:
                data[place] ^= 1 << int(rng.integers(8))
            elif what < 0.75:
                data[place] = rng.choice(
                    list(originals[rng.integers(6)])
                )  # another opcode, more often than not
            else:
                del data[place]
        paths.append(tmp_path / f"{number}.pkl")
        paths[-1].write_bytes(data)
    answers = read_in_a_process(paths)
    read = sum(answer.startswith("read") for answer in answers)
    assert len(answers) == 1500 and 20 < read < 500 and answers.count("refused True") == 1500 - read


# --------------------------------------------------------------------------- no other door

UNSAFE = {
    "eval", "exec", "pickle.load", "pickle.loads", "cloudpickle.load", "joblib.load",
    "pd.read_pickle", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "shutil.unpack_archive",
    "os.system", "os.popen", "torch.hub.load", "av.open", "Image.open",
}  # fmt: skip
WITH = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}
# where each of the guarded ones is at home
HOME = {("corelib/data/video.py", "av.open")}


def sources():
    """(name, Python source) of the library, of every script, and of every notebook's code."""
    for path in sorted([*ROOT.glob("corelib/**/*.py"), *ROOT.glob("data_scripts/*.py")]):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    for path in sorted(ROOT.glob("notebooks/*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        yield (
            path.relative_to(ROOT).as_posix(),
            "\n".join(
                "pass" if line.lstrip().startswith(("%", "!")) else line
                for line in code.splitlines()
            ),
        )


def unsafe_calls(source: str) -> list[str]:
    found = []
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call):
            name, given = (
                ast.unparse(call.func),
                {word.arg: ast.unparse(word.value) for word in call.keywords},
            )
            wanted = WITH.get(name)
            if (
                name in UNSAFE
                or name.endswith((".extractall", ".extract"))
                or wanted
                and given.get(wanted[0]) != str(wanted[1])
                or given.get("shell") == "True"
            ):
                found.append(name)
    return found


def test_every_file_is_read_through_a_guarded_door():
    looked = 0
    for name, source in sources():
        looked += 1
        writing = {"av.open"} if 'av.open(str(path), "w")' in source else set()
        assert [
            call
            for call in unsafe_calls(source)
            if (name, call) not in HOME and call not in writing
        ] == [], name
    assert looked > 60
    for code in (
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "np.load(p)",
        "yaml.load(t)",
        "pickle.load(f)",
        "tar.extractall()",
        "run(c, shell=True)",
    ):
        assert unsafe_calls(code), code
