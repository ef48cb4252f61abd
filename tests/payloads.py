"""What a malicious file tries: each leaves a marker file behind when it comes to run."""

from __future__ import annotations

import builtins
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path


class Calls:
    """Calls a function of any module when it is unpickled plainly."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def _touch(marker: Path) -> str:
    return f"open({str(marker)!r}, 'w').close()"


def payloads(marker: Path) -> dict[str, Calls]:
    """{kind: an object that writes `marker` when it is unpickled plainly}."""
    return {
        "os.system": Calls(os.system, f'"{sys.executable}" -c "{_touch(marker)}"'),
        "eval": Calls(builtins.eval, _touch(marker)),
        "exec": Calls(builtins.exec, _touch(marker)),
        "subprocess": Calls(subprocess.call, [sys.executable, "-c", _touch(marker)]),
        "a class": Calls(Path.touch, marker),
        "getattr": Calls(builtins.getattr, Calls(builtins.open, str(marker), "w"), "close"),
    }


def runs_plainly(content: bytes, marker: Path) -> bool:
    """Whether a plain reader falls for it; the marker is taken away again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of the file that one leaves open
        pickle.loads(content)
    fell = marker.exists()
    marker.unlink(missing_ok=True)
    return fell
