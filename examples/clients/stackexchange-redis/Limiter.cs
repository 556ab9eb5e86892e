using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using StackExchange.Redis;

/// <summary>The reply of a limiter. WaitMs is -1 if the limited call never fits.</summary>
public record Decision(bool Limited, long Limit, long Remaining, long WaitMs, long ResetMs)
{
    /// <summary>The status of the HTTP response, and Retry-After in seconds, if a retry helps.</summary>
    public (int Status, long? RetryAfter) Http() => this switch
    {
        { Limited: false } => (200, null),
        { WaitMs: < 0 } => (429, null),
        _ => (429, (WaitMs + 999) / 1000),
    };
}

public static class Limiter
{
    /// <summary>The settings for a server, or for a cluster, given any of its nodes.</summary>
    public static ConfigurationOptions Settings(string endpoints)
    {
        var options = ConfigurationOptions.Parse(endpoints);
        options.ConnectTimeout = options.AsyncTimeout = options.SyncTimeout = 250;
        options.AbortOnConnectFail = false; // goes on connecting in the background
        options.BacklogPolicy = BacklogPolicy.FailFast; // while there is no connection, fail at once
        return options;
    }

    /// <summary>db.Premier("TOKEN", "user:42", [5, "1m", "COST", 2])</summary>
    public static async Task<Decision> Premier(
        this IDatabase db, string command, RedisKey key, object[] words, CommandFlags flags = CommandFlags.None)
    {
        // Only a RedisKey is routed in a cluster, and prefixed by WithKeyPrefix.
        object[] arguments = [key, .. words];
        var reply = (RedisResult[])(await db.ExecuteAsync($"PREMIER.{command}", arguments, flags))!;
        return new((long)reply[0] == 1, (long)reply[1], (long)reply[2], (long)reply[3], (long)reply[4]);
    }

    private static readonly Regex NotNow =
        new("^(BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY|TRYAGAIN) ");

    /// <summary>Returns whether the server cannot answer now. Other errors are mistakes, such as a wrong argument.</summary>
    private static bool IsOutage(Exception error) => error switch
    {
        RedisServerException => NotNow.IsMatch(error.Message),
        RedisConnectionException or RedisTimeoutException => true,
        _ => false,
    };

    /// <summary>Charges a request of a user, who may make 5 a minute.</summary>
    public static async Task<(int Status, long? RetryAfter)> Check(IDatabase db, string user, long cost = 1)
    {
        try
        {
            return (await db.Premier("TOKEN", $"user:{user}", [5, "1m", "COST", cost])).Http();
        }
        catch (Exception error) when (IsOutage(error))
        {
            Console.Error.WriteLine($"not limited: {error.Message}");
            return (200, null); // fails open; to fail closed, return (503, null)
        }
    }

    /// <summary>Previews a call on a replica, if there is one, which may be a moment behind.</summary>
    public static Task<Decision> Peek(IDatabase db, RedisKey key, params object[] words) =>
        db.Premier("PEEK", key, words, CommandFlags.PreferReplica);

    /// <summary>Returns the keys that are limited most on all nodes.</summary>
    public static async Task<List<(string Key, long Calls)>> Top(IConnectionMultiplexer redis, int count)
    {
        var keys = new List<(string Key, long Calls)>();
        foreach (var server in redis.GetServers().Where(server => !server.IsReplica))
        {
            var reply = (RedisResult[])(await server.ExecuteAsync("PREMIER.TOP", count))!;
            keys.AddRange(reply.Select(key => ((string)key[0]!, (long)key[1])));
        }
        return keys.OrderByDescending(key => key.Calls).Take(count).ToList();
    }
}
