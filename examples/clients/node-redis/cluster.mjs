import { createCluster } from 'redis';
import { check, premier, SETTINGS, within } from './limiter.mjs';

/** In a cluster, node-redis needs the key, and whether a replica may answer. */
function routed(cluster, isReadonly) {
  return { sendCommand: (words) => cluster.sendCommand(words[1], isReadonly, words) };
}

/** Returns the keys that are limited most on all nodes. */
async function top(cluster, count) {
  const nodes = await Promise.all(cluster.masters.map((node) => cluster.nodeClient(node)));
  const call = ['PREMIER.TOP', String(count)];
  const replies = await Promise.all(nodes.map((node) => within(250, node.sendCommand(call))));
  return replies.flat().sort(([, one], [, other]) => other - one).slice(0, count);
}

const cluster = createCluster({
  rootNodes: [{ url: process.env.REDIS_URL ?? 'redis://127.0.0.1:7000' }],
  defaults: SETTINGS,
  useReplicas: true,
});
cluster.on('error', (error) => console.warn(error.message));
await within(1000, cluster.connect()).catch((error) => console.warn(error.message));

const [user, cost] = process.argv.slice(2);
const [status, headers] = await check(routed(cluster, false), user, cost);
console.log(status, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`));
// Replicas may be a moment behind.
const peeked = await premier(routed(cluster, true), 'PEEK', `user:${user}`, 'TOKEN', 5, '1m', 'COST', 0);
console.log('remaining', peeked.remaining);
for (const [key, calls] of await top(cluster, 10)) console.log(key, calls);
process.exit();
