"""A ranking as text for a terminal, and as one page of HTML that needs nothing but a browser."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from corelib.machine.messages import list_ids
from data_scripts.challenges.ranking import RESAMPLES, Place

HEADS = (
    "Rank", "Name", "95 % of ranks", "Spearman's rho", "R-l2 x100", "Intervals that hold",
    "Mean width", "Clearly ahead of",
)  # fmt: skip
HOW_TO_READ = (
    "Where dives are drawn anew {resamples:,} times from these {dives}, a rank stays in its span in"
    " 95 % of the draws; a hand-in is clearly ahead of those that it beats in 95 % or more, and any"
    " other order may be chance."
)
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The ranking</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1rem;
  color: #1a1a1a; background: #fff; overflow-wrap: anywhere; }}
p, ul {{ max-width: 44rem; }}
table {{ border-collapse: collapse; width: 100%; }}
caption {{ text-align: left; padding-bottom: .5rem; }}
th, td {{ padding: .4rem .6rem; text-align: right; vertical-align: top;
  border-bottom: 1px solid #767676; font-variant-numeric: tabular-nums; }}
thead th {{ vertical-align: bottom; overflow-wrap: normal; }}
tbody th, th:nth-child(2), th:last-child, td:last-child {{ text-align: left; }}
@media (max-width: 48rem) {{
  thead {{ position: absolute; clip-path: inset(50%); height: 1px; width: 1px; overflow: hidden; }}
  tr {{ display: grid; grid-template-columns: 3rem 1fr; padding: .5rem 0;
    border-bottom: 1px solid #767676; }}
  th, td {{ border: 0; padding: 0 .3rem; text-align: left; }}
  td:first-child, tbody th {{ font-size: 1.15rem; font-weight: bold; }}
  td:nth-child(n + 3) {{ grid-column: 2; }}
  td:nth-child(n + 3)::before {{ content: attr(data-head) ": "; }}
}}
@media (prefers-color-scheme: dark) {{ body {{ color: #eee; background: #161616; }} }}
</style>
</head>
<body>
<main>
<h1>The ranking</h1>
<p>{how}</p>
<table role="table">
<caption>{count} hand-ins, {dives} hidden dives. Intervals should hold the true score of nine dives
in ten; R-l2 is over the range of the true scores.</caption>
<thead role="rowgroup"><tr role="row">{heads}</tr></thead>
<tbody role="rowgroup">
{rows}
</tbody>
</table>
{refused}</main>
</body>
</html>
"""


def ranking_text(places: Sequence[Place], dives: int) -> str:
    """The ranking as a table of text, and how it is read."""
    rows = [HEADS, *(_cells(place, most=4) for place in places)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        cells[1], cells[-1] = row[1].ljust(widths[1]), row[-1]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([*lines, "", _how(dives)])


def ranking_page(places: Sequence[Place], refused: Sequence[str], dives: int) -> str:
    """The ranking as one file of HTML; what strangers' files are called is escaped.

    refused  what was said of hand-ins that are not ranked, a line each
    """
    heads = "".join(f'<th scope="col" role="columnheader">{head}</th>' for head in HEADS)
    rows = "\n".join(map(_row, places))
    left_out = "".join(f"<li>{escape(line)}</li>\n" for line in refused)
    left_out = left_out and f"<h2>Not ranked</h2>\n<ul>\n{left_out}</ul>\n"
    said = {"how": _how(dives).replace(" %", "&nbsp;%"), "count": len(places), "dives": dives}
    return PAGE.format(heads=heads, rows=rows, refused=left_out, **said)


def _how(dives: int) -> str:
    return HOW_TO_READ.format(resamples=RESAMPLES, dives=dives)


def _row(place: Place) -> str:
    cells = []
    for column, (head, text) in enumerate(zip(HEADS, _cells(place), strict=True)):
        if column == 1:
            cells.append(f'<th scope="row" role="rowheader">{escape(text)}</th>')
        else:
            cells.append(f'<td role="cell" data-head="{head}">{escape(text)}</td>')
    return f'<tr role="row">{"".join(cells)}</tr>'


def _cells(place: Place, most: int = 1000) -> tuple[str, ...]:
    """A place as the texts of its row, in the order of HEADS."""
    low, high = place.ranks
    return (
        str(place.rank),
        place.name,
        f"{low} to {high}",
        f"{place.rho:.3f}",
        f"{place.rl2_x100:.2f}",
        f"{100 * place.coverage:.0f} %",
        f"{place.width:.1f}",
        list_ids(place.ahead_of, most) or "nobody",
    )
