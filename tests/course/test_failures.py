"""A notebook's failure becomes one line; where the cause is known it says what to do."""

import pytest

from corelib.course.notebook import explain_error


@pytest.mark.parametrize(
    ("kind", "message", "advice"),
    [
        ("MemoryError", "", "too little memory"),
        (
            "_ArrayMemoryError",
            "Unable to allocate 3.64 TiB for an array with shape (1000000, 1000000)",
            "too little memory",
        ),
        (
            "OutOfMemoryError",
            "CUDA out of memory. Tried to allocate 2.00 GiB.",
            "too little memory",
        ),
        (
            "RuntimeError",
            (
                "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate"
                " memory: you tried"
            ),
            "too little memory",
        ),
        ("OSError", "[Errno 28] No space left on device: 'last.pt'", "the disk is full"),
        ("OSError", "[WinError 112] There is not enough space on the disk", "the disk is full"),
        ("OSError", "[Errno 122] Disk quota exceeded", "the disk is full"),
        ("ModuleNotFoundError", "No module named 'captum'", "python -m corelib doctor"),
        ("RuntimeError", "operator torchvision::nms does not exist", "python -m corelib doctor"),
    ],
)
def test_known_causes_say_what_to_do(kind, message, advice):
    said = explain_error(kind, message)
    assert said.startswith(kind) and message in said and advice in said.split(" - ")[-1]
    assert "\n" not in said


def test_other_errors_are_told_as_they_are_in_one_line():
    assert (
        explain_error("ZeroDivisionError", "division by zero")
        == "ZeroDivisionError: division by zero"
    )
    assert explain_error("KeyboardInterrupt", "") == "KeyboardInterrupt"
    said = explain_error("DatasetError", "3 problems:\n  line 2\n" + "  and more\n" * 500)
    assert (
        said.startswith("DatasetError: 3 problems: line 2")
        and said.endswith(" ...")
        and len(said) < 500
    )
