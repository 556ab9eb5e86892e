import os
import sys

import redis

from limiter import SETTINGS, check

client = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"), **SETTINGS)

user, *cost = sys.argv[1:]  # such as: python server.py 42
status, headers = check(client, user, *cost)
print(status, *(f"{name}: {value}" for name, value in headers.items()))
