import io.lettuce.core.ReadFrom;
import io.lettuce.core.cluster.ClusterClientOptions;
import io.lettuce.core.cluster.RedisClusterClient;
import io.lettuce.core.cluster.api.StatefulRedisClusterConnection;
import io.lettuce.core.cluster.models.partitions.RedisClusterNode;
import io.lettuce.core.codec.StringCodec;
import io.lettuce.core.output.ArrayOutput;
import io.lettuce.core.protocol.CommandArgs;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

final class Cluster {
    /** Returns the keys that are limited most on all nodes, and how often each was limited. */
    static Map<String, Long> top(StatefulRedisClusterConnection<String, String> cluster, int count) {
        Map<String, Long> keys = new HashMap<>();
        for (RedisClusterNode node : cluster.getPartitions()) {
            if (!node.is(RedisClusterNode.NodeFlag.UPSTREAM)) continue;
            List<Object> reply = cluster.getConnection(node.getNodeId()).sync().dispatch(
                new Limiter.Name("PREMIER.TOP"), new ArrayOutput<>(StringCodec.UTF8),
                new CommandArgs<>(StringCodec.UTF8).add(count));
            for (Object pair : reply) {
                List<?> key = (List<?>) pair;
                keys.put((String) key.get(0), (Long) key.get(1));
            }
        }
        return keys;
    }

    public static void main(String[] arguments) {
        RedisClusterClient client = RedisClusterClient.create(
            Limiter.address(System.getenv().getOrDefault("REDIS_URL", "redis://127.0.0.1:7000")));
        ClusterClientOptions.Builder options = Limiter.options(ClusterClientOptions.builder());
        // Replicas answer read-only calls, and PEEK must be declared as one. They may be a moment behind.
        options.readOnlyCommands(command -> command.getType().toString().equals("PREMIER.PEEK"));
        client.setOptions(options.build());
        try (StatefulRedisClusterConnection<String, String> cluster = client.connect()) {
            cluster.setReadFrom(ReadFrom.REPLICA_PREFERRED);
            long cost = arguments.length > 1 ? Long.parseLong(arguments[1]) : 1;
            Limiter.Response response = Limiter.check(cluster::sync, arguments[0], cost);
            System.out.print(response.status());
            response.headers().forEach((name, value) -> System.out.print(" " + name + ": " + value));
            System.out.println();
            Limiter.Decision peeked =
                Limiter.premier(cluster.sync(), "PEEK", "user:" + arguments[0], "TOKEN", 5, "1m", "COST", 0);
            System.out.println("remaining " + peeked.remaining());
            top(cluster, 10).entrySet().stream().sorted(Map.Entry.<String, Long>comparingByValue().reversed())
                .forEach(limited -> System.out.println(limited.getKey() + " " + limited.getValue()));
        } finally {
            client.shutdown();
        }
    }
}
