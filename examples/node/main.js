// Publishes the lines of standard input: topic<TAB>type<TAB>data.
import { createInterface } from 'node:readline';

import { Publisher } from './publisher.js';

const address = process.argv[2] ?? '127.0.0.1:9090';
const publisher = new Publisher(address);
let rejected = 0;
publisher.on('rejected', (event, { code, message }) => {
  rejected += 1;
  console.error(`rejected (code ${code}): ${event.topic}: ${message}`);
});
publisher.on('reconnect', (reason, delayMs) => console.error(`${address}: ${reason}; again in ${Math.round(delayMs)} ms`));

let published = 0;
for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const [topic, type, ...data] = line.split('\t');
  await publisher.publish({ topic, type, text: data.join('\t') });
  published += 1;
}
await publisher.close();
console.log(`${published} published, ${rejected} rejected, last id ${publisher.lastId || 'none'}`);
