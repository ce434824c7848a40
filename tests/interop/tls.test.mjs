// curl, and Node.js' own fetch and EventSource, over TLS.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { promisify } from 'node:util';

import { connectPublisher, eventually, makeCertificate, startBridge, startProxy, subscribe, take } from '../support/bridge.mjs';

let bridge;
let certificate;
let publisher;
before(async () => {
  certificate = await makeCertificate();
  tls.setDefaultCACertificates([certificate.pem]);
  bridge = await startBridge(certificate.settings);
  publisher = connectPublisher(bridge.grpc);
});
after(async () => {
  await publisher.close();
  await bridge.stop();
});

// Runs curl to its end; `code` is its exit code, 28 where --max-time ended it.
const curl = (...args) =>
  promisify(execFile)('curl', ['--silent', '--show-error', '--cacert', certificate.file, ...args])
    .then(({ stdout }) => ({ code: 0, stdout }), ({ code, stdout, stderr }) => ({ code, stdout, stderr }));

test('curl gets pages and event streams, by GET and by POST', async () => {
  const page = await curl('--include', `https://${bridge.http}/`);
  assert.match(page.stdout, /^HTTP\/1\.1 200 OK\r\n/);
  await publisher.publish([{ topic: 'curl.a', text: 'x' }]);
  const got = await curl('--no-buffer', '--max-time', '1', `https://${bridge.http}/events?topic=curl.a&replay=all`);
  assert.equal(got.code, 28);
  assert.match(got.stdout, /\ndata: x\n/);
  const posted = await curl('--no-buffer', '--max-time', '1', '--json', '{"topics": ["curl.a"], "replay": "all"}', `https://${bridge.http}/events`);
  assert.equal(posted.code, 28);
  assert.match(posted.stdout, /event: bridge\.open\n/);
});

test('curl does not trust a certificate that nobody signed for it', async () => {
  const { code } = await curl('--cacert', '/etc/ssl/certs/ca-certificates.crt', `https://${bridge.http}/`);
  assert.equal(code, 60);
});

test("Node.js' fetch reads an event stream", async () => {
  const stream = subscribe(`https://${bridge.http}/events`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ topics: ['fetch.a'] }),
  });
  assert.equal((await stream.next()).value.event, 'bridge.open');
  await publisher.publish([{ topic: 'fetch.a', text: '1' }, { topic: 'fetch.a', text: '2' }]);
  assert.deepEqual((await take(stream, 2)).map(({ data }) => data), ['1', '2']);
});

test("Node.js' EventSource resumes exactly after cuts", async () => {
  const proxy = await startProxy(bridge.http);
  const source = new EventSource(`https://${proxy.address}/events?topic=source.a`);
  const received = [];
  let opened = 0;
  source.addEventListener('message', ({ data }) => received.push(data));
  source.addEventListener('bridge.open', () => { opened += 1; });
  await eventually(() => opened === 1);
  const wanted = [];
  for (let number = 0; number < 20; number += 1) {
    if (number % 5 === 4) proxy.cut();
    wanted.push(String(number));
    await publisher.publish([{ topic: 'source.a', text: String(number) }]);
  }
  await eventually(() => received.length >= wanted.length);
  assert.deepEqual(received, wanted);
  assert.ok(opened > 1);
  source.close();
  await proxy.stop();
});
