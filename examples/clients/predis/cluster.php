<?php

require 'vendor/autoload.php';
require __DIR__ . '/limiter.php';

use Predis\Client;
use Predis\Command\RawCommand;

// Returns the keys that are limited most on all nodes.
function top(Client $cluster, int $count): array
{
    $keys = [];
    foreach ($cluster as $node) {
        foreach ($node->executeCommand(new RawCommand('PREMIER.TOP', [$count])) as [$key, $calls]) {
            $keys[$key] = $calls;
        }
    }
    arsort($keys);
    return array_slice($keys, 0, $count, preserve_keys: true);
}

// Previews a call on a replica, which may be a moment behind.
function peek(Client $cluster, string $key, string|int ...$arguments): Decision
{
    $slot = (new Predis\Cluster\RedisStrategy())->getSlotByKey($key);
    $node = $cluster->getClientBy('slot', $slot);
    foreach ($node->executeCommand(new RawCommand('CLUSTER', ['SLOTS'])) as $range) {
        if ($range[0] <= $slot && $slot <= $range[1]) {
            [$host, $port] = end($range); // behind the master come its replicas
            $replica = new Client(['host' => $host, 'port' => $port] + settings());
            $replica->executeCommand(new RawCommand('READONLY'));
            return premier($replica, 'PEEK', $key, ...$arguments);
        }
    }
    throw new RuntimeException("no node has the slot $slot");
}

['host' => $host, 'port' => $port] = parse_url(getenv('REDIS_URL') ?: 'redis://127.0.0.1:7000');
$cluster = new Client(["tcp://$host:$port"], ['cluster' => 'redis', 'parameters' => settings()]);

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
