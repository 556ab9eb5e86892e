using System;
using StackExchange.Redis;

var url = new Uri(Environment.GetEnvironmentVariable("REDIS_URL") ?? "redis://127.0.0.1:6379");
using var redis = await ConnectionMultiplexer.ConnectAsync(Limiter.Settings($"{url.Host}:{url.Port}"));
var db = redis.GetDatabase();

var user = args[0]; // such as: dotnet run -- 42
var (status, retryAfter) = await Limiter.Check(db, user, args.Length > 1 ? long.Parse(args[1]) : 1);
Console.WriteLine(retryAfter is null ? $"{status}" : $"{status} Retry-After: {retryAfter}");
Console.WriteLine($"remaining {(await Limiter.Peek(db, $"user:{user}", "TOKEN", 5, "1m", "COST", 0)).Remaining}");
foreach (var (key, calls) in await Limiter.Top(redis, 10)) Console.WriteLine($"{key} {calls}");
