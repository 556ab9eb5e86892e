require "redis"

# No retries: a call whose reply was lost may have been charged.
SETTINGS = { reconnect_attempts: 0, timeout: 0.25 }.freeze

# The reply of a limiter. wait is -1 if the limited call never fits.
Decision = Data.define(:limited, :limit, :remaining, :wait, :reset) do
  # The status of the HTTP response, and its headers.
  def http
    return [200, {}] unless limited
    return [429, {}] if wait.negative?

    [429, { "Retry-After" => wait.ceildiv(1000).to_s }]
  end
end

# premier(redis, "TOKEN", "user:42", 5, "1m", "COST", 2)
def premier(redis, command, key, *arguments)
  limited, *rest = redis.call("PREMIER.#{command}", key, *arguments)
  Decision.new(limited == 1, *rest.first(4))
end

NOT_NOW = /\A(BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY|TRYAGAIN) /

# Returns whether the server cannot answer now. Other errors are mistakes, such as a wrong argument.
def outage?(error)
  !error.is_a?(Redis::CommandError) || error.message.match?(NOT_NOW)
end

# Charges a request of a user, who may make 5 a minute.
def check(redis, user, cost = 1)
  premier(redis, "TOKEN", "user:#{user}", 5, "1m", "COST", cost).http
rescue Redis::BaseError => e
  raise unless outage?(e)

  warn "not limited: #{e.message}"
  [200, {}] # fails open; to fail closed, [503, {}]
end
