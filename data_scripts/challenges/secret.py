"""A challenge's secret, and what is kept beside it: the true scores, sealed.

Everything that could tell a dive is derived from 128 random bits: no seed that can be tried stands
behind them, and a name says nothing about the dive that bears it. The scores are stored and not
drawn anew, since another version of NumPy may draw other dives.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from pathlib import Path

from corelib.machine.errors import KitError
from corelib.machine.messages import warn_once

BYTES = 16


class ChallengeError(KitError, ValueError):
    """A challenge, its secret or a hand-in cannot be used; a line that names the file."""


def derive(secret: bytes, what: str) -> bytes:
    """32 bytes that the secret alone leads to, others for every text: HMAC-SHA256 (RFC 2104)."""
    return hmac.digest(secret, what.encode(), "sha256")


def truth_file(secret_file: Path) -> Path:
    """Where the true scores of a secret's challenge lie: beside it."""
    return secret_file.with_name(f"{secret_file.name}.truth.json")


def read_secret(path: Path) -> bytes:
    """The secret in a file; a warning where others may read it. Raises ChallengeError."""
    text = path.read_bytes().strip().lower()
    if not re.fullmatch(rb"[0-9a-f]{%d}" % (2 * BYTES), text):
        right = f"{2 * BYTES} digits 0 to 9, a to f, drawn by `challenge make`"
        raise ChallengeError(f"{path}: this is no challenge's secret, which is {right}")
    if os.name == "posix" and path.stat().st_mode & 0o077:
        warn_once([f"{path}: other users may read this secret; chmod 600 ends that"])
    return bytes.fromhex(text.decode())


def find_or_draw_secret(path: Path) -> bytes:
    """The secret in a file or, where there is none, a new one, which its owner alone may read."""
    if not path.exists():
        _write_private(path, secrets.token_hex(BYTES) + "\n")
    return read_secret(path)


def keep_truth(secret_file: Path, secret: bytes, scores: dict[str, float], table: bytes) -> None:
    """Write the true scores beside the secret, unless they are there.

    scores  of every id;  table  content of dives.csv, which they belong to
    Raises ChallengeError where others are there: nothing is overwritten.
    """
    path = truth_file(secret_file)
    truth = {"dives": hashlib.sha256(table).hexdigest(), "scores": scores}
    if not path.exists():
        seal = derive(secret, _sealed(truth)).hex()
        _write_private(path, json.dumps(truth | {"seal": seal}, indent=1) + "\n")
    elif _opened(path, secret) != truth:
        own = "give each challenge a secret of its own (--secret)"
        raise ChallengeError(f"{path}: these are the scores of other dives; {own}")


def read_truth(secret_file: Path, secret: bytes, table: bytes) -> dict[str, float]:
    """The true score of every id of the challenge whose dives.csv holds `table`.

    Raises ChallengeError for another challenge's secret, and for scores that were changed.
    """
    path = truth_file(secret_file)
    if not path.is_file():
        again = "`challenge make` with this secret and as many dives writes them again"
        raise ChallengeError(f"{path}: the true scores are gone; {again}")
    truth = _opened(path, secret)
    if truth["dives"] != hashlib.sha256(table).hexdigest():
        other = "this secret is another challenge's, or its dives.csv was changed"
        raise ChallengeError(f"{secret_file}: {other}")
    return truth["scores"]


def _sealed(truth: dict) -> str:
    return "truth " + json.dumps(truth, sort_keys=True)


def _opened(path: Path, secret: bytes) -> dict:
    try:
        truth = json.loads(path.read_text(encoding="utf-8"))
        seal = truth.pop("seal").encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        truth, seal = {}, b""
    if not hmac.compare_digest(seal, derive(secret, _sealed(truth)).hex().encode()):
        raise ChallengeError(f"{path}: not as it was sealed with this secret; take a copy of it")
    return truth


def _write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read. Raises FileExistsError where there is one."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
