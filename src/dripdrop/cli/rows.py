"""Which rows of a CSV file are people that can be enrolled, and what is wrong with the others?"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dripdrop.errors import DripDropError, Invalid
from dripdrop.rendering import render
from dripdrop.rules.addresses import parse_address
from dripdrop.rules.definition import Step, Version
from dripdrop.rules.zones import find_zone, instead_of

LARGEST_CELL = 1_000_000  # characters


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One person of the file: where it stands, who it is, what is known. `error` says why it cannot be taken."""

    line: int
    subscriber: tuple[str, str]
    data: Mapping[str, Any]
    error: DripDropError | None = None


class CsvFile:
    """A CSV file with a header: the columns `id` and, if wanted, `type` make the subscriber, the rest is data."""

    def __init__(self, path: Path, *, id_column: str = "id", kind: str | None = None) -> None:
        self.path = path
        self.kind = kind
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                self._dialect = _dialect(file.readline())
                file.seek(0)
                header = next(csv.reader(file, self._dialect), None)
        except UnicodeDecodeError as trouble:
            raise _unreadable(path, 1, trouble) from trouble
        self.columns = [name.strip() for name in header or []]
        if not self.columns:
            raise Invalid(f"{path} is empty.", cure="Its first line names the columns.", code="empty_file")
        self.id_column = self._column(id_column)

    def count(self) -> int:
        """How many lines there are below the header: the length of the way, not of the answer."""
        with self.path.open("rb") as file:
            return max(sum(1 for _ in file) - 1, 0)

    def rows(self) -> Iterator[CsvRow]:
        """Every row, in order; empty lines are passed over."""
        csv.field_size_limit(LARGEST_CELL)
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, self._dialect)
            next(reader, None)
            before = reader.line_num
            try:
                for cells in reader:
                    if any(cell.strip() for cell in cells):
                        yield self._row(before + 1, cells)
                    before = reader.line_num
            except (UnicodeDecodeError, csv.Error) as trouble:
                raise _unreadable(self.path, before + 1, trouble) from trouble

    def _row(self, line: int, cells: list[str]) -> CsvRow:
        data = dict(zip(self.columns, (cell.strip() for cell in cells), strict=False))
        kind = self.kind or data.pop("type", "") or "user"
        person = (kind, data.get(self.id_column, ""))
        if self.id_column == "id":
            data.pop("id", None)
        error = None
        if len(cells) != len(self.columns):
            message = f"The row has {len(cells)} cells; the header names {len(self.columns)}."
            error = Invalid(message, cure="Put cells with commas or line breaks in quotes.", code="ragged_row")
        elif not person[1]:
            error = Invalid("The row has no id.", cure=f"Fill the column {self.id_column}.", code="missing_id")
        return CsvRow(line, person, data, error)

    def _column(self, wanted: str) -> str:
        if wanted in self.columns:
            return wanted
        raise Invalid(
            f"{self.path} has no column {wanted!r}.",
            cure=f"Name the column of ids with --id-column; there are: {', '.join(self.columns)}.",
            code="no_id_column",
        )


def _dialect(header: str) -> type[csv.Dialect]:
    """Commas as the RFC has them; semicolons or tabs where the header has those and no comma."""
    separator = next((each for each in ",;\t" if each in header), ",")
    return type("Dialect", (csv.excel,), {"delimiter": separator})


def _unreadable(path: Path, line: int, trouble: Exception) -> Invalid:
    if isinstance(trouble, UnicodeDecodeError):
        return Invalid(f"{path} is not UTF-8 text.", cure="Save it as CSV in UTF-8.", code="not_utf8")
    return Invalid(
        f"{path} cannot be read from line {line} on: {trouble}.", cure="Mend the quotes there.", code="bad_csv"
    )


class Judge:
    """Says why a row cannot be reached by the e-mails of a version; asked once for each row."""

    def __init__(self, version: Version, now: datetime) -> None:
        self._version, self._now = version, now
        mails = [step for step in version.steps if step.active and step.channel == "email"]
        # Most steps read the same field: it is looked at once, not once a step.
        self._fields = list(dict.fromkeys(str(each.config.get("recipient_key") or "email") for each in mails))
        self._written: Sequence[Step] = [each for each in mails if "to" in each.template]
        if self._written and len(self._written) == len(mails):
            self._fields = []
        self._seen: set[tuple[str, str]] = set()

    def verdict(self, row: CsvRow) -> DripDropError | None:
        """The first thing wrong with a row, or None; a second row of the same person is wrong too."""
        if row.error is not None:
            return row.error
        wrong = self._zone(row.data) or self._address(row.data)
        if wrong is None and row.subscriber in self._seen:
            wrong = Invalid(
                f"{row.subscriber[0]} {row.subscriber[1]} stands in an earlier row already.",
                cure="Remove one of the two.",
                code="duplicate_row",
            )
        self._seen.add(row.subscriber)
        return wrong

    def _zone(self, data: Mapping[str, Any]) -> DripDropError | None:
        zone = data.get("timezone")
        if not zone or find_zone(zone) is not None:
            return None
        cure = f"{instead_of(zone)} Or leave it empty."
        return Invalid(f"There is no time zone {zone!r}.", cure=cure, code="unknown_zone")

    def _address(self, data: Mapping[str, Any]) -> DripDropError | None:
        for field in self._fields:
            text = str(data.get(field) or "").strip()
            if not text:
                cure = f"Fill the column {field}: the sequence sends e-mail."
                return Invalid(f"The row has no {field}.", cure=cure, code="missing_address")
            if not _sendable(text):
                return _broken(field)
        for step in self._written:
            try:
                found = render.addresses(step, data, version=self._version, now=self._now)
            except Invalid:
                return _broken("to")
            if not found:
                cure = f"The step {step.key} makes it from the row's columns: fill them."
                return Invalid("The row leads to no address.", cure=cure, code="missing_address")
        return None


def _sendable(text: str) -> bool:
    try:
        parse_address(text)
    except Invalid:
        return False
    return True


def _broken(field: str) -> DripDropError:
    # The address itself is personal: the line says where it stands.
    return Invalid(f"{field} is not a mail address.", cure="Write it as name@example.com.", code="bad_address")
