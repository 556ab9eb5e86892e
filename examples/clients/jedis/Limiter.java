import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import redis.clients.jedis.CommandArguments;
import redis.clients.jedis.UnifiedJedis;
import redis.clients.jedis.commands.ProtocolCommand;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.exceptions.JedisException;
import redis.clients.jedis.exceptions.JedisRedirectionException;
import redis.clients.jedis.util.SafeEncoder;

final class Limiter {
    /** The reply of a limiter. waitMillis is -1 if the limited call never fits. */
    record Decision(boolean limited, long limit, long remaining, long waitMillis, long resetMillis) {
        static Decision of(Object reply) {
            List<?> fields = (List<?>) reply;
            long[] field = fields.stream().limit(5).mapToLong(Long.class::cast).toArray();
            return new Decision(field[0] == 1, field[1], field[2], field[3], field[4]);
        }

        Response http() {
            if (!limited) return new Response(200, Map.of());
            if (waitMillis < 0) return new Response(429, Map.of());
            return new Response(429, Map.of("Retry-After", Long.toString((waitMillis + 999) / 1000)));
        }
    }

    /** The status of an HTTP response, and its headers. */
    record Response(int status, Map<String, String> headers) {}

    /** Returns a call of premier: command("TOKEN", "user:42", 5, "1m", "COST", 2). */
    static CommandArguments command(String name, String key, Object... words) {
        ProtocolCommand command = () -> SafeEncoder.encode("PREMIER." + name);
        CommandArguments call = new CommandArguments(command).key(key);
        for (Object word : words) call.add(word.toString());
        return call;
    }

    static Decision premier(UnifiedJedis jedis, String name, String key, Object... words) {
        CommandArguments call = command(name, key, words);
        try {
            return Decision.of(jedis.executeCommand(call));
        } catch (JedisException error) {
            // With maxAttempts(1) the caller follows a slot that has moved, which charges nothing.
            if (!(error.getCause() instanceof JedisRedirectionException)) throw error;
            return Decision.of(jedis.executeCommand(call));
        }
    }

    private static final Pattern NOT_NOW =
        Pattern.compile("^(BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY|TRYAGAIN) ");

    /** Returns whether the server cannot answer now. Other errors are mistakes, such as a wrong argument. */
    static boolean isOutage(JedisException error) {
        return !(error instanceof JedisDataException) || NOT_NOW.matcher(error.getMessage()).find();
    }

    /** Charges a request of a user, who may make 5 a minute. */
    static Response check(UnifiedJedis jedis, String user, long cost) {
        try {
            return premier(jedis, "TOKEN", "user:" + user, 5, "1m", "COST", cost).http();
        } catch (JedisException error) {
            if (!isOutage(error)) throw error;
            System.err.println("not limited: " + error.getMessage());
            return new Response(200, Map.of()); // fails open; to fail closed, return 503
        }
    }
}
