<?php

// The reply of a limiter. Times are milliseconds; wait is -1 if the limited call never fits.
final readonly class Decision
{
    public function __construct(
        public bool $limited,
        public int $limit,
        public int $remaining,
        public int $wait,
        public int $reset,
    ) {
    }

    // The status of the HTTP response, and its headers.
    public function http(): array
    {
        return match (true) {
            !$this->limited => [200, []],
            $this->wait < 0 => [429, []],
            default => [429, ['Retry-After' => intdiv($this->wait + 999, 1000)]],
        };
    }
}

// premier($redis, 'TOKEN', 'user:42', 5, '1m', 'COST', 2)
function premier(Redis|RedisCluster $redis, string $command, string $key, string|int ...$arguments): Decision
{
    $redis->clearLastError();
    $words = ["PREMIER.$command", $key, ...$arguments];
    // A cluster takes the key that says which node to ask.
    $reply = $redis instanceof RedisCluster ? $redis->rawCommand($key, ...$words) : $redis->rawCommand(...$words);
    // phpredis returns false for an error, which would read as "not limited".
    if (!is_array($reply)) {
        throw new RedisException($redis->getLastError() ?? 'no reply');
    }
    return new Decision($reply[0] === 1, ...array_slice($reply, 1, 4));
}

// Returns whether the server cannot answer now. Other errors are mistakes, such as a wrong argument.
function isOutage(RedisException|RedisClusterException $error): bool
{
    $notNow = ['BUSY', 'CLUSTERDOWN', 'LOADING', 'MASTERDOWN', 'MISCONF', 'NOREPLICAS', 'OOM', 'READONLY', 'TRYAGAIN'];
    $isErrorReply = preg_match('/^([A-Z]+) /', $error->getMessage(), $code);
    return !$isErrorReply || in_array($code[1], $notNow);
}

// Charges a request of a user, who may make 5 a minute.
function check(Redis|RedisCluster $redis, string $user, int $cost = 1): array
{
    try {
        return premier($redis, 'TOKEN', "user:$user", 5, '1m', 'COST', $cost)->http();
    } catch (RedisException|RedisClusterException $error) {
        if (!isOutage($error)) {
            throw $error;
        }
        error_log("not limited: {$error->getMessage()}");
        return [200, []]; // fails open; to fail closed, return [503, []]
    }
}
