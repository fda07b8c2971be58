"""YAML from outside, read within bounds: of length, of depth, and without aliases.

An alias makes a few lines stand for a value of any size ("billion laughs"), as soon as somebody
walks through it or prints it.
"""

from __future__ import annotations

from typing import Any

import yaml

from pfp.limits import MAX_YAML_LENGTH


def parse_yaml(text: str) -> Any:
    """The plain value in ``text``; raises ValueError with what is wrong with the text."""
    if len(text) > MAX_YAML_LENGTH:
        message = f"it has {len(text)} characters, more than the {MAX_YAML_LENGTH} that are read"
        raise ValueError(message)
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a safe loader's own kin
    except RecursionError as error:
        message = "it is nested too deeply"
        raise ValueError(message) from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


class _Loader(yaml.SafeLoader):
    """The safe loader without aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node of the document, unless it stands for another one."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            problem = "aliases are not read; write the value out"
            raise yaml.composer.ComposerError(None, None, problem, mark)
        return super().compose_node(parent, index)
