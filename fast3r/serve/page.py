"""The OpenAPI description as a page: plain HTML without scripts, and nothing from elsewhere.

The usual viewers are loaded from other machines, which this service does not ask of anyone.
"""

import json
from collections.abc import Iterator
from html import escape
from textwrap import dedent
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; background: #fafaf8 }
h2 { margin-top: 2.5rem; border-top: 1px solid #ddd; padding-top: 1rem; font-size: 1.15rem }
h2 code { font-weight: 600 } .method { color: #b4480f; text-transform: uppercase }
table { border-collapse: collapse; width: 100%; font-size: .92rem;
        margin: 1rem 0 }
td, th { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0;
         border-bottom: 1px solid #eee }
code, pre { font: .9em ui-monospace, monospace } pre { background: #f0f0ec; padding: .8rem;
         overflow: auto }
"""


def page(openapi: dict[str, Any]) -> str:
    """Return the page."""
    about = openapi["info"]
    body = [
        f"<h1>{escape(about['title'])} {escape(about['version'])}</h1>",
        *_paragraphs(about["description"]),
        '<p>For programs: <a href="/openapi.json">openapi.json</a>.</p>',
    ]
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            body += _operation(path, method, operation)
    body.append("<h1>Messages</h1>")
    for name, schema in sorted(openapi["components"]["schemas"].items()):
        body += [f'<h2 id="{name}"><code>{name}</code></h2>', *_paragraphs(_about(schema))]
        body += _fields(schema)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(about['title'])}</title>"
        '<meta name=viewport content="width=device-width">'
        f"<style>{_STYLE}</style><body>{''.join(body)}</body></html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f'<h2><span class="method">{method}</span> <code>{escape(path)}</code></h2>'
    yield f"<p><b>{escape(operation['summary'])}.</b></p>"
    yield from _paragraphs(operation.get("description", ""))
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body: <code>{kind}</code></p>"
        yield from _fields(content["schema"])
    yield "<table><tr><th>status</th><th>answer</th><th></th></tr>"
    for status, answer in operation["responses"].items():
        yield f"<tr><td>{status}</td><td>{_inline(answer['description'])}</td>"
        yield f"<td>{', '.join(_kinds(answer))}</td></tr>"
    yield "</table>"


def _kinds(answer: dict[str, Any]) -> Iterator[str]:
    """Yield what each kind of content is, with a link to its message."""
    for kind, content in answer.get("content", {}).items():
        yield _type(content["schema"]) if content.get("schema") else escape(kind)


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    required = schema.get("required", [])
    yield "<table><tr><th>field</th><th>type</th><th>meaning</th></tr>"
    for name, field in schema.get("properties", {}).items():
        default = "" if name in required else _default(field)
        yield f"<tr><td><code>{escape(name)}</code></td><td>{_type(field)}</td>"
        yield f"<td>{_inline(_about(field))}{default}</td></tr>"
    yield "</table>"


def _default(field: dict[str, Any]) -> str:
    default = field.get("default")
    return "" if default is None else f" Default <code>{escape(json.dumps(default))}</code>."


def _type(field: dict[str, Any]) -> str:
    """Return the type of a field in words, messages linked."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in field:
        return " or ".join(map(_type, field["anyOf"]))
    if "enum" in field:
        return ", ".join(f"<code>{escape(str(choice))}</code>" for choice in field["enum"])
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    return escape(field.get("format", field.get("type", "")))


def _about(schema: dict[str, Any]) -> str:
    return schema.get("description", "")


def _paragraphs(text: str) -> list[str]:
    return [
        f"<pre>{escape(dedent(part))}</pre>"
        if part.startswith("    ")
        else f"<p>{_inline(part)}</p>"
        for part in text.split("\n\n")
        if part.strip()
    ]


def _inline(text: str) -> str:
    """Return text as HTML, with what stands between backquotes as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))
