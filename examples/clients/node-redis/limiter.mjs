import { setTimeout as sleep } from 'node:timers/promises';
import { ErrorReply } from 'redis';

export const SETTINGS = {
  disableOfflineQueue: true, // while there is no connection, fail at once
  socket: { connectTimeout: 250 },
};

// node-redis has no timeout for a call that has been sent. It may still be charged.
export async function within(milliseconds, promise) {
  const timer = new AbortController();
  const late = sleep(milliseconds, null, { signal: timer.signal }).then(() => {
    throw new Error(`no reply within ${milliseconds} ms`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}

/**
 * premier(client, 'TOKEN', 'user:42', 5, '1m', 'COST', 2)
 * `wait` and `reset` are milliseconds; `wait` is -1 if the limited call never fits.
 */
export async function premier(client, command, key, ...words) {
  const call = client.sendCommand([`PREMIER.${command}`, key, ...words.map(String)]);
  const [limited, limit, remaining, wait, reset] = await within(250, call);
  return { limited: limited === 1, limit, remaining, wait, reset };
}

/** Returns the status of the HTTP response, and its headers. */
export function http({ limited, wait }) {
  if (!limited) return [200, {}];
  if (wait < 0) return [429, {}];
  return [429, { 'Retry-After': String(Math.ceil(wait / 1000)) }];
}

/** Returns whether the server cannot answer now. Other errors are mistakes, such as a wrong argument. */
export function isOutage(error) {
  const notNow = /^(BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY|TRYAGAIN) /;
  return !(error instanceof ErrorReply) || notNow.test(error.message);
}

/** Charges a request of a user, who may make 5 a minute. */
export async function check(client, user, cost = 1) {
  try {
    return http(await premier(client, 'TOKEN', `user:${user}`, 5, '1m', 'COST', cost));
  } catch (error) {
    if (!isOutage(error)) throw error;
    console.warn(`not limited: ${error.message}`);
    return [200, {}]; // fails open; to fail closed, return [503, {}]
  }
}
