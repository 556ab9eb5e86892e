import { once } from 'node:events';
import { Redis } from 'ioredis';
import { check, SETTINGS } from './limiter.mjs';

const client = new Redis(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379', {
  ...SETTINGS,
  enableOfflineQueue: false, // while there is no connection, fail at once
});
// Without a listener, ioredis prints each error. It goes on connecting in the background.
client.on('error', (error) => console.warn(error.message));
await once(client, 'ready', { signal: AbortSignal.timeout(1000) }).catch(() => {});

const [user, cost] = process.argv.slice(2); // such as: node server.mjs 42
const [status, headers] = await check(client, user, cost);
console.log(status, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`));
process.exit();
