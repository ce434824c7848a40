// What docs/operations.md says about nginx, HAProxy and Caddy in front of the bridge is so.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { after, afterEach, before, describe, test } from 'node:test';
import tls from 'node:tls';

import { createParser } from 'eventsource-parser';
import { chromium } from 'playwright-core';

import { connectPublisher, eventsOf, eventually, makeCertificate, nextEvent, subscribe } from '../support/bridge.mjs';
import { startWorker } from '../support/worker.mjs';
import { names, startFront, startReplicas, stopReplicas } from './fronts.mjs';

// Both are a fiftieth of what production has.
const heartbeat = '300ms';
const idleTimeout = '1200ms';
const idleTimeoutMs = 1200;

let certificate;
let replicas;
let browser;
before(async () => {
  certificate = await makeCertificate();
  tls.setDefaultCACertificates([certificate.pem]);
  replicas = await startReplicas({ 'http.heartbeat': heartbeat });
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
});
after(async () => {
  await browser?.close();
  if (replicas) await stopReplicas(replicas);
});

// The events of an event stream over HTTP/2, until the caller stops reading.
async function* subscribeOverHttp2(url) {
  const { origin, pathname, search } = new URL(url);
  const session = http2.connect(origin, { ca: certificate.pem });
  const events = [];
  const parser = createParser({ onEvent: (event) => events.push(event) });
  try {
    const request = session.request({ ':path': pathname + search }).setEncoding('utf8');
    for await (const text of request) {
      parser.feed(text);
      yield* events.splice(0);
    }
  } finally {
    session.destroy();
  }
}

// The fastest of several deliveries, from before the publish to the event's last byte: what is late by design is late each time.
async function shortestDelayMs(stream, publish) {
  assert.equal((await stream.next()).value.event, 'bridge.open');
  const delays = [];
  for (let number = 0; number < 10; number += 1) {
    const begun = performance.now();
    publish(String(number));
    assert.equal((await nextEvent(stream)).data, String(number));
    delays.push(performance.now() - begun);
  }
  await stream.return();
  return Math.min(...delays);
}

