// nginx in front as its packages set it up: buffering, gzip, HTTP/1.0 to the bridge. The bridge's own headers have to be enough.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { connectPublisher, eventually, nextEvent, start, startBridge, subscribe, take } from '../support/bridge.mjs';
import { freePort } from '../support/ports.mjs';

async function startNginx(upstream) {
  const directory = mkdtempSync(path.join(tmpdir(), 'nginx-'));
  const port = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${directory}/${kind};`);
  writeFileSync(path.join(directory, 'nginx.conf'), `
    daemon off;
    worker_processes 1;
    pid ${directory}/pid;
    error_log stderr warn;
    events {}
    http {
      access_log off;
      ${temporary.join(' ')}
      gzip on;
      gzip_types *;
      gzip_min_length 1;
      proxy_buffering on;
      proxy_read_timeout 1s;
      server {
        listen 127.0.0.1:${port};
        location / { proxy_pass http://${upstream}; }
      }
    }`);
  const child = start('/usr/sbin/nginx', ['-e', 'stderr', '-p', directory, '-c', 'nginx.conf']);
  const isUp = () => fetch(`http://127.0.0.1:${port}/`).then(() => true, () => false);
  await eventually(isUp, { describe: () => `nginx answers; it said ${child.output}` });
  return {
    address: `127.0.0.1:${port}`,
    async stop() {
      child.kill('SIGTERM');
      await child.ended;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

describe('behind a buffering nginx', () => {
  let bridge;
  let nginx;
  let publisher;
  before(async () => {
    bridge = await startBridge({ 'http.heartbeat': '300ms' });
    nginx = await startNginx(bridge.http);
    publisher = connectPublisher(bridge.grpc);
  });
  after(async () => {
    await publisher?.close();
    await nginx?.stop();
    await bridge?.stop();
  });

  const url = (query) => `http://${nginx.address}/events?${query}`;

  for (const encoding of ['identity', 'gzip']) {
    test(`an event is there within 50 ms of its publish (Accept-Encoding: ${encoding})`, async (t) => {
      const stream = subscribe(url(`topic=${encoding}`), { headers: { 'Accept-Encoding': encoding } });
      assert.equal((await stream.next()).value.event, 'bridge.open');
      const delays = [];
      for (let number = 0; number < 30; number += 1) {
        const published = performance.now();
        publisher.publish([{ topic: encoding, text: String(number) }]);
        const { data } = await nextEvent(stream);
        assert.equal(data, String(number));
        delays.push(performance.now() - published);
      }
      await stream.return();
      t.diagnostic(`median ${median(delays).toFixed(1)} ms, slowest ${Math.max(...delays).toFixed(1)} ms`);
      assert.ok(median(delays) < 50, `median ${median(delays)} ms`);
    });
  }

  test('a quiet stream lives longer than the read timeout of nginx, by its heartbeats', async () => {
    const stream = subscribe(url('topic=quiet'));
    await stream.next();
    await sleep(2500);  // longer than that timeout
    await publisher.publish([{ topic: 'quiet', text: 'still there' }]);
    assert.equal((await nextEvent(stream)).data, 'still there');
    await stream.return();
  });

  test('the stream speaks HTTP/1.0 to nginx, which gives HTTP/1.1 to the browser', async () => {
    const response = await new Promise((resolve) => http.get(url('topic=headers'), resolve));
    assert.equal(response.statusCode, 200);
    assert.equal(response.headers['content-type'], 'text/event-stream');
    assert.equal(response.headers['transfer-encoding'], 'chunked');
    response.destroy();
  });

  test('resumes through nginx with the id of the last event', async () => {
    const acks = await publisher.publish(...['1', '2', '3'].map((text) => [{ topic: 'resume', text }]));
    const events = await take(subscribe(url('topic=resume'), { headers: { 'Last-Event-ID': acks[0].first_id } }), 2);
    assert.deepEqual(events.map(({ data }) => data), ['2', '3']);
  });
});
