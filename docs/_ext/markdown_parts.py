"""Pages in Markdown that stand at the root of the repository, such as the changelog, as reStructuredText."""

import re
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rst import heading, indented, plain, table

ROOT = Path(__file__).parents[2]
LEVELS = {"h1": "=", "h2": "-", "h3": "~", "h4": "^"}


def page(name: str) -> str:
    """Give a page, named from the root of the repository."""
    return as_rst((ROOT / name).read_text("utf-8"))


def as_rst(text: str) -> str:
    """Give Markdown as reStructuredText."""
    return "\n".join(_blocks(MarkdownIt().enable("table").parse(text)))


def _blocks(tokens: list[Token]) -> list[str]:
    """Give the blocks that tokens stand for, each with an empty line after it."""
    found, position = [], 0
    while position < len(tokens):
        token = tokens[position]
        end = _end(tokens, position)
        inside = tokens[position + 1 : end]
        if token.type == "heading_open":
            found.append(heading(_inline(inside[0]), LEVELS[token.tag]))
        elif token.type == "paragraph_open":
            found.append(_inline(inside[0]) + "\n")
        elif token.type in ("fence", "code_block"):
            found.append(f".. code-block:: {token.info or 'none'}\n\n{indented(token.content.rstrip())}\n")
        elif token.type in ("bullet_list_open", "ordered_list_open"):
            found += [_item(each, "-" if token.type.startswith("bullet") else "#.") for each in _children(inside)]
        elif token.type == "table_open":
            found.append(_table(inside))
        elif token.type != "html_block":  # comments
            raise ValueError(f"expected Markdown that has a form in reStructuredText, got {token.type}")
        position = end + 1
    return found


def _end(tokens: list[Token], position: int) -> int:
    """Give where the block that begins at a position ends."""
    depth = 0
    for k in range(position, len(tokens)):
        depth += tokens[k].nesting
        if depth == 0:
            return k
    return len(tokens)


def _children(tokens: list[Token]) -> list[list[Token]]:
    found, position = [], 0
    while position < len(tokens):
        end = _end(tokens, position)
        found.append(tokens[position + 1 : end])
        position = end + 1
    return found


def _item(tokens: list[Token], mark: str) -> str:
    text = "\n".join(_blocks(tokens)).strip("\n")
    return f"{mark} {indented(text, ' ' * (len(mark) + 1)).lstrip()}\n"


def _table(tokens: list[Token]) -> str:
    rows = [[_inline(cell[0]) for cell in _children(row)] for part in _children(tokens) for row in _children(part)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return table(rows[0], rows[1:], widths, "long-names")


def _inline(token: Token) -> str:
    """Give a text with code, emphasis and links."""
    found, target = "", ""
    for each in token.children or []:
        if each.type == "text":
            found += plain(each.content)
        elif each.type == "code_inline":
            found += f"``{each.content}``"
        elif each.type == "softbreak":
            found += "\n"
        elif each.type in ("strong_open", "strong_close"):
            found += "**"
        elif each.type in ("em_open", "em_close"):
            found += "*"
        elif each.type == "link_open":
            target, found = str(each.attrs["href"]), f"{found}\0"
        elif each.type == "link_close":
            before, _, text = found.rpartition("\0")
            found = before + _link(text, target)
        else:
            raise ValueError(f"expected Markdown that has a form in reStructuredText, got {each.type}")
    return found


def _link(text: str, target: str) -> str:
    """Give a link; files of the documentation are its pages, and others are named."""
    page_name = re.fullmatch(r"docs/(.+)\.rst", target)
    if page_name:
        return f":doc:`/{page_name.group(1)}`"
    return f"`{text} <{target}>`__" if "://" in target else f"``{target}``"