// A page of the front's origin, which notes what event streams get in window.received and window.finalErrors.
async function openPage(origin) {
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  await page.route('**/page', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>test</title>' }));
  await page.goto(`${origin}/page`);
  await page.evaluate(() => {
    window.finalErrors = 0;
    window.received = [];
    window.refusals = [];
    window.openStream = (url) => {
      const received = [];
      window.received.push(received);
      const source = new EventSource(url);
      source.onmessage = ({ data }) => received.push(data);
      source.addEventListener('bridge.end', () => source.close());
      source.onerror = () => { window.finalErrors += source.readyState === EventSource.CLOSED ? 1 : 0; };
      source.addEventListener('bridge.closing', ({ data }) => window.refusals.push(JSON.parse(data).reason));
      return new Promise((resolve) => { source.addEventListener('bridge.open', resolve, { once: true }); });
    };
  });
  return page;
}

const openStreams = (page, topic, count) =>
  page.evaluate(
    ([url, streams]) => Promise.all(Array.from({ length: streams }, () => window.openStream(url))).then(() => {}),
    [`/events?topic=${topic}`, count],
  );

async function assertEachReceives(page, wanted) {
  const received = () => page.evaluate(() => window.received);
  await eventually(async () => (await received()).every((stream) => stream.length >= wanted.length), {
    describe: () => `each stream gets ${wanted.length} events`,
  });
  for (const stream of await received()) assert.deepEqual(stream, wanted);
  assert.equal(await page.evaluate(() => window.finalErrors), 0);
}

for (const name of names) {
  describe(`behind ${name}`, () => {
    let front;
    before(async () => { front = await startFront(name, replicas, certificate); });
    after(() => front?.stop());
    // Of a test that has failed before it did so.
    afterEach(async () => {
      for (const replica of replicas) if (!replica.bridge) await replica.start();
    });

    const topicOf = (what) => `${name}.${what}`;
    async function publish(replica, topic, texts) {
      const publisher = connectPublisher(replica.bridge.grpc);
      await publisher.publish(...texts.map((text) => [{ topic, text }]));
      await publisher.close();
    }

    const clients = [
      ['HTTP/1.1', subscribe],
      ['HTTP/1.1 with Accept-Encoding: gzip', (url) => subscribe(url, { headers: { 'Accept-Encoding': 'gzip' } })],
      ['HTTP/2', subscribeOverHttp2],
    ];
    async function assertIsPrompt(t, open, origin, topic) {
      const publisher = connectPublisher(replicas[0].bridge.grpc);
      const shortest = await shortestDelayMs(open(`${origin}/events?topic=${topic}`), (text) => publisher.publish([{ topic, text }]));
      await publisher.close();
      t.diagnostic(`the shortest delay: ${shortest.toFixed(1)} ms`);
      assert.ok(shortest < 50, `${shortest} ms`);
    }
    clients.forEach(([how, open], index) => {
      test(`an event is there within 50 ms of its publish, over ${how}`, (t) => assertIsPrompt(t, open, front.origin, topicOf(`delay.${index}`)));
    });

    test('an event is there within 50 ms of its publish, over HTTP/1.1 without TLS', async (t) => {
      const plain = await startFront(name, replicas, null);
      await assertIsPrompt(t, subscribe, plain.origin, topicOf('plain'));
      await plain.stop();
    });

    test('a page has more than six event streams, because they share one HTTP/2 connection', async () => {
      const page = await openPage(front.origin);
      await openStreams(page, topicOf('many'), 12);
      await publish(replicas[0], topicOf('many'), ['1', '2']);
      await assertEachReceives(page, ['1', '2']);
      await page.context().close();
    });

    test('a quiet stream lives longer than the idle timeout, by its heartbeats', async () => {
      const impatient = await startFront(name, replicas, certificate, { idleTimeout });
      const stream = subscribe(`${impatient.origin}/events?topic=${topicOf('quiet')}&heartbeat=event`);
      await stream.next();
      const begun = performance.now();
      while (performance.now() - begun < 2 * idleTimeoutMs) assert.equal((await stream.next()).value.event, 'bridge.heartbeat');
      await publish(replicas[0], topicOf('quiet'), ['still there']);
      assert.equal((await nextEvent(stream)).data, 'still there');
      await stream.return();
      await impatient.stop();
    });

    const prompt = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"prompt": "20 tokens, please"}' };
    const whole = Array.from({ length: 20 }, (_, index) => `t${index} `);

    // A worker that has just come is known to the other replica in a moment: until then that refuses calls.
    const post = (headers) => eventually(async () => {
      const response = await fetch(`${front.origin}/calls/chat`, { ...prompt, headers: { ...prompt.headers, ...headers } });
      return response.status !== 503 && response;
    });

    // Asks for an answer that is read elsewhere: resolves with its URL.
    async function call() {
      const { status, headers } = await post({ Prefer: 'respond-async' });
      assert.equal(status, 202);
      return new URL(headers.get('location'), `${front.origin}/calls/chat`).href;
    }

    const readers = [
      ['the POST itself', async () => eventsOf(await post())],
      ['HTTP/1.1', async () => subscribe(await call())],
      ['HTTP/2', async () => subscribeOverHttp2(await call())],
    ];
    for (const [how, open] of readers) {
      test(`an answer's event is there within 50 ms, over ${how}`, async (t) => {
        const worker = await startWorker(replicas[0].bridge.grpc, { pauseMs: 0 });
        worker.limit = 0;
        const stream = await open();
        assert.equal((await stream.next()).value.event, 'bridge.open');
        const { tokens } = await worker.next();
        assert.equal(tokens, 0);
        const delays = [];
        for (const token of whole) {
          const begun = performance.now();
          worker.limit += 1;
          assert.equal((await nextEvent(stream)).data, token);
          delays.push(performance.now() - begun);
        }
        assert.equal((await stream.next()).value.event, 'bridge.end');
        assert.equal((await stream.next()).done, true);
        t.diagnostic(`the shortest delay: ${Math.min(...delays).toFixed(1)} ms`);
        assert.ok(Math.min(...delays) < 50, `${delays} ms`);
        await worker.stop();
      });
    }

    test('a call that is cancelled reaches its worker', async () => {
      const worker = await startWorker(replicas[1].bridge.grpc);
      const url = await call();
      const taken = await worker.next();
      assert.equal((await fetch(url, { method: 'DELETE' })).status, 202);
      await eventually(() => taken.cancelled?.reason === 'CLIENT', { describe: () => 'the cancel' });
      await worker.stop();
    });

    test('an answer goes on when a replica is killed, though it was read there', async () => {
      for (const [ending, other] of [[0, 1], [1, 0]]) {
        const worker = await startWorker(replicas[other].bridge.grpc);
        worker.limit = 5;
        const page = await openPage(front.origin);
        const url = await call();
        await page.evaluate((at) => Promise.all(Array.from({ length: 6 }, () => window.openStream(at))).then(() => {}), url);
        await assertEachReceives(page, whole.slice(0, 5));
        await replicas[ending].stop('SIGKILL');
        worker.limit = Infinity;
        await assertEachReceives(page, whole);
        await page.context().close();
        await worker.stop();
        await replicas[ending].start();
      }
    });

    test('what browsers do not need is not there', async () => {
      for (const path of ['/', '/metrics', '/events/x', '/calls']) assert.equal((await fetch(front.origin + path)).status, 404, path);
      const refused = await fetch(`${front.origin}/tickets`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' });
      assert.match(refused.headers.get('content-type'), /^application\/problem\+json/);
    });

    test('ends when it is asked to, though event streams are open', async () => {
      const passing = await startFront(name, replicas, certificate);
      const stream = subscribe(`${passing.origin}/events?topic=${topicOf('passing')}`);
      await stream.next();
      await passing.stop();
      assert.ok(await stream.next().then(({ done }) => done, (error) => error.message === 'terminated'));
    });

    for (const [how, signal] of [['is killed', 'SIGKILL'], ['is asked to end', 'SIGTERM']]) {
      test(`a replica that ${how} is no final error, and costs no event`, async () => {
        const topic = topicOf(signal);
        const page = await openPage(front.origin);
        await openStreams(page, topic, 6);
        const wanted = [];
        for (const [ending, other] of [[0, 1], [1, 0]]) {
          const texts = Array.from({ length: 6 }, (_, index) => `${ending}.${index}`);
          await publish(replicas[other], topic, texts.slice(0, 3));
          await replicas[ending].stop(signal);
          await publish(replicas[other], topic, texts.slice(3));
          wanted.push(...texts);
          await assertEachReceives(page, wanted);
          await replicas[ending].start();
        }
        await page.context().close();
      });
    }

    test('no replica at all is no final error: event streams are asked to come again, and do', async () => {
      const topic = topicOf('nobody');
      const page = await openPage(front.origin);
      await openStreams(page, topic, 1);
      await publish(replicas[0], topic, ['before']);
      await assertEachReceives(page, ['before']);
      for (const replica of replicas) await replica.stop('SIGKILL');
      await eventually(() => page.evaluate(() => window.refusals.includes('unavailable')), { describe: () => 'bridge.closing {unavailable}' });
      for (const path of ['/events', '/calls/chat']) {
        const posted = await fetch(front.origin + path, { method: 'POST', body: '{"topics": ["a"]}' });
        assert.ok(posted.status >= 502 && posted.status <= 504, `POST ${path} is answered with ${posted.status}`);
      }
      const answer = await fetch(`${front.origin}/calls/AAAAAAAAAAAAAAAAAAAAAA`);
      assert.equal(answer.status, 200);
      assert.match(answer.headers.get('content-type'), /^text\/event-stream/);
      for (const replica of replicas) await replica.start();
      await publish(replicas[0], topic, ['after']);
      await assertEachReceives(page, ['before', 'after']);
      await page.context().close();
    });
  });
}

describe('without heartbeats', () => {
  let silent;
  before(async () => { silent = await startReplicas({ 'http.heartbeat': '1h' }); });
  after(() => silent && stopReplicas(silent));

  for (const name of ['nginx', 'haproxy']) {
    test(`${name} cuts a quiet stream: what the heartbeats are for`, async () => {
      const front = await startFront(name, silent, certificate, { idleTimeout });
      const stream = subscribe(`${front.origin}/events?topic=quiet`);
      await stream.next();
      const end = await stream.next().then(({ done }) => done, (error) => error.message === 'terminated');
      assert.equal(end, true);
      await front.stop();
    });
  }
});
