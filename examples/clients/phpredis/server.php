<?php

require __DIR__ . '/limiter.php';

['host' => $host, 'port' => $port] = parse_url(getenv('REDIS_URL') ?: 'redis://127.0.0.1:6379');
// It connects at the first call.
$redis = new Redis(['host' => $host, 'port' => $port, 'connectTimeout' => 0.25, 'readTimeout' => 0.25]);

[$status, $headers] = check($redis, ...array_slice($argv, 1)); // such as: php server.php 42
echo $status;
foreach ($headers as $name => $value) {
    echo " $name: $value";
}
echo "\n";
