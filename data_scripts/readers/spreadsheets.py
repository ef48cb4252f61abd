"""CSV files as spreadsheets write them: byte-order marks, separators, decimal commas, quotes.

What is detected is stated, never guessed in silence: where a file can be read in two ways it is
refused.

Separator   of comma, semicolon and tab the one that cuts the first line into most fields; a first
            line `sep=;`, as Excel writes it, decides. Every further line must have as many fields.
Decimals    one mark for the whole file. A number with one comma has a decimal comma where
            semicolons or tabs separate the fields ("1,234" is 1.234); where commas do, only if some
            number shows that it is no thousands separator ("7,5", "0,750"), otherwise the file is
            refused. Points and decimal commas in one file are refused, and so are thousands
            separators ("1.234,5", "1 234").
Empty cell  nothing, or NA, N/A, NaN, null, none in any case

The standard library's reader cuts the lines: pandas.read_csv fills up short rows in silence, names
one long row and not all, and knows no line of the file for a row.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd

from corelib.data.samples import DatasetError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
EMPTY = {"", "na", "n/a", "#n/a", "nan", "null", "none"}
_POINT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_COMMA = re.compile(r"[+-]?([0-9]+,[0-9]*|,[0-9]+)([eE][+-]?[0-9]+)?")
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")  # "1,234" may be 1234 or 1.234


def read_sheet(path: Path) -> tuple[pd.DataFrame, str, str]:
    """Read a CSV file as text.

    Returns (cells, separator, what was detected in words): a data frame of text, None for an empty
    cell, whose index is each row's line number in the file. Lines without any content are left out;
    a column without a name becomes column_<place> if it has content.
    Raises DatasetError for a file that is no text, and for one without a header or with one field
    only. It names all rows that have more or fewer fields than the header.
    """
    text, encoding = _decode(path)
    separator, lines = _rows(path, text)
    lines = [(number, fields) for number, fields in lines if any(fields)]
    if not lines:
        raise DatasetError(
            f"{path}: the file is empty; it should hold a line of column names and a line a video"
        )
    names, body = lines[0][1], lines[1:]
    named = [name or f"column_{place}" for place, name in enumerate(names, 1)]
    _check(path, separator, lines, named)
    cells = pd.DataFrame(
        [fields for _, fields in body],
        columns=named,
        index=[number for number, _ in body],
        dtype=object,
    )
    cells = cells.map(lambda cell: None if cell.lower() in EMPTY else cell).astype(object)
    cells = cells.where(cells.notna(), None)
    nameless = [new for new, name in zip(named, names, strict=True) if not name]
    cells = cells.drop(columns=[name for name in nameless if cells[name].isna().all()])
    return cells, separator, f"{encoding}, {SEPARATORS[separator]} between the fields"


def _check(
    path: Path, separator: str, lines: list[tuple[int, list[str]]], named: list[str]
) -> None:
    """Raise DatasetError for a header that is none, and for rows that do not fit it."""
    (first, names), body = lines[0], lines[1:]
    for name in names:
        if _POINT.fullmatch(name) or _COMMA.fullmatch(name):
            raise DatasetError(
                f"{path} line {first}: the first line must name the columns, but it holds the"
                f" number {name}; put a line such as video,score above it"
            )
    problems = [
        f"{path} line {number}: {len(fields)} fields, the header has {len(names)}; a field that"
        " holds the separator needs double quotes around it"
        for number, fields in body
        if len(fields) != len(names)
    ]
    twice = sorted({name for name in named if named.count(name) > 1})
    problems += [f"{path} line {first}: two columns are called {name!r}" for name in twice]
    if problems:
        words = SEPARATORS[separator]
        raise DatasetError(
            f"{path}: {len(problems)} problem(s), read with {words} between the fields:\n  "
            + "\n  ".join(problems)
        )
    if not body:
        raise DatasetError(f"{path}: there is a line of column names, and no row below it")


def _decode(path: Path) -> tuple[str, str]:
    content = path.read_bytes()
    mark = " with a byte-order mark" if content.startswith(codecs.BOM_UTF8) else ""
    encodings = {"utf-8-sig": f"UTF-8{mark}", "cp1252": "Windows-1252 (it is no UTF-8)"}
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = {"utf-16": "UTF-16"}
    for codec, words in encodings.items():
        try:
            text = content.decode(codec)
        except UnicodeDecodeError:
            continue
        if "\0" not in text and not content.startswith(b"PK\x03\x04"):
            return text, words
    raise DatasetError(
        f"{path}: this is no text file; save the table as CSV (UTF-8) from the spreadsheet program"
    )


def _rows(path: Path, text: str) -> tuple[str, list[tuple[int, list[str]]]]:
    """(separator, [(line number in the file, its fields without outer blanks)])."""
    stated = re.match(r'"?sep=([,;\t])"?\r?\n', text)
    tried, reason = {}, None
    for separator in stated.group(1) if stated else SEPARATORS:
        try:
            tried[separator] = _cut(text, separator)[bool(stated) :]
        except csv.Error as error:  # a quote that never closes, or text behind one; try another
            reason = error
    if not tried:
        raise DatasetError(
            f"{path} cannot be read as a CSV table: {reason}; is a double quote missing?"
        )
    width = {
        separator: next((len(fields) for _, fields in found if any(fields)), 0)
        for separator, found in tried.items()
    }
    best = max(width.values())
    fitting = [separator for separator in tried if width[separator] == best]
    if best < 2 and any(tried.values()):
        raise DatasetError(
            f"{path}: the first line holds one field only; expected names of two columns or more,"
            " between commas, semicolons or tabs"
        )
    if len(fitting) > 1:  # the header alone does not tell: the separator that fits every row
        fitting = [
            each
            for each in fitting
            if all(len(fields) == best for _, fields in tried[each] if any(fields))
        ] or fitting
    if len(fitting) > 1 and best:
        words = " or ".join(SEPARATORS[separator] for separator in fitting)
        raise DatasetError(
            f"{path}: the fields may lie between {words}; put sep=; (or the right one) on a line of"
            " its own at the top"
        )
    return fitting[0], tried[fitting[0]]


def _cut(text: str, separator: str) -> list[tuple[int, list[str]]]:
    file, blanks = io.StringIO(text, newline=""), separator != "\t"
    reader = csv.reader(file, delimiter=separator, skipinitialspace=blanks, strict=True)
    found, start = [], 1
    for fields in reader:
        found.append((start, [field.strip() for field in fields]))
        start = reader.line_num + 1
    return found


def decimal_mark(cells: pd.DataFrame, separator: str, path: Path) -> tuple[str, str]:
    """The decimal mark of the numbers in `cells` (text, as of read_sheet), and in words why.

    Raises DatasetError where commas may be decimals or thousands, or both marks occur.
    """
    found = [
        (line, name, cell)
        for name in cells
        for line, cell in cells[name].items()
        if cell is not None
    ]
    commas = [each for each in found if _COMMA.fullmatch(each[2])]
    points = [each for each in found if "." in each[2] and _POINT.fullmatch(each[2])]

    def place(each: tuple) -> str:
        return f"{each[2]!r} (line {each[0]}, {each[1]})"

    if commas and points:
        raise DatasetError(
            f"{path}: some numbers have decimal points, as {place(points[0])}, and some commas, as"
            f" {place(commas[0])}; write all with one mark, and none with thousands separators"
        )
    if not commas:
        return ".", "decimal points" if points else "whole numbers"
    certain = [each for each in commas if not _GROUPED.fullmatch(each[2])]
    if separator == "," and not certain:
        raise DatasetError(
            f"{path}: the comma of {place(commas[0])} may be a decimal or a thousands separator; "
            "write the number with a decimal point, or without separator"
        )
    return ",", f"decimal commas, as {place((certain or commas)[0])}"


def to_number(cell: str, mark: str) -> float:
    """A cell as a number by the file's decimal mark; nan for anything else ("1 234" as well)."""
    pattern = _POINT if mark == "." else _COMMA
    if pattern.fullmatch(cell) or re.fullmatch(r"[+-]?[0-9]+([eE][+-]?[0-9]+)?", cell):
        return float(cell.replace(",", "."))
    return np.nan
