"""The page that raters see: one file without network or framework, the plan inside."""

from __future__ import annotations

import json
from importlib.resources import files

from pfp.eval.study.plan import Plan
from pfp.pages.styles import tokens


def render_page(plan: Plan) -> str:
    """The whole page, the same bytes for the same plan; videos lie in ``videos/`` beside it."""
    page = _resource("page.html")
    page = page.replace("/* style */", tokens() + _resource("page.css"))
    page = page.replace("/* script */", _resource("page.js"))
    # In a script element nothing is escaped, but "<" can be spelled so that no tag begins.
    data = json.dumps(plan.to_json(), separators=(",", ":")).replace("<", "\\u003c")
    return page.replace("/* plan */", data)


def _resource(name: str) -> str:
    return files("pfp.eval.study").joinpath(name).read_text("utf-8")
