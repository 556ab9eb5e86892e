import { createClient } from 'redis';
import { check, SETTINGS, within } from './limiter.mjs';

const client = createClient({ url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379', ...SETTINGS });
client.on('error', (error) => console.warn(error.message)); // without this, an outage ends the process
// It goes on connecting in the background.
await within(1000, client.connect()).catch((error) => console.warn(error.message));

const [user, cost] = process.argv.slice(2); // such as: node server.mjs 42
const [status, headers] = await check(client, user, cost);
console.log(status, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`));
process.exit();
