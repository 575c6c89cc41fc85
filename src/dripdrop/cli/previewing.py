"""What does a step's message look like?"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dripdrop.cli import output, trouble, values
from dripdrop.cli.options import Command, suggestion
from dripdrop.cli.rows import CsvFile
from dripdrop.cli.sending import named
from dripdrop.cli.session import Session, import_from_here, with_session
from dripdrop.errors import Invalid, NotFound

if TYPE_CHECKING:
    from dripdrop.services.previewing import Preview, Wishes

SUFFIXES = (".yaml", ".yml", ".toml", ".json")
_PAIRS = "key=text, key:=JSON, or JSON."


@click.command("preview", cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="[SEQUENCE|FILE] STEP")
@click.option("--sequence", metavar="KEY", help="The sequence, where STEP is a bare key.")
@click.option("--data", multiple=True, metavar="K=V|JSON", help=f"The person's data: {_PAIRS}")
@click.option("--csv", "table", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Data from a file.")
@click.option("--row", type=click.IntRange(1), default=1, show_default=True, help="Which row of --csv.")
@click.option("--enrollment", type=click.UUID, help="For this enrollment, with its data.")
@click.option("--subscriber", type=values.SUBSCRIBER, help="For this person, as type:id.")
@click.option("--hook", multiple=True, metavar="K=V|JSON", help=f"Answers of hooks: {_PAIRS}")
@click.option("--event", multiple=True, metavar="K=V|JSON", help=f"Data of the event waited for: {_PAIRS}")
@click.option("--locale", help="In this language.")
@click.option("--variant", help="In this variant.")
@click.option("--text", is_flag=True, help="Print the text alone.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the HTML there.")
@click.option("--open", "opening", is_flag=True, help="Open the HTML in a browser.")
@with_session
def preview(session: Session, names: tuple[str, ...], sequence: str | None, **given: Any) -> None:
    """Show the message of a step as a person would get it; nothing is sent.

    STEP is a step of an applied SEQUENCE, or of a FILE, for which no database is asked. Without data it is for
    nobody, and variables show their names.
    """
    if len(names) > 2:
        raise click.UsageError("Write: dripdrop preview [SEQUENCE|FILE] STEP.")
    if len(names) == 1 and names[0].endswith(SUFFIXES):
        raise click.UsageError(f"Name a step too: dripdrop preview {names[0]} STEP.")
    wishes = _wishes(given)
    if len(names) == 2 and names[0].endswith(SUFFIXES):
        shown = _of_file(session, Path(names[0]), names[1], sequence, wishes)
    else:
        step, owner = names[-1], names[0] if len(names) == 2 else sequence
        drip = session.drip
        step, owner = named(drip, step, owner)
        shown = drip.preview_report(step, sequence=owner, **wishes)
    html = getattr(shown.message, "html", None)
    if html is None and (given["html"] or given["opening"]):
        raise Invalid(
            f"The step {names[-1]} has no HTML.", cure="Look at it without --html and --open.", code="no_html"
        )
    for path in _files(given):
        path.write_text(html or "", "utf-8")
    if given["opening"]:
        click.launch(str(_files(given)[-1]))
    _show(session, shown, text_only=given["text"])


def _wishes(given: dict[str, Any]) -> Wishes:
    wishes: dict[str, Any] = {name: given[name] for name in ("locale", "variant", "enrollment", "subscriber")}
    row = _row(given["table"], given["row"]) if given["table"] else {}
    if row or given["data"]:
        wishes["data"] = {**row, **values.mapping(given["data"], "--data")}
    wishes["hooks"] = values.mapping(given["hook"], "--hook")
    wishes["event"] = values.mapping(given["event"], "--event")
    return wishes  # type: ignore[return-value]


def _row(path: Path, wanted: int) -> dict[str, Any]:
    for place, row in enumerate(CsvFile(path).rows(), 1):
        if place == wanted:
            if row.error is not None:
                raise row.error
            return {"id": row.subscriber[1], **row.data}
    raise Invalid(f"{path} has no row {wanted}.", cure="Rows are counted from 1, below the header.", code="no_such_row")


def _of_file(session: Session, path: Path, step: str, sequence: str | None, wishes: Wishes) -> Preview:
    from dripdrop._core import resolve_template
    from dripdrop.clock import SystemClock
    from dripdrop.services import external, previewing, sources

    if wishes.get("enrollment") or wishes.get("subscriber"):
        raise click.UsageError("A file knows no people: name the applied sequence, or give --data.")
    found = sources.documents(sources.load_paths([path]))
    documents = [each for each in found if sequence in (None, each.key)]
    if len(documents) != 1:
        keys = ", ".join(each.key for each in found)
        raise NotFound(f"{path} holds {keys}.", cure="Name one with --sequence.")
    document = asyncio.run(external.pinned(documents[0], session.plugins()))
    wanted = document.step(step)
    if wanted is None:
        known = [each.key for each in document.steps]
        cure = suggestion(step, known).strip() or f"It has: {', '.join(known)}."
        raise NotFound(f"{path} has no step {step!r}.", cure=cure)
    import_from_here()
    config = session.config()
    return previewing.preview(
        previewing.version_of(document, session.options.tenant or ""),
        wanted,
        wishes,
        now=SystemClock().now(),
        public_url=config.public_url,
        unsubscribe_mailto=config.unsubscribe_mailto,
        resolve=resolve_template,
        sms_max_chars=config.sms_max_chars,
    )


def _files(given: dict[str, Any]) -> list[Path]:
    files = [given["html"]] if given["html"] else []
    if given["opening"] and not files:
        files.append(Path(tempfile.gettempdir()) / "dripdrop-preview.html")
    return files


def _show(session: Session, shown: Preview, *, text_only: bool) -> None:
    fields = {name: value for name, value in output.plain(shown.message).items() if value not in (None, "", [], {})}
    text = str(fields.get("text") or fields.get("body") or "")
    if text_only:
        click.echo(text)
        return
    facts: dict[str, Any] = {
        **{name: _readable(value) for name, value in fields.items() if name not in ("text", "html", "body")},
        "locale": shown.locale,
        "variant": shown.variant,
        "missing": shown.missing,
        "links": shown.links,
        "html": f"{shown.html_bytes} bytes" if shown.html_bytes else None,
    }
    lines = [(name, value) for name, value in facts.items() if value not in (None, [])]
    bodies = [each for name in ("text", "body") if name in fields for each in ("", f"── {name}", str(fields[name]))]
    if "html" in fields and not shown.message.text:  # type: ignore[union-attr]
        bodies += ["", "── html", str(fields["html"])]
    session.show({**output.plain(shown), "message": shown.message}, output.pairs(lines), *bodies)
    if not session.json:
        trouble.print_findings(shown.warnings, stderr=True)


def _readable(value: Any) -> Any:
    """An address as it is written in a mail program; anything else as it is."""
    if isinstance(value, list):
        return [_readable(each) for each in value]
    if isinstance(value, dict) and set(value) == {"email", "name"}:
        return f"{value['name']} <{value['email']}>" if value["name"] else value["email"]
    return value
