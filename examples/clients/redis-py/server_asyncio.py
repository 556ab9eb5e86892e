import asyncio
import logging
import os
import sys

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from limiter import SETTINGS, Decision, http, is_outage


async def premier(client: redis.asyncio.Redis, command: str, key: str, *arguments) -> Decision:
    return Decision.of(await client.execute_command(f"PREMIER.{command}", key, *arguments))


async def check(client: redis.asyncio.Redis, user: str, cost: int = 1) -> tuple[int, dict[str, str]]:
    try:
        return http(await premier(client, "TOKEN", f"user:{user}", 5, "1m", "COST", cost))
    except redis.RedisError as error:
        if not is_outage(error):
            raise
        logging.warning("not limited: %s", error)
        return 200, {}  # fails open; to fail closed, return 503, {}


async def main(user: str, *cost: str) -> None:
    url = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
    # The retries of asyncio are another class.
    async with redis.asyncio.Redis.from_url(url, **SETTINGS | {"retry": Retry(NoBackoff(), 0)}) as client:
        status, headers = await check(client, user, *cost)
    print(status, *(f"{name}: {value}" for name, value in headers.items()))


asyncio.run(main(*sys.argv[1:]))
