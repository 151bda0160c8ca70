"""HTML pages that hold everything in one file: words, tables, and pictures as data.

The templates lie beside the modules that fill them; all extend ``report/templates/page.html``.
"""

import base64
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

import pyubias
from pyubias.report.figures import png

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


def _picture(figure: Figure) -> Markup:
    data = base64.b64encode(png(figure)).decode()
    return Markup(f"<img src='data:image/png;base64,{data}'>")
