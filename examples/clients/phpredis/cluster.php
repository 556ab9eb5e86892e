<?php

require __DIR__ . '/limiter.php';

// Returns the keys that are limited most on all nodes.
function top(RedisCluster $cluster, int $count): array
{
    $keys = [];
    foreach ($cluster->_masters() as $node) {
        foreach ($cluster->rawCommand($node, 'PREMIER.TOP', $count) as [$key, $calls]) {
            $keys[$key] = $calls;
        }
    }
    arsort($keys);
    return array_slice($keys, 0, $count, preserve_keys: true);
}

// Previews a call on a replica, which may be a moment behind.
function peek(RedisCluster $cluster, string $key, string|int ...$arguments): Decision
{
    $slot = $cluster->cluster($key, 'KEYSLOT', $key);
    foreach ($cluster->cluster($key, 'SLOTS') as $range) {
        if ($range[0] <= $slot && $slot <= $range[1]) {
            [$host, $port] = end($range); // behind the master come its replicas
            $redis = new Redis(['host' => $host, 'port' => $port, 'connectTimeout' => 0.25, 'readTimeout' => 0.25]);
            $redis->rawCommand('READONLY');
            return premier($redis, 'PEEK', $key, ...$arguments);
        }
    }
    throw new RedisClusterException("no node has the slot $slot");
}

['host' => $host, 'port' => $port] = parse_url(getenv('REDIS_URL') ?: 'redis://127.0.0.1:7000');
$cluster = new RedisCluster(null, ["$host:$port"], 0.25, 0.25);

$user = $argv[1];
[$status, $headers] = check($cluster, ...array_slice($argv, 1));
echo $status;
foreach ($headers as $name => $value) {
    echo " $name: $value";
}
echo "\nremaining ", peek($cluster, "user:$user", 'TOKEN', 5, '1m', 'COST', 0)->remaining, "\n";
foreach (top($cluster, 10) as $key => $calls) {
    echo "$key $calls\n";
}
