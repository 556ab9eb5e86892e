import logging
from typing import NamedTuple

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

# No retries: a call whose reply was lost may have been charged.
SETTINGS = {"retry": Retry(NoBackoff(), 0), "socket_connect_timeout": 0.25, "socket_timeout": 0.25}


class Decision(NamedTuple):
    limited: bool
    limit: int
    remaining: int
    wait: int  # milliseconds; -1 if the limited call never fits
    reset: int  # milliseconds

    @classmethod
    def of(cls, reply: list[int]) -> "Decision":
        return cls(bool(reply[0]), *reply[1:5])


def premier(client: redis.Redis, command: str, key: str, *arguments) -> Decision:
    """premier(client, "TOKEN", "user:42", 5, "1m", "COST", 2)"""
    return Decision.of(client.execute_command(f"PREMIER.{command}", key, *arguments))


def http(decision: Decision) -> tuple[int, dict[str, str]]:
    """Returns the status of the response and its headers."""
    if not decision.limited:
        return 200, {}
    if decision.wait < 0:
        return 429, {}
    return 429, {"Retry-After": str(-(-decision.wait // 1000))}  # rounded up


def is_outage(error: Exception) -> bool:
    """Returns whether the server cannot answer now. Other errors are mistakes, such as a wrong argument."""
    errors = redis.exceptions
    not_now = (errors.ReadOnlyError, errors.OutOfMemoryError, errors.ClusterDownError, errors.TryAgainError)
    # redis-py takes a missing password for a failed connection.
    is_error_reply = isinstance(error, (redis.ResponseError, errors.AuthenticationError))
    is_not_now = isinstance(error, not_now) or str(error).startswith(("BUSY ", "MISCONF", "NOREPLICAS"))
    return not is_error_reply or is_not_now


def check(client: redis.Redis, user: str, cost: int = 1) -> tuple[int, dict[str, str]]:
    """Charges a request of a user, who may make 5 a minute."""
    try:
        return http(premier(client, "TOKEN", f"user:{user}", 5, "1m", "COST", cost))
    except (redis.RedisError, redis.exceptions.RedisClusterException) as error:
        if not is_outage(error):
            raise
        logging.warning("not limited: %s", error)
        return 200, {}  # fails open; to fail closed, return 503, {}
