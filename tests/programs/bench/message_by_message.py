"""The same service written with FastStream and faststream-outbox: a transaction a message.

It runs in a virtual environment of its own, and so imports nothing of the project:
``python message_by_message.py BOOTSTRAP ADDRESS TOPIC OUT SCHEMAS``.
"""

# mypy: ignore-errors
from __future__ import annotations

import asyncio
import io
import json
import sys
from typing import Any

import fastavro
from faststream import FastStream
from faststream.confluent import KafkaBroker
from faststream_outbox import OutboxBroker, make_outbox_table
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

TABLES = (
    "create table stock (sku text primary key, available bigint not null)",
    "create table reservations (order_id text primary key, sku text, quantity bigint)",
    "insert into stock values ('apple', 1000000000)",
)
TAKE = "update stock set available = available - :quantity where sku = :sku and available >= :quantity"
RESERVE = "insert into reservations values (:order_id, :sku, :quantity)"


async def main() -> None:
    """Serve until the process is ended."""
    bootstrap, address, topic, out, schemas = sys.argv[1:]
    reader, writer = (fastavro.parse_schema(schema) for schema in json.loads(schemas))
    engine = create_async_engine(address, pool_size=20)
    metadata = MetaData()
    table = make_outbox_table(metadata, table_name="outbox")
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
        for statement in TABLES:
            await connection.execute(text(statement))
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    kafka = KafkaBroker(bootstrap)
    outbox = OutboxBroker(engine, outbox_table=table)

    async def as_it_is(message: Any) -> bytes:
        return message.body

    @kafka.subscriber(
        topic, group_id="faststream", auto_offset_reset="earliest", decoder=as_it_is, no_reply=True
    )
    async def reserve(body: bytes) -> None:
        order = fastavro.schemaless_reader(io.BytesIO(body[10:]), reader)
        packed = io.BytesIO()
        fastavro.schemaless_writer(packed, writer, order)
        async with sessions() as session, session.begin():
            taken = await session.execute(text(TAKE), order)
            assert taken.rowcount == 1
            await session.execute(text(RESERVE), order)
            await outbox.publish(
                body[:10] + packed.getvalue(),
                queue="reserved",
                session=session,
                headers={"saga_id": order["order_id"]},
            )

    @outbox.subscriber(
        "reserved",
        max_workers=8,
        fetch_batch_size=100,
        min_fetch_interval=0.01,
        terminal_flush_batch_size=50,
        decoder=as_it_is,
    )
    async def relay(body: bytes) -> None:
        await kafka.publish(body, topic=out)

    await FastStream(kafka, outbox).run()


if __name__ == "__main__":
    asyncio.run(main())
