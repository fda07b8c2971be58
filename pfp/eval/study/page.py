"""The page that raters see: one file without network or framework, the plan inside."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Final

from pfp.eval.study.plan import Plan

PARTS: Final = {"/* style */": "page.css", "/* script */": "page.js"}


def render_page(plan: Plan) -> str:
    """The whole page, the same bytes for the same plan; videos lie in ``videos/`` beside it."""
    here = files("pfp.eval.study")
    page = here.joinpath("page.html").read_text("utf-8")
    for mark, name in PARTS.items():
        page = page.replace(mark, here.joinpath(name).read_text("utf-8"))
    # In a script element nothing is escaped, but "<" can be spelled so that no tag begins.
    data = json.dumps(plan.to_json(), separators=(",", ":")).replace("<", "\\u003c")
    return page.replace("/* plan */", data)
