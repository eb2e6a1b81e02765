"""The billing service: its worker makes a bill of each coded stay, in PostgreSQL."""

import os

from sqlalchemy import Column, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import create_async_engine

from domainstream.worker import ErrorHandler, EventConsumer, EventContext, GiveUp
from hospital.contracts import StayCoded

PRICES = {"I21": 4_200, "J18": 2_900} | ({"X99": 1_000} if os.environ.get("PRICE_OF_X99") else {})

metadata = MetaData()
bills = Table(
    "bills",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("stay", Text, nullable=False),
    Column("currency", Text, nullable=False),
)
engine = create_async_engine(os.environ["DATABASE_URL"], pool_pre_ping=True)
no_price = ErrorHandler({KeyError: GiveUp("the code has no price")})
consumer = EventConsumer("billing", errors=no_price)


@consumer.on(StayCoded)
async def bill_stay(event: StayCoded, context: EventContext) -> None:
    """Make the bill of a stay, once."""
    PRICES[event.payload.code]
    bill = {"event_id": context.event_id, "stay": event.aggregate_id, "currency": event.payload.currency}
    async with engine.begin() as connection:
        await connection.execute(insert(bills).values(bill).on_conflict_do_nothing())
