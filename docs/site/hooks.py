"""Makes the pages of the site that are read off the product, and the links out of `docs`.

Commands come from click, the site file from its schema, permissions and exit codes from their
tables, so that no page repeats by hand what the product knows. A link to a file beside `docs`
leads to a copy of that file within the site.
"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from man import COMMON, blocks, groups, usage  # mkdocs looks beside its hooks
from mkdocs.structure.files import File

from cml_iam.catalogue import load_catalogue, permission_tables
from cml_iam.cli._exit import MEANING
from cml_iam.cli._main import cli
from cml_iam.cli._options import sections
from cml_iam.cli.groups import leaves

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import click
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).resolve().parents[2]
README = {
    "../README.md": "index.md",
    "../README.md#the-site-file": "reference/site-file.md",
    "../CHANGELOG.md": "reference/changes.md",
}
"""Where the site says what the file beside `docs` says."""

SCHEMAS = {
    "site.schema.json": "the site file; editors complete and check it with this schema",
    "sandbox-faults.schema.json": "the file of `sandbox start --faults`",
    "audit-report.schema.json": "`cml-iam audit --out report.json` and `audit -o json`",
    "output.schema.json": "every other `-o json`, with a definition for each command",
}

JSON = """# JSON output

Every command with an answer has `-o json`, or `CML_IAM_OUTPUT=json` in the environment. The answer
goes to stdout, progress to stderr. If a command has no answer, stdout stays empty and stderr ends
with one object, `{"error": {...}}` (definition `failure`). A wrong command line is reported as
text, with exit code 2.

## What is stable

From version 1.0.0 on, within a major version:

- No key is renamed or removed, and none changes its type or meaning.
- New keys may come: ignore the keys that you do not know.
- A key that is `required` in the schema is always there; an unknown value is `null`.
- The words of a key with an `enum` may grow by new ones. Texts for people (`message`, `remedy`,
  `detail`, `said`, `words`) may change at any time: do not compare them.
- The order of keys says nothing. The order of lists is that of the text output.

Keys are in `snake_case`, times in ISO 8601 with an offset. Other keys occur only where they are not
ours: AWS's own structures (a policy, a condition, the `parameters` of a call), and mappings whose
keys are data, such as tags, condition keys, regions, files, stores, or the variables of
`sandbox start`. `key credential-process` and `key print` print what AWS SDKs and Kubernetes define.
SARIF and JUnit follow their standards.

