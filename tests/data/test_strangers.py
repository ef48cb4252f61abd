"""Pickles from strangers: what a dataset needs comes through, anything else is refused by name."""

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corelib.data.samples import DatasetError
from corelib.data.strangers import load_pickle

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.integers() | st.text(), inner),
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


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_numpy_arrays_and_scalars_come_through(tmp_path, protocol):
    path = tmp_path / "marks.pkl"
    content = {(1, 2): {"marks": np.array([7.5, 8.0]), "score": np.float64(66.5), "names": np.array(["a", "bé"], object)}}
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    dive = load_pickle(path)[1, 2]
    assert dive["marks"].tolist() == [7.5, 8.0] and dive["marks"].dtype == np.float64
    assert dive["score"] == 66.5 and dive["names"].tolist() == ["a", "bé"]


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_a_scalar_written_by_python_2_is_read(tmp_path, module):
    # By hand, protocol 0, as Python 2 wrote it: scalar(dtype("f8"), the eight bytes of 1.5 as a latin1 string).
    state = "(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
    text = f"c{module}\nscalar\n(cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR{state}S'\\x00\\x00\\x00\\x00\\x00\\x00\\xf8?'\ntR."
    path = tmp_path / "old.pkl"
    path.write_bytes(text.encode("latin1"))
    assert load_pickle(path) == 1.5


def test_text_of_python_2_is_read_as_latin1(tmp_path):
    path = tmp_path / "old.pkl"
    path.write_bytes(b"S'M\\xfcller'\n.")
    assert load_pickle(path) == "Müller"


class Trap:
    """Leaves a file behind when it is unpickled plainly."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def test_a_pickle_that_calls_a_function_is_refused_and_the_function_is_not_called(tmp_path):
    sprung, path = tmp_path / "sprung", tmp_path / "trap.pkl"
    path.write_bytes(pickle.dumps({"score": 1.0, "trap": Trap(sprung)}))
    pickle.loads(path.read_bytes())
    assert sprung.exists(), "the trap must work, or this test shows nothing"
    sprung.unlink()
    with pytest.raises(DatasetError, match="asks for"):
        load_pickle(path)
    assert not sprung.exists()


@pytest.mark.parametrize(
    "content, name",
    [
        (b"cos\nsystem\n(S'true'\ntR.", r"os\.system"),
        (b"cbuiltins\neval\n(S'1'\ntR.", r"builtins\.eval"),
        (b"cnumpy\nload\n(S'x'\ntR.", r"numpy\.load"),
        (b"cnumpy.core.multiarray\nfromfile\n(S'x'\ntR.", r"numpy\.core\.multiarray\.fromfile"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.", r"numpy\.ndarray\.dump"),
        (pickle.dumps(OrderedDict(a=1)), r"collections\.OrderedDict"),
        (b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.", "rot13"),
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


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_pickle(tmp_path / "nowhere.pkl")


def test_the_official_mtl_aqa_files_are_read(aqa_data):
    dives = load_pickle(aqa_data / "mtl_aqa" / "final_annotations_dict_with_dive_number.pkl")
    splits = [load_pickle(aqa_data / "mtl_aqa" / f"{part}_split_0.pkl") for part in ("train", "test")]
    assert len(dives) == 1412 and [len(split) for split in splits] == [1059, 353]
    assert set(map(tuple, splits[0] + splits[1])) == set(dives)
    assert all(len(dive["judge_scores"]) == 7 for dive in dives.values())
