import { Command } from 'ioredis';

export const SETTINGS = {
  autoResendUnfulfilledCommands: false, // a call whose reply was lost may have been charged
  maxRetriesPerRequest: 0,
  commandTimeout: 250,
  connectTimeout: 250,
};

/**
 * premier(client, 'TOKEN', 'user:42', 5, '1m', 'COST', 2)
 * `wait` and `reset` are milliseconds; `wait` is -1 if the limited call never fits.
 */
export async function premier(client, command, key, ...words) {
  const options = { replyEncoding: 'utf8', readOnly: command === 'PEEK' };
  const call = new Command(`PREMIER.${command}`, [key, ...words], options);
  call.getKeys = () => [key]; // for clusters: ioredis finds only the keys of Redis' own commands
  const [limited, limit, remaining, wait, reset] = await client.sendCommand(call);
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
  return error.name !== 'ReplyError' || notNow.test(error.message);
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
