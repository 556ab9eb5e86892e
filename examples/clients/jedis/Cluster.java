import java.net.URI;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import redis.clients.jedis.BuilderFactory;
import redis.clients.jedis.CommandArguments;
import redis.clients.jedis.CommandObject;
import redis.clients.jedis.Connection;
import redis.clients.jedis.ConnectionPool;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.RedisClusterClient;
import redis.clients.jedis.util.SafeEncoder;

final class Cluster {
    /** Previews a call on a replica, which may be a moment behind. */
    static Limiter.Decision peek(RedisClusterClient cluster, String key, Object... words) {
        CommandArguments call = Limiter.command("PEEK", key, words);
        return Limiter.Decision.of(
            cluster.executeCommandToReplica(new CommandObject<>(call, BuilderFactory.RAW_OBJECT)));
    }

    /** Returns the keys that are limited most on all nodes, and how often each was limited. */
    static Map<String, Long> top(RedisClusterClient cluster, int count) {
        CommandArguments call = new CommandArguments(() -> SafeEncoder.encode("PREMIER.TOP")).add(count);
        Map<String, Long> keys = new HashMap<>();
        for (ConnectionPool node : cluster.getClusterNodes().values()) {
            try (Connection connection = node.getResource()) {
                for (Object pair : (List<?>) connection.executeCommand(call)) {
                    List<?> key = (List<?>) pair;
                    keys.put(SafeEncoder.encode((byte[]) key.get(0)), (Long) key.get(1));
                }
            }
        }
        return keys;
    }

    public static void main(String[] arguments) {
        URI url = URI.create(System.getenv().getOrDefault("REDIS_URL", "redis://127.0.0.1:7000"));
        try (RedisClusterClient cluster = RedisClusterClient.builder()
            .nodes(Set.of(new HostAndPort(url.getHost(), url.getPort())))
            .maxAttempts(1) // each further one may be a retry of a call whose reply was lost
            .clientConfig(DefaultJedisClientConfig.builder()
                .connectionTimeoutMillis(250).socketTimeoutMillis(250).readOnlyForRedisClusterReplicas().build())
            .poolConfig(Server.pool()).build()) {
            long cost = arguments.length > 1 ? Long.parseLong(arguments[1]) : 1;
            Limiter.Response response = Limiter.check(cluster, arguments[0], cost);
            System.out.print(response.status());
            response.headers().forEach((name, value) -> System.out.print(" " + name + ": " + value));
            System.out.println();
            String key = "user:" + arguments[0];
            System.out.println("remaining " + peek(cluster, key, "TOKEN", 5, "1m", "COST", 0).remaining());
            top(cluster, 10).entrySet().stream().sorted(Map.Entry.<String, Long>comparingByValue().reversed())
                .forEach(limited -> System.out.println(limited.getKey() + " " + limited.getValue()));
        }
    }
}
