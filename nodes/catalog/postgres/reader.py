"""The reader of records in PostgreSQL: the same questions, asked over a few connections."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import psycopg

from nodes.catalog.arguments import Argument, coerce, usage
from nodes.catalog.model import EXACT, CatalogInfo, Lookup, Page
from nodes.catalog.paging import PageBuilder
from nodes.catalog.postgres import statements
from nodes.catalog.postgres.connecting import SUBJECT
from nodes.catalog.postgres.pool import Pool
from nodes.catalog.postgres.statements import Table
from nodes.catalog.postgres.values import NoSuchValue
from nodes.catalog.questions import (
    SLICE_RECORDS,
    Questions,
    check_limit,
    next_prefix,
    prefix_ranges,
)
from nodes.catalog.readers.records import MAX_RECORD_BYTES
from nodes.errors import BadRequest, StoreDown
from nodes.support.nesting import MAX_NESTING, is_nested_within
from nodes.support.slices import Sliced, awaited

PROBE_S = 0.6
"""Seconds within which a store answers that is well: a master's probe waits a little longer."""

EMPTY = Page(b"[]", 0, None, ())


class StoreReader:
    """Reads one table of records; see `nodes.catalog.protocol` for what each method does.

    Args:
        info: what the table holds.
        table: how it is asked.
        pool: connections to the store, which belong to this reader.
    """

    def __init__(self, info: CatalogInfo, table: Table, pool: Pool) -> None:
        self._info = info
        self._table = table
        self._pool = pool
        self._questions = Questions(info.lookups)
        self._statements = {
            lookup.name: statements.find(table, lookup.fields)
            for lookup in info.lookups
            if lookup.kind == EXACT
        }
        self._ping = statements.ping(table)

    def close(self) -> None:
        """See `nodes.catalog.protocol`."""
        self._pool.close()

    def coerced(self, lookup: str, args: Sequence[object]) -> tuple[Argument, ...]:
        """See `nodes.catalog.protocol`."""
        return self._questions.coerced(lookup, args)

    def find_single(self, _lookup: str, _args: Sequence[Argument]) -> None:
        """A store is always asked the general way."""
        return

    def find_in_slices(
        self, lookup: str, args: Sequence[object], *, limit: int, start: int, within: float
    ) -> Sliced[Page]:
        """See `nodes.catalog.protocol`."""
        shape = self._questions.lookup(lookup)
        values = coerce(shape, args)
        check_limit(limit)
        try:
            statement, parameters = self._statement(shape, values, start)
        except NoSuchValue:
            return EMPTY
        parameters = (*parameters, limit + 1)
        try:
            return (yield from awaited(self._find(statement, parameters, limit, within)))
        except psycopg.DataError:
            raise BadRequest(f"{usage(shape)}: no record can have such a value") from None

    def _statement(
        self, shape: Lookup, values: Sequence[Argument], start: int
    ) -> tuple[str, tuple[object, ...]]:
        """What is asked for a page, and its parameters but the last, the number of rows.

        Raises:
            NoSuchValue: no record can have one of the values.
        """
        columns = [self._table.columns[field] for field in shape.fields]
        encoded = [one.encode(value) for one, value in zip(columns, values, strict=True)]
        if shape.kind == EXACT:
            return self._statements[shape.name], (*encoded, self._table.origin + start)
        *same, low = encoded
        end = next_prefix(str(values[-1]))
        statement = statements.find_beginnings(
            self._table, shape.fields, following=start > 0, bounded=end is not None
        )
        bounds = [start, start] if start else [low]
        return statement, (*same, *bounds, *([] if end is None else [columns[-1].encode(end)]))

    async def _find(
        self, statement: str, parameters: Sequence[object], limit: int, within: float
    ) -> Page:
        cursor = await self._pool.ask(statement, parameters, within)
        building = PageBuilder(self._info.files, limit, origin=self._table.origin)
        # The rows are here: what takes time is to make objects of them.
        while building.after is None and (rows := await cursor.fetchmany(SLICE_RECORDS)):
            building.take(rows)
            if cursor.rowcount > SLICE_RECORDS:
                await asyncio.sleep(0)
        page = building.page()
        if self._table.origin:
            _check_live(page)
        return page

    def suggest_in_slices(
        self, field: str, prefix: str, *, limit: int, within: float
    ) -> Sliced[list[str]]:
        """See `nodes.catalog.protocol`."""
        kind, prefix = self._questions.check_suggestion(field, prefix, limit)
        return (yield from awaited(self._suggest(kind, field, prefix, limit, within)))

    async def _suggest(
        self, kind: str, field: str, prefix: str, limit: int, within: float
    ) -> list[str]:
        deadline = asyncio.get_running_loop().time() + within
        column = self._table.columns[field]
        found: list[str] = []
        for low, high in prefix_ranges(kind, prefix):
            try:
                parameters = {"low": column.encode(low), "most": limit - len(found)}
                if high is not None:
                    parameters["high"] = column.encode(high)
            except NoSuchValue:
                continue
            cursor = await self._pool.ask(
                statements.suggest(self._table, field, bounded=high is not None),
                parameters,
                deadline - asyncio.get_running_loop().time(),
            )
            found += [column.decode(value) for (value,) in await cursor.fetchall()]
            if len(found) == limit:
                break
        return found

    def probe_in_slices(self) -> Sliced[str]:
        """See `nodes.catalog.protocol`."""
        try:
            yield from awaited(self._pool.ask(self._ping, (), PROBE_S))
        except StoreDown as down:
            return down.message.partition(":")[0].removeprefix(SUBJECT).strip()
        return ""


def _check_live(page: Page) -> None:
    """Refuses records that nobody checked when they were written, and that no reply can carry."""
    body = page.body
    if len(body) > MAX_RECORD_BYTES:  # no page is so large that has several
        raise BadRequest(
            f"a record that this finds takes {len(body)} bytes as JSON, at most {MAX_RECORD_BYTES}"
            " are allowed"
        )
    if not is_nested_within(body, MAX_NESTING + 1, beside=max(0, page.count - 1)):
        raise BadRequest(
            f"a record that this finds is nested too deeply, at most {MAX_NESTING} levels are"
            " allowed"
        )
