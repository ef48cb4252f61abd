"""Tables that notebooks read in place of hours of training: notebooks/measured/<name>.json."""

from __future__ import annotations

import json
from pathlib import Path

from corelib.machine.devices import pick_device
from corelib.runs.records import machine

ROOT = Path(__file__).resolve().parents[2]
MEASURED = ROOT / "notebooks" / "measured"


def store(
    name: str, command: str, table_sha256: str | dict[str, str], rows: list[dict], **more
) -> Path:
    """Write a table, a line a row: how, on what machine and of which datasets it was made.

    command  the script, from the kit's folder, and its options
    more     what else there is to say of all rows
    """
    stated = {"command": command, "made_on": machine(pick_device("cpu"))}
    head = json.dumps(stated | {"table_sha256": table_sha256} | more, indent=1)[:-2]
    lines = ",\n  ".join(map(json.dumps, rows))
    path = MEASURED / f"{name}.json"
    path.write_text(f'{head},\n "rows": [\n  {lines}\n ]\n}}\n', encoding="utf-8")
    return path
