"""The coding service: an HTTP API that publishes each coded stay. Run it: `python -m hospital.coding PORT`."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request

from domainstream import EventProducer, RedisStreamPublisherClient
from hospital.contracts import Channel, StayCoded, StayCodedPayload


def channel_for(event: StayCoded) -> Channel | None:
    """Return the channel of an event."""
    return Channel.DOMAIN_CODING_STAY_CODED


@asynccontextmanager
async def publishing(app: FastAPI) -> AsyncIterator[None]:
    """Have a producer while the API runs."""
    prefix = os.environ["DOMAINSTREAM_PREFIX"]
    async with RedisStreamPublisherClient.from_url(os.environ["REDIS_URL"], prefix=prefix) as client:
        app.state.producer = EventProducer(client, channel_for=channel_for, source="coding")
        yield


app = FastAPI(lifespan=publishing)


@app.post("/stays/{stay}/codes/{code}")
async def code_stay(stay: str, code: str, request: Request) -> dict[str, str]:
    """Publish that a stay was coded, and return the event's id."""
    payload = StayCodedPayload(code=code, currency="EUR")
    receipt = await request.app.state.producer.publish(StayCoded(aggregate_id=stay, payload=payload))
    return {"event_id": receipt.event_id}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
