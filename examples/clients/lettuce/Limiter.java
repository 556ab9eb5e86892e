import io.lettuce.core.ClientOptions;
import io.lettuce.core.RedisCommandExecutionException;
import io.lettuce.core.RedisException;
import io.lettuce.core.RedisURI;
import io.lettuce.core.SocketOptions;
import io.lettuce.core.cluster.api.sync.RedisClusterCommands;
import io.lettuce.core.codec.StringCodec;
import io.lettuce.core.output.ArrayOutput;
import io.lettuce.core.protocol.CommandArgs;
import io.lettuce.core.protocol.ProtocolKeyword;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.regex.Pattern;

final class Limiter {
    private static final Duration TIMEOUT = Duration.ofMillis(250);

    /** Returns an address, with the timeout of its calls, which is a minute by default. */
    static RedisURI address(String url) {
        RedisURI address = RedisURI.create(url);
        address.setTimeout(TIMEOUT);
        return address;
    }

    /** Sets the options of a client, or of a client of a cluster. */
    static <B extends ClientOptions.Builder> B options(B builder) {
        // By default, Lettuce sends a call again whose reply was lost, which may have been charged.
        builder.disconnectedBehavior(ClientOptions.DisconnectedBehavior.REJECT_COMMANDS);
        builder.socketOptions(SocketOptions.builder().connectTimeout(TIMEOUT).build());
        return builder;
    }

    /** The name of a command that Lettuce does not know. */
    record Name(String name) implements ProtocolKeyword {
        @Override
        public byte[] getBytes() {
            return name.getBytes(StandardCharsets.US_ASCII);
        }

        @Override
        public String toString() {
            return name;
        }
    }

    /** The reply of a limiter. waitMillis is -1 if the limited call never fits. */
    record Decision(boolean limited, long limit, long remaining, long waitMillis, long resetMillis) {
        Response http() {
            if (!limited) return new Response(200, Map.of());
            if (waitMillis < 0) return new Response(429, Map.of());
            return new Response(429, Map.of("Retry-After", Long.toString((waitMillis + 999) / 1000)));
        }
    }

    /** The status of an HTTP response, and its headers. */
    record Response(int status, Map<String, String> headers) {}

    /** premier(redis, "TOKEN", "user:42", 5, "1m", "COST", 2), on a server or a cluster. */
    static Decision premier(RedisClusterCommands<String, String> redis, String command, String key, Object... words) {
        CommandArgs<String, String> arguments = new CommandArgs<>(StringCodec.UTF8).addKey(key);
        for (Object word : words) arguments.add(word.toString());
        List<Object> reply =
            redis.dispatch(new Name("PREMIER." + command), new ArrayOutput<>(StringCodec.UTF8), arguments);
        long[] field = reply.stream().limit(5).mapToLong(Long.class::cast).toArray();
        return new Decision(field[0] == 1, field[1], field[2], field[3], field[4]);
    }

    private static final Pattern NOT_NOW =
        Pattern.compile("^(BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY|TRYAGAIN) ");

    /** Returns whether the server cannot answer now. Other errors are mistakes, such as a wrong argument. */
    static boolean isOutage(RedisException error) {
        return !(error instanceof RedisCommandExecutionException) || NOT_NOW.matcher(error.getMessage()).find();
    }

    /** Charges a request of a user, who may make 5 a minute. */
    static Response check(
        Supplier<? extends RedisClusterCommands<String, String>> redis, String user, long cost) {
        try {
            return premier(redis.get(), "TOKEN", "user:" + user, 5, "1m", "COST", cost).http();
        } catch (RedisException error) {
            if (!isOutage(error)) throw error;
            System.err.println("not limited: " + error.getMessage());
            return new Response(200, Map.of()); // fails open; to fail closed, return 503
        }
    }
}
