import { once } from 'node:events';
import { Cluster } from 'ioredis';
import { check, premier, SETTINGS } from './limiter.mjs';

/** Returns the keys that are limited most on all nodes. */
async function top(cluster, count) {
  const nodes = cluster.nodes('master');
  const replies = await Promise.all(nodes.map((node) => node.call('PREMIER.TOP', count)));
  return replies.flat().sort(([, one], [, other]) => other - one).slice(0, count);
}

const cluster = new Cluster([process.env.REDIS_URL ?? 'redis://127.0.0.1:7000'], {
  redisOptions: SETTINGS,
  retryDelayOnFailover: 0, // each delay is a retry
  retryDelayOnClusterDown: 0,
  enableOfflineQueue: false,
  scaleReads: 'slave', // where calls that are readOnly go; replicas may be a moment behind
});
cluster.on('error', (error) => console.warn(error.message));
await once(cluster, 'ready', { signal: AbortSignal.timeout(1000) }).catch(() => {});

const [user, cost] = process.argv.slice(2);
const [status, headers] = await check(cluster, user, cost);
console.log(status, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`));
const peeked = await premier(cluster, 'PEEK', `user:${user}`, 'TOKEN', 5, '1m', 'COST', 0);
console.log('remaining', peeked.remaining);
for (const [key, calls] of await top(cluster, 10)) console.log(key, calls);
process.exit();
