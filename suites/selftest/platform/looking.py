"""Looking into the stores of a world, past every service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from fixtures.clients.openim_rest import OpenIMRest
from fixtures.platform.schema import MESSAGES
from fixtures.world import WorldConfig


@dataclass(frozen=True, kw_only=True)
class Looking:
    """Open connections to every store of a world."""

    users: AsyncConnection[DictRow]
    chats: AsyncConnection[DictRow]
    messages: Any
    redis: Redis
    im: OpenIMRest

    async def user_rows(self, statement: LiteralString, **values: object) -> list[DictRow]:
        """Rows of the user-service database."""
        return await (await self.users.execute(statement, values)).fetchall()

    async def chat_rows(self, statement: LiteralString, **values: object) -> list[DictRow]:
        """Rows of the chat-service database."""
        return await (await self.chats.execute(statement, values)).fetchall()

    async def legacy_state(self, conversation_id: str) -> dict[str, object]:
        """Everything that our own stores hold of one conversation."""
        state: dict[str, object] = {
            "messages": await self.messages.count_documents({"conversation_id": conversation_id}),
        }
        statements: dict[str, LiteralString] = {
            "conversation": "SELECT * FROM conversations WHERE id = %(id)s",
            "sequence": "SELECT * FROM conversation_sequences WHERE conversation_id = %(id)s",
            "reads": "SELECT * FROM message_reads WHERE conversation_id = %(id)s ORDER BY user_id",
            "mentions": "SELECT * FROM mentions WHERE conversation_id = %(id)s ORDER BY id",
            "members": "SELECT m.* FROM group_members m JOIN conversations c ON c.group_id = m.group_id"
            " WHERE c.id = %(id)s ORDER BY m.user_id",
        }
        for name, statement in statements.items():
            state[name] = await self.chat_rows(statement, id=conversation_id)
        return state

    async def im_token(self, user_id: UUID) -> str | None:
        """The imToken kept for a user."""
        token = await self.redis.get(f"im:token:{user_id}")
        return None if token is None else str(token)


@asynccontextmanager
async def looking_at(config: WorldConfig) -> AsyncIterator[Looking]:
    """Open the stores of a world."""
    mongo = AsyncMongoClient[dict[str, Any]](config.platform.mongo, tz_aware=True)
    redis = Redis.from_url(config.platform.redis, decode_responses=True)
    im = OpenIMRest(config.openim_api, secret=config.openim_secret, admin_user_id=config.openim_verifier_admin)
    users = await AsyncConnection.connect(config.platform.user_db, autocommit=True, row_factory=dict_row)
    chats = await AsyncConnection.connect(config.platform.chat_db, autocommit=True, row_factory=dict_row)
    try:
        yield Looking(
            users=users,
            chats=chats,
            messages=mongo[config.mongo_database][MESSAGES],
            redis=redis,
            im=im,
        )
    finally:
        await users.close()
        await chats.close()
        await im.aclose()
        await redis.aclose()
        await mongo.close()
