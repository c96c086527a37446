from typing import Any
from pymongo import AsyncMongoClient


async def test_transaction(mongodb_url: str, database_name: str) -> None:
    async with AsyncMongoClient[dict[str, Any]](mongodb_url) as client:
        async with client.start_session() as session:
            async with await session.start_transaction():
                await client[database_name].x.insert_one({"a": 1}, session=session)
        assert await client[database_name].x.count_documents({}) == 1
