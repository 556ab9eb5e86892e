<?php

use Predis\Client;
use Predis\Cluster\RedisStrategy;
use Predis\Command\RawCommand;
use Predis\PredisException;
use Predis\Response\ServerException;
use Predis\Retry\Retry;
use Predis\Retry\Strategy\NoBackoff;

// No retries: a call whose reply was lost may have been charged.
function settings(): array
{
    return ['timeout' => 0.25, 'read_write_timeout' => 0.25, 'retry' => new Retry(new NoBackoff(), 0)];
}

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

// premier($client, 'TOKEN', 'user:42', 5, '1m', 'COST', 2)
function premier(Client $client, string $command, string $key, string|int ...$arguments): Decision
{
    $call = new RawCommand("PREMIER.$command", [$key, ...$arguments]);
    // In a cluster Predis does not know where the key of such a command is.
    $call->setSlot((new RedisStrategy())->getSlotByKey($key));
    $reply = $client->executeCommand($call);
    return new Decision($reply[0] === 1, ...array_slice($reply, 1, 4));
}

// Returns whether the server cannot answer now. Other errors are mistakes, such as a wrong argument.
function isOutage(PredisException $error): bool
{
    $notNow = ['BUSY', 'CLUSTERDOWN', 'LOADING', 'MASTERDOWN', 'MISCONF', 'NOREPLICAS', 'OOM', 'READONLY', 'TRYAGAIN'];
    return !$error instanceof ServerException || in_array($error->getErrorType(), $notNow);
}

// Charges a request of a user, who may make 5 a minute.
function check(Client $client, string $user, int $cost = 1): array
{
    try {
        return premier($client, 'TOKEN', "user:$user", 5, '1m', 'COST', $cost)->http();
    } catch (PredisException $error) {
        if (!isOutage($error)) {
            throw $error;
        }
        error_log("not limited: {$error->getMessage()}");
        return [200, []]; // fails open; to fail closed, return [503, []]
    }
}
