import java.net.URI;
import java.time.Duration;
import redis.clients.jedis.ConnectionPoolConfig;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.JedisClientConfig;
import redis.clients.jedis.RedisClient;

final class Server {
    static final JedisClientConfig TIMEOUTS =
        DefaultJedisClientConfig.builder().connectionTimeoutMillis(250).socketTimeoutMillis(250).build();

    static ConnectionPoolConfig pool() {
        ConnectionPoolConfig pool = new ConnectionPoolConfig();
        pool.setMaxWait(Duration.ofMillis(250)); // without this, a call waits for a free connection for ever
        return pool;
    }

    public static void main(String[] arguments) {
        URI url = URI.create(System.getenv().getOrDefault("REDIS_URL", "redis://127.0.0.1:6379"));
        try (RedisClient jedis = RedisClient.builder()
            .hostAndPort(url.getHost(), url.getPort()).clientConfig(TIMEOUTS).poolConfig(pool()).build()) {
            long cost = arguments.length > 1 ? Long.parseLong(arguments[1]) : 1;
            Limiter.Response response = Limiter.check(jedis, arguments[0], cost); // such as: java Server 42
            System.out.print(response.status());
            response.headers().forEach((name, value) -> System.out.print(" " + name + ": " + value));
            System.out.println();
        }
    }
}
