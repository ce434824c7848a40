// examples/node/publisher.js, told what to do by lines of JSON: see ../publishing.mjs.
import { createInterface } from 'node:readline';

import { Publisher } from '../../../examples/node/publisher.js';

const tokens = JSON.parse(process.env.TOKENS ?? '[""]');
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

async function token() {
  const current = tokens.length > 1 ? tokens.shift() : tokens[0];
  if (current === '!') throw new Error('there is no token now');
  return current;
}

const publisher = new Publisher(process.argv[2], { window: Number(process.env.WINDOW ?? 1000), token });
publisher.on('rejected', (event, { message }) => say({ rejected: message }));
publisher.on('reconnect', (reason) => say({ reconnect: reason }));

async function publish(event, times) {
  try {
    for (let count = 0; count < times; count += 1) await publisher.publish(event);
    say({ published: true });
  } catch (error) {
    say({ published: false, error: String(error) });
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const told = JSON.parse(line);
  if (told.publish) {
    const done = publish(told.publish, told.times ?? 1);
    if (!told.waits) await done;
  } else {
    await publisher.close();
    say({ closed: true });
  }
}
