import io.lettuce.core.ClientOptions;
import io.lettuce.core.RedisClient;
import io.lettuce.core.api.StatefulRedisConnection;
import io.lettuce.core.api.sync.RedisCommands;

final class Server {
    private static final RedisClient CLIENT = RedisClient.create(
        Limiter.address(System.getenv().getOrDefault("REDIS_URL", "redis://127.0.0.1:6379")));
    private static StatefulRedisConnection<String, String> connection;

    /** Connects at the first call, or at the next one if that fails. Later it reconnects by itself. */
    private static synchronized RedisCommands<String, String> redis() {
        if (connection == null) {
            CLIENT.setOptions(Limiter.options(ClientOptions.builder()).build());
            connection = CLIENT.connect();
        }
        return connection.sync();
    }

    public static void main(String[] arguments) {
        long cost = arguments.length > 1 ? Long.parseLong(arguments[1]) : 1;
        try {
            Limiter.Response response = Limiter.check(Server::redis, arguments[0], cost); // such as: java Server 42
            System.out.print(response.status());
            response.headers().forEach((name, value) -> System.out.print(" " + name + ": " + value));
            System.out.println();
        } finally {
            CLIENT.shutdown();
        }
    }
}
