require_relative "limiter"

redis = Redis.new(url: ENV.fetch("REDIS_URL", "redis://127.0.0.1:6379"), **SETTINGS)

user, *cost = ARGV # such as: ruby server.rb 42
status, headers = check(redis, user, *cost)
puts [status, *headers.map { |name, value| "#{name}: #{value}" }].join(" ")
