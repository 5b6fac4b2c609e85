"""Lists that OpenIM's REST API sends in pages, read until every record was seen that its totals count."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from verifier.model.invariant import Row
from verifier.stores.errors import StoreError
from verifier.stores.openim.answers import Item, StrangeAnswer, listed, mapping, number
from verifier.stores.openim.client import OpenIMClient
from verifier.stores.openim.lookups import group_row, user_row

READINGS_MAX = 3


@dataclass(frozen=True, slots=True)
class PagedRoute:
    """A route with pages: its path, the list in its answer, the id of a row, and how an item becomes a row."""

    path: str
    items: str
    key: str
    read: Callable[[Item], Row]


PAGED = {
    "openim.users": PagedRoute("/user/get_users", "users", "user_id", user_row),
    "openim.groups": PagedRoute(
        "/group/get_groups", "groups", "group_id", lambda item: group_row(mapping(item.get("groupInfo")))
    ),
}


@dataclass(slots=True)
class PagedReading:
    """One reading of a paged list, and what is known of its completeness afterwards.

    Pages have no order, so they may overlap and skip records [F39]. Records are handed out once, and while fewer were seen than
    OpenIM counts, the pages are read again, `READINGS_MAX` times at most.

    `seen`: the hashes of all ids so far, about 70 bytes a record. `total`: the number of records, in the last answer.
    """

    client: OpenIMClient
    route: PagedRoute
    seen: set[int] = field(default_factory=set)
    total: int = 0

    async def pages(self) -> AsyncIterator[list[Row]]:
        """All records, each once, a page at a time."""
        for _ in range(READINGS_MAX):
            async for rows in self._once():
                if rows:
                    yield rows
            if len(self.seen) >= self.total:
                return

    @property
    def lacking(self) -> int:
        """How many records OpenIM counts that no page had."""
        return max(0, self.total - len(self.seen))

    async def _once(self) -> AsyncIterator[list[Row]]:
        page, size, before = 1, self.client.config.batch_size, frozenset[str]()
        while True:
            try:
                rows = await self._page(page, size)
            except StrangeAnswer as error:
                raise self.client.strange(self.route.path, error) from None
            ids = frozenset(str(row[self.route.key]) for row in rows)
            if len(rows) >= size and ids == before:
                raise StoreError(
                    f"{self.client.label} answers {self.route.path} with the same page again and again, so the rest cannot be read. "
                    "Does a proxy in front keep answers in a cache?"
                )
            yield [row for row in rows if self._is_new(str(row[self.route.key]))]
            # A short page alone is not the end: something on the way may have shortened it.
            if not rows or (len(rows) < size and page * size >= self.total):
                return
            page, before = page + 1, ids

    async def _page(self, page: int, size: int) -> list[Row]:
        data = await self.client.call(self.route.path, {"pagination": {"pageNumber": page, "showNumber": size}})
        self.total = number(mapping(data), "total")
        items = listed(data, self.route.items)
        if len(items) > size:
            raise StrangeAnswer(f"a page has {len(items)} {self.route.items} instead of {size}")
        return [self.route.read(mapping(item)) for item in items]

    def _is_new(self, name: str) -> bool:
        mark = int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest())
        if mark in self.seen:
            return False
        self.seen.add(mark)
        return True