"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages made from the product and the files that pages link to."""
    pages = {
        "reference/commands.md": "".join(_command_index()),
        **{f"reference/commands/{name}.md": text for name, text in _command_pages()},
        "reference/site-file.md": _site_file(),
        "reference/permissions.md": f"# Permissions\n\n{permission_tables(load_catalogue())}",
        "reference/exit-codes.md": _exit_codes(),
        "reference/json.md": _schemas(),
        "reference/changes.md": (REPOSITORY / "CHANGELOG.md")
        .read_text("utf-8")
        .replace("](docs/", "](../"),
        "decisions/index.md": _decisions(),
    }
    for uri, text in pages.items():
        files.append(File.generated(config, uri, content=text))
    for path in sorted({*_linked(), *(f"policies/{name}" for name in SCHEMAS)}):
        content = (REPOSITORY / path).read_bytes()
        files.append(File.generated(config, f"files/{path.lstrip('.')}.txt", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - the hook's signature
    """Return *markdown* with its links out of `docs` pointing at copies within the site."""
    depth = "../" * (len(PurePosixPath(page.file.src_uri).parts) - 1)

    def within(match: re.Match[str]) -> str:
        target = match.group(1)
        if target in README:
            return f"]({depth}{README[target]})"
        return f"]({depth}files/{target.lstrip('./')}.txt)"

    markdown = markdown.replace("](decisions/)", "](decisions/index.md)")
    return (
        re.sub(r"\]\(((?:\.\./)+[^)#\s]+(?:#[^)\s]*)?)\)", within, markdown)
        if _is_written(page)
        else markdown
    )


def _is_written(page: Page) -> bool:
    """Say whether *page* is a file directly in `docs`, whose `../` leads out of it."""
    return "/" not in page.file.src_uri


def _linked() -> Iterator[str]:
    """Yield the files beside `docs` that its pages link to."""
    for page in (REPOSITORY / "docs").glob("*.md"):
        for target in re.findall(r"\]\(\.\./([^)#\s]+)", page.read_text("utf-8")):
            if f"../{target}" not in README:
                yield target


def _command_index() -> Iterator[str]:
    yield "# Commands\n\n"
    yield "`cml-iam COMMAND --help` prints the same in a terminal.\n\n"
    yield "| command | what it does |\n|---|---|\n"
    for name, commands in groups().items():
        for words, command in commands.items():
            anchor = words.removeprefix("cml-iam ").replace(" ", "-")
            summary = command.get_short_help_str(limit=200)
            yield f"| [`{words}`](commands/{name}.md#{anchor}) | {_cell(summary)} |\n"
    yield "\n## Common options\n\nMost commands take these, before or behind the command.\n\n"
    yield _option_table(cli)


def _command_pages() -> Iterator[tuple[str, str]]:
    for name, commands in groups().items():
        sections = (_command(words, command) for words, command in commands.items())
        yield name, f"# cml-iam {name}\n\n" + "\n".join(sections)


def _command(words: str, command: click.Command) -> str:
    """Return the section of one command: usage, text, arguments and options."""
    anchor = words.removeprefix("cml-iam ").replace(" ", "-")
    paragraphs = "\n\n".join(
        f"```text\n{text}\n```" if kept else text for text, kept in blocks(command)
    )
    return (
        f"## {words.removeprefix('cml-iam ')} {{#{anchor}}}\n\n"
        f"```text\n{usage(words, command)}\n```\n\n"
        f"{paragraphs}\n\n{_option_table(command, besides=COMMON)}"
    )


def _option_table(command: click.Command, *, besides: Collection[str] = ()) -> str:
    """Return a table for each heading of the options of *command*, but for those *besides*."""
    tables = []
    for heading, rows in sections(command, besides=besides).items():
        lines = "".join(f"| {_code(name)} | {_cell(text)} |\n" for name, text in rows)
        tables.append(f"| {heading} | meaning |\n|---|---|\n{lines}\n")
    return "".join(tables)


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "&#124;").replace("<", "&lt;").strip()


def _code(text: str) -> str:
    """Return *text* as code, which a phone may break between the values of an option."""
    return f"<code>{_cell(text).replace('&#124;', '&#124;<wbr>')}</code>"


def _site_file() -> str:
    """Return the page of the site file: its example, and each option from the schema."""
    schema = json.loads((REPOSITORY / "policies" / "site.schema.json").read_text("utf-8"))
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    (example,) = re.findall(r"```toml\n.*?```", readme, re.DOTALL)
    rows = "".join(_options(schema, schema, ""))
    return (
        "# Site file\n\nThe site file says what the manager may do, and where. "
        "`cml-iam init` writes it; editors check it with the "
        "[JSON schema](../files/policies/site.schema.json.txt).\n\n"
        f"{example}\n\n## Every option\n\n| option | meaning |\n|---|---|\n{rows}"
    )


def _options(schema: dict[str, Any], root: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, option in schema.get("properties", {}).items():
        target = option
        if "$ref" in option:
            target = {**root["$defs"][option["$ref"].rsplit("/", 1)[1]], **option}
        text = target.get("description", "")
        if "default" in target:
            text += f" Default: `{json.dumps(target['default'])}`."
        if text:
            yield f"| {_code(prefix + name)} | {_cell(text)} |\n"
        yield from _options(target, root, f"{prefix}{name}.")


def _exit_codes() -> str:
    rows = "".join(f"| {code.value} | {meaning} |\n" for code, meaning in MEANING.items())
    return (
        "# Exit codes\n\nExit codes are a contract: scripts can rely on them. "
        f"`cml-iam help exit-codes` prints them.\n\n| code | meaning |\n|---:|---|\n{rows}"
    )


def _schemas() -> str:
    """Return the page of the JSON output: what is stable, the schemas, and that of each command."""
    files = "".join(f"| {_schema_link(name)} | {text} |\n" for name, text in SCHEMAS.items())
    schema = json.loads((REPOSITORY / "policies" / "output.schema.json").read_text("utf-8"))
    rows = "".join(
        f"| `{words}` | `#/$defs/{words.replace(' ', '-')}` | {_cell(summary)} |\n"
        for words, summary, _ in leaves(cli)
        if words.replace(" ", "-") in schema["$defs"]
    )
    return (
        f"{JSON}## Schemas\n\n| schema | describes |\n|---|---|\n{files}\n## Commands\n\n"
        f"The definitions are in {_schema_link('output.schema.json')}.\n\n"
        f"| command | definition | what it does |\n|---|---|---|\n{rows}"
    )


def _schema_link(name: str) -> str:
    return f"[{name}](../files/policies/{name}.txt)"


def _decisions() -> str:
    lines = []
    for path in sorted((REPOSITORY / "docs" / "decisions").glob("*.md")):
        title = path.read_text("utf-8").splitlines()[0].lstrip("# ")
        lines.append(f"- [{title}]({path.name})\n")
    return "# Decisions\n\nChoices and why they were made, a short page each.\n\n" + "".join(lines)
