"""The contact sheet shows every picture of a notebook, a widget's too, under its words."""

import base64
import io
import json

import numpy as np
from PIL import Image

from tests.contact_sheet import pages, pictures


def png(width, height):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_every_picture_stands_on_a_page_under_its_sentence(tmp_path):
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "box"}}
    outputs = [{"data": {"image/png": png(2000, 900)}}, {"data": view}, {"text": "12"}]
    cells = [
        {"cell_type": "markdown", "source": ["## Dives\n", "**See** the *low* tail."]},
        {"cell_type": "code", "source": "", "outputs": outputs},
    ]
    state = {
        "box": {"model_name": "VBoxModel", "state": {"children": ["IPY_MODEL_image"]}},
        "image": {"model_name": "ImageModel", "state": {}, "buffers": [{"data": png(300, 200)}]},
    }
    path = tmp_path / "01_data.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {"widgets": {"v": {"state": state}}}}))
    found = pictures(path)
    assert [(where, told) for where, told, _ in found] == [
        ("01 cell 1", "See the low tail."),
        ("01 cell 1 (widget)", "See the low tail."),
    ]
    assert [picture.size for *_, picture in found] == [(2000, 900), (300, 200)]
    (page,) = pages(found, columns=2)
    red = (np.asarray(page.reduce(4)) == (255, 0, 0)).all(axis=2).sum()
    assert red > 0.9 * (1476 * 664 + 300 * 200) / 16  # the wide one as wide as its column
    assert len(pages(found * 9, columns=1)) > 1
