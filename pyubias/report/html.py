"""HTML pages that hold everything in one file: words, tables, pictures and scripts.

The templates lie beside the modules that fill them; all extend ``report/templates/page.html``,
whose security policy lets browsers load nothing from elsewhere.
"""

import base64
import json
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

import pyubias
from pyubias.report.pictures import svg_with_points

__all__ = ["render"]


def render(template: str, **values: Any) -> str:
    """Fill a template.

    Args:
        template: path below the package, such as ``report/templates/campaign.html``.
        values: of its variables. Text is escaped; the filter `picture` embeds a figure.
    """
    return _environment().get_template(template).render(**values) + "\n"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(pyubias.__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["picture"] = _picture
    return environment


def _picture(figure: Figure, words: str = "") -> Markup:
    """The figure as an image, with the points that ``page.js`` shows under the mouse.

    Args:
        words: what a reader gets who does not see it.
    """
    file, found = svg_with_points(figure)
    data = base64.b64encode(file).decode()
    points = [[round(p.x, 4), round(p.y, 4), p.text] for p in found]
    return Markup(
        '<div class="picture" data-points="{}"><img src="data:image/svg+xml;base64,{}" alt="{}">'
        "</div>"
    ).format(json.dumps(points, ensure_ascii=False), data, words)
