<?php

require 'vendor/autoload.php';
require __DIR__ . '/limiter.php';

['host' => $host, 'port' => $port] = parse_url(getenv('REDIS_URL') ?: 'redis://127.0.0.1:6379');
$client = new Predis\Client(['host' => $host, 'port' => $port] + settings());

[$status, $headers] = check($client, ...array_slice($argv, 1)); // such as: php server.php 42
echo $status;
foreach ($headers as $name => $value) {
    echo " $name: $value";
}
echo "\n";
