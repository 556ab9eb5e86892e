import os
import sys

from redis.cluster import LoadBalancingStrategy, RedisCluster

from limiter import SETTINGS, Decision, check, premier


def peek(cluster: RedisCluster, key: str, *arguments) -> Decision:
    """Previews a call on a replica, which may be a moment behind."""
    node = cluster.get_node_from_key(key, replica=True) or cluster.get_node_from_key(key)
    return premier(cluster.get_redis_connection(node), "PEEK", key, *arguments)


def top(cluster: RedisCluster, count: int) -> list[tuple[str, int]]:
    """Returns the keys that are limited most on all nodes."""
    nodes = [cluster.get_redis_connection(node) for node in cluster.get_primaries()]
    keys = [(key.decode(), calls) for node in nodes for key, calls in node.execute_command("PREMIER.TOP", count)]
    return sorted(keys, key=lambda key: key[1], reverse=True)[:count]


# The strategy lets connections to replicas send READONLY, without which those redirect.
cluster = RedisCluster.from_url(
    os.environ.get("REDIS_URL", "redis://127.0.0.1:7000"),
    load_balancing_strategy=LoadBalancingStrategy.ROUND_ROBIN,
    **SETTINGS,
)

user, *cost = sys.argv[1:]
status, headers = check(cluster, user, *cost)
print(status, *(f"{name}: {value}" for name, value in headers.items()))
print("remaining", peek(cluster, f"user:{user}", "TOKEN", 5, "1m", "COST", 0).remaining)
for key, calls in top(cluster, 10):
    print(key, calls)
