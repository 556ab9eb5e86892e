require "redis-clustering"
require_relative "limiter"

# The keys that are limited most on all nodes.
def top(cluster, count)
  masters = cluster.cluster("nodes").select { |node| node["flags"].include?("master") }
  keys = masters.flat_map do |master|
    host, port = master["ip_port"].split(/[:@]/)
    Redis.new(host:, port:, **SETTINGS).call("PREMIER.TOP", count)
  end
  keys.max_by(count) { |_, calls| calls }
end

nodes = [ENV.fetch("REDIS_URL", "redis://127.0.0.1:7000")]
# In a cluster reconnect_attempts: 0 is not enough. This circuit breaker leaves a node alone for a
# second when its connection breaks, so that a call is not sent again.
circuit_breaker = { error_threshold: 1, error_timeout: 1 }
cluster = Redis::Cluster.new(nodes:, circuit_breaker:, **SETTINGS)
# Sends read-only calls such as PEEK to replicas, which may be a moment behind.
replicas = Redis::Cluster.new(nodes:, replica: true, **SETTINGS)

user, *cost = ARGV
status, headers = check(cluster, user, *cost)
puts [status, *headers.map { |name, value| "#{name}: #{value}" }].join(" ")
puts "remaining #{premier(replicas, "PEEK", "user:#{user}", "TOKEN", 5, "1m", "COST", 0).remaining}"
top(cluster, 10).each { |key, calls| puts "#{key} #{calls}" }
