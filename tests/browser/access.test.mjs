// The page's access: the token that a person gives it, and the tickets that it takes with it.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { Access, Refusal } from '../../bridge/web/access.js';

const { fetch } = globalThis;
let headers;
beforeEach(() => {
  globalThis.document = { baseURI: 'http://127.0.0.1/' };
  globalThis.fetch = async () => new Response('', { status: 503, headers });
});
afterEach(() => {
  delete globalThis.document;
  globalThis.fetch = fetch;
});

const refusal = () => new Access().use('token').then(() => assert.fail('it has a ticket'), (error) => error);

for (const [name, value, milliseconds] of [['seconds', '7', 7000], ['a date', new Date().toUTCString(), 0], ['nothing', undefined, 0]]) {
  test(`a refusal with ${name} as Retry-After says how long to wait`, async () => {
    headers = value === undefined ? {} : { 'Retry-After': value };
    const error = await refusal();
    assert.ok(error instanceof Refusal);
    assert.equal(error.retryAfterMs, milliseconds);
  });
}
