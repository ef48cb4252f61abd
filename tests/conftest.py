"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def aqa_data() -> Path:
    """The folder with the real annotation files; tests that need it are skipped where it is not at hand."""
    value = os.environ.get("CORE_AQA_DATA")
    if not value:
        pytest.skip(
            "real annotation files are missing: get them from the datasets' own releases (README, data) "
            "and set CORE_AQA_DATA to the folder that holds mtl_aqa/, jigsaws/, fisv/, finediving_sample/, i3d_weights/"
        )
    folder = Path(value)
    if not folder.is_dir():
        pytest.fail(f"CORE_AQA_DATA is {value}, which is not a folder; correct it, or unset it to skip these tests")
    return folder
