"""Every picture of executed notebooks on a few large pages, to look through with open eyes.

    python tests/contact_sheet.py runs/course/smoke [--out FOLDER] [--columns 4]

A picture stands at its own size, or as wide as its column; above it notebook, cell, and what the
Markdown before it says of it: from its last "See" on, or its end. The list to look with: is the
title true, are the axes named with units, is the legend complete, does nothing lie over anything,
can it be read at half its size?
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

PAGE, MARGIN, LINE = 3000, 12, 20


def pictures(path: Path) -> list[tuple[str, str, Image.Image]]:
    """(where, sentence, picture) of every PNG output of an executed notebook, widgets' included."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    states = notebook["metadata"].get("widgets", {}).values()
    models = {k: v for one in states for k, v in one.get("state", {}).items()}
    told, found = "", []
    for number, cell in enumerate(notebook["cells"]):
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            told = sentence(text)
            continue
        for output in cell["outputs"]:
            data = output.get("data", {})
            where = f"{path.stem[:2]} cell {number}"
            if "image/png" in data:
                found.append((where, told, decoded("".join(data["image/png"]))))
            view = data.get("application/vnd.jupyter.widget-view+json", {}).get("model_id")
            for image in drawn(view, models) if view else []:
                found.append((f"{where} (widget)", told, decoded(image)))
    return found


def drawn(view: str, models: dict) -> list[str]:
    """The PNG pictures, base64, of a widget and its children."""
    model = models.get(view, {})
    own = [b["data"] for b in model.get("buffers", []) if model["model_name"] == "ImageModel"]
    children = model.get("state", {}).get("children", [])
    return own + [x for child in children for x in drawn(child.removeprefix("IPY_MODEL_"), models)]


def decoded(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")


def sentence(markdown: str) -> str:
    """What a Markdown cell says of the picture below it: from "See" on, or else its end."""
    plain = re.sub(r"\s+", " ", re.sub(r"[*`#>]", "", markdown)).strip()
    seen = plain.rfind("See ")
    return plain[seen:] if seen >= 0 else plain[-240:]


def pages(found: list, columns: int) -> list[Image.Image]:
    """The pictures in reading order, row by row, on pages PAGE pixels square."""
    width = PAGE // columns - 2 * MARGIN
    font = ImageFont.load_default(15)
    sheets, sheet, top, column, tallest = [], None, PAGE, columns, 0
    for where, told, picture in found:
        scale = min(1, width / picture.width)
        small = picture.resize([max(1, round(scale * side)) for side in picture.size])
        words = textwrap.wrap(f"{where}: {told}", width // 8)[:4]
        height = small.height + LINE * len(words) + 2 * MARGIN
        if column == columns:
            top, column, tallest = top + tallest, 0, 0
        if sheet is None or top + height > PAGE:
            sheet, top, column, tallest = Image.new("RGB", (PAGE, PAGE), "white"), 0, 0, 0
            sheets.append(sheet)
        left = column * (PAGE // columns) + MARGIN
        text = ImageDraw.Draw(sheet)
        for line, part in enumerate(words):
            text.text((left, top + MARGIN + LINE * line), part, "black", font=font)
        sheet.paste(small, (left, top + MARGIN + LINE * len(words)))
        column, tallest = column + 1, max(tallest, height)
    return sheets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of executed notebooks")
    parser.add_argument("--out", type=Path, help="where the pages go; the folder's own sheets/")
    parser.add_argument("--columns", type=int, default=3)
    given = parser.parse_args()
    out = given.out or given.folder / "sheets"
    found = [one for path in sorted(given.folder.glob("*.ipynb")) for one in pictures(path)]
    out.mkdir(parents=True, exist_ok=True)
    for number, sheet in enumerate(pages(found, given.columns), 1):
        sheet.save(out / f"sheet-{number:02}.png")
    print(f"{len(found)} pictures on the pages of {out}")


if __name__ == "__main__":
    main()
