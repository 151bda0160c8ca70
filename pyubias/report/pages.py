"""HTML pages that hold everything in one file: words, tables, and pictures as data."""

import base64
import html
from collections.abc import Sequence

from matplotlib.figure import Figure

from pyubias.report.figures import png

__all__ = ["image", "items", "page", "table"]

STYLE = (
    "body{font:15px/1.45 sans-serif;max-width:70em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse}td,th{padding:.25em .7em;text-align:right;"
    "border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}"
    "img{max-width:100%}"
)


def page(title: str, introduction: str, sections: Sequence[tuple[str, str]]) -> str:
    """A page from HTML: an introduction, then headings with what stands below them."""
    body = "".join(f"<h2>{html.escape(heading)}</h2>{content}" for heading, content in sections)
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{html.escape(title)}</h1>{introduction}{body}</body></html>\n"
    )


def image(figure: Figure) -> str:
    data = base64.b64encode(png(figure)).decode()
    return f"<img src='data:image/png;base64,{data}'>"


def table(rows: Sequence[Sequence[str]]) -> str:
    """The first row is the header."""
    head, *body = rows
    cells = "".join(f"<th>{html.escape(c)}</th>" for c in head)
    lines = [f"<tr>{cells}</tr>"]
    lines += ["<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in body]
    return f"<table>{''.join(lines)}</table>"


def items(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>"
