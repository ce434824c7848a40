// Publishes the lines of standard input: topic<TAB>type<TAB>data.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

import grpc from '@grpc/grpc-js';

import { Publisher } from './publisher.js';

const address = process.argv[2] ?? '127.0.0.1:9090';
const { BRIDGE_TOKEN_FILE, BRIDGE_CA_FILE, BRIDGE_CERTIFICATE_FILE, BRIDGE_KEY_FILE } = process.env;
const options = {};
if (BRIDGE_TOKEN_FILE) options.token = () => readFileSync(BRIDGE_TOKEN_FILE, 'utf8').trim();
if (BRIDGE_CA_FILE) {
  const read = (path) => (path ? readFileSync(path) : null);
  options.credentials = grpc.credentials.createSsl(read(BRIDGE_CA_FILE), read(BRIDGE_KEY_FILE), read(BRIDGE_CERTIFICATE_FILE));
}
const publisher = new Publisher(address, options);
let rejected = 0;
publisher.on('rejected', (event, { code, message }) => {
  rejected += 1;
  console.error(`rejected (code ${code}): ${event.topic}: ${message}`);
});
publisher.on('reconnect', (reason, delayMs) => console.error(`${address}: ${reason}; again in ${Math.round(delayMs)} ms`));

let published = 0;
try {
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    const [topic, type, ...data] = line.split('\t');
    await publisher.publish({ topic, type, text: data.join('\t') });
    published += 1;
  }
} finally {
  await publisher.close();  // what came before a line that cannot be published is published
}
console.log(`${published} published, ${rejected} rejected, last id ${publisher.lastId || 'none'}`);
