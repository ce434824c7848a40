// Chromium's own EventSource and fetch, and the code of examples/browser in it, against the real bridge through connections that are cut.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, beforeEach, afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { chromium } from 'playwright-core';

import { connectPublisher, eventually, startBridge, startProxy } from '../support/bridge.mjs';
import { bundleExamples } from '../support/examples.mjs';

// A web site of another origin than the bridge's, as pages usually have.
async function startSite(script) {
  const site = http.createServer((request, response) => {
    const isScript = request.url === '/examples.js';
    response.setHeader('Content-Type', isScript ? 'text/javascript; charset=utf-8' : 'text/html; charset=utf-8');
    response.end(isScript ? script : '<!doctype html><title>test</title><body><script src="/examples.js"></script>');
  });
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  return { origin: `http://127.0.0.1:${site.address().port}`, port: site.address().port, stop: () => site.close() };
}

// What a load balancer without a healthy replica answers; `askedAt` are the times of requests but for preflights, which it allows.
async function startBadGateway(headers = {}) {
  const askedAt = [];
  const allowed = { 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Headers': '*, Authorization', 'Access-Control-Expose-Headers': '*' };
  const server = http.createServer(({ method }, response) => {
    if (method !== 'OPTIONS') askedAt.push(performance.now());
    response.writeHead(method === 'OPTIONS' ? 204 : 502, { Connection: 'close', ...allowed, ...headers }).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { address: `127.0.0.1:${server.address().port}`, askedAt, stop: () => server.close() };
}

let browser;
let site;
before(async () => {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
  site = await startSite(await bundleExamples());
});
after(async () => {
  site?.stop();
  await browser?.close();
});

const settings = () => ({
  'http.cors.allowed_origins': `["${site.origin}"]`,
  'http.cors.allow_credentials': 'true',
  'http.heartbeat': '200ms',
});

let bridge;
let proxy;
let publisher;
let page;
beforeEach(async () => {
  bridge = await startBridge(settings());
  proxy = await startProxy(bridge.http);
  publisher = connectPublisher(bridge.grpc);
  page = await browser.newPage();
  await page.goto(site.origin);
  await page.evaluate(() => {
    window.received = [];
    window.note = ({ type, lastEventId: id, data }) => window.received.push({ type, id, data });
  });
});
afterEach(async () => {
  await page.close();
  await publisher.close();
  await proxy.stop();
  await bridge.stop();
});

const types = ['message', 'update', 'notification'];
const url = (query = 'topic=orders.>') => `http://${proxy.address}/events?${query}`;

// Opens an EventSource that notes what it gets of these types and of the control events.
const openNative = (query, init = {}) =>
  page.evaluate(
    ([target, options, names]) => {
      window.source = new EventSource(target, options);
      for (const name of names) window.source.addEventListener(name, window.note);
    },
    [url(query), init, [...types, 'bridge.open', 'bridge.gap', 'bridge.closing']],
  );

const received = () => page.evaluate(() => window.received);
const events = async () => (await received()).filter(({ type }) => !type.startsWith('bridge.'));
const waitFor = (type, count = 1) =>
  eventually(async () => (await received()).filter((event) => event.type === type).length >= count, { describe: () => `${count} of ${type}` });

// Publishes `count` events, and says what a subscriber gets for them.
let published = 0;
async function publish(count, through = publisher) {
  const wanted = [];
  for (let index = 0; index < count; index += 1) {
    published += 1;
    const event = { topic: `orders.${published % 3}`, type: types[published % types.length], text: `${published}\nžluť 🦄` };
    const [ack] = await through.publish([event]);
    wanted.push({ type: event.type, id: ack.first_id, data: event.text });
  }
  return wanted;
}

async function assertReceives(wanted) {
  await eventually(async () => (await events()).length >= wanted.length, { describe: () => `${wanted.length} events` });
  assert.deepEqual(await events(), wanted);
}

describe("Chromium's EventSource", () => {
  test('receives custom events with id, lines and UTF-8', async () => {
    await openNative();
    await waitFor('bridge.open');
    await assertReceives(await publish(9));
  });

  test('goes on after the last event when its connection is cut', async () => {
    await openNative();
    await waitFor('bridge.open');
    const wanted = [];
    for (let cuts = 0; cuts < 4; cuts += 1) {
      wanted.push(...await publish(5));
      if (cuts % 2 === 0) await assertReceives(wanted);
      proxy.cut();
      wanted.push(...await publish(5));
    }
    await assertReceives(wanted);
    await waitFor('bridge.open', 2);
  });

  test('loses nothing when it is cut before its first event, right after bridge.open', async () => {
    await openNative();
    await waitFor('bridge.open');
    proxy.cut();
    const wanted = await publish(5);
    await waitFor('bridge.open', 2);
    await assertReceives(wanted);
  });

  test('is told the gap when the bridge was stopped and started, and goes on', async () => {
    await openNative();
    await waitFor('bridge.open');
    const before = await publish(5);
    await eventually(async () => (await events()).length > 0);
    const { http: address } = bridge;
    await publisher.close();
    await bridge.stop();
    bridge = await startBridge({ ...settings(), 'http.address': address });
    publisher = connectPublisher(bridge.grpc);
    const afterwards = await publish(5);
    await waitFor('bridge.gap');
    const gaps = (await received()).filter(({ type }) => type === 'bridge.gap').map(({ data }) => JSON.parse(data));
    assert.deepEqual(gaps.map(({ reason, requested }) => [reason, requested]), [['epoch', before.at(-1).id]]);
    await eventually(async () => (await events()).at(-1).id === afterwards.at(-1).id);
    assert.deepEqual((await events()).slice(-5), afterwards);
  });

  test('reads another origin with credentials, where that origin is allowed', async () => {
    await openNative('topic=orders.>', { withCredentials: true });
    await waitFor('bridge.open');
    await assertReceives(await publish(2));
  });

  test('is not let in from an origin that is not allowed', async () => {
    await page.goto(`http://localhost:${site.port}`);
    const readyState = await page.evaluate(
      (target) =>
        new Promise((resolve) => {
          const source = new EventSource(target);
          source.onerror = () => resolve(source.readyState);
          source.onopen = () => resolve('open');
        }),
      url(),
    );
    assert.equal(readyState, 2);
  });
});

describe("Chromium's fetch", () => {
  // Sends JSON with an Authorization header, which takes a preflight, and reads the answer up to `until`.
  const post = (body, until) =>
    page.evaluate(
      async ([target, json, end]) => {
        const response = await fetch(target, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json', Authorization: 'Bearer token', 'Last-Event-ID': '' },
          body: json,
        });
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        let text = '';
        while (end === null || !text.includes(end)) {
          const { value, done } = await reader.read();
          if (done) break;
          text += value;
        }
        await reader.cancel();
        return { status: response.status, type: response.headers.get('Content-Type'), text };
      },
      [url().split('?')[0], JSON.stringify(body), until],
    );

  test('posts from another origin and reads the stream', async () => {
    const [first, second] = await publish(2);
    const { status, type, text } = await post({ topics: ['orders.>'], last_event_id: first.id }, second.id);
    assert.equal(status, 200);
    assert.equal(type, 'text/event-stream');
    assert.match(text, /event: bridge\.open/);
    assert.ok(!text.includes(`data: ${first.data.split('\n')[0]}\n`));
    assert.ok(text.includes(`data: ${second.data.split('\n')[0]}\n`));
  });

  test('reads from another origin what is wrong with its request', async () => {
    const { status, type, text } = await post({ topics: ['orders..x'] }, null);
    assert.equal(status, 400);
    assert.match(type, /^application\/problem\+json/);
    assert.match(JSON.parse(text).detail, /orders\.\.x/);
  });
});

describe('examples/browser', () => {
  // Runs `open` in the page with the stream's url, the types, and handlers that note what happens.
  const openExample = (open, options = {}) =>
    page.evaluate(
      ([source, target, names, extra]) => {
        window.states = [];
        window.gaps = [];
        const handlers = { onEvent: window.note, onGap: (gap) => window.gaps.push(gap), onState: (state) => window.states.push(state) };
        // The function comes as text, as all that goes to a page does.
        window.close = new Function(`return (${source})`)()(target, { types: names, ...handlers, ...extra });
      },
      [open.toString(), url(options.query), options.types ?? types, options.extra ?? {}],
    );
  const state = (value) => eventually(async () => (await page.evaluate(() => window.states.at(-1))) === value, { describe: () => `state ${value}` });

  // What is published after the close does not arrive.
  const assertCloses = async (wanted) => {
    await page.evaluate(() => window.close());
    await publish(1);
    assert.deepEqual(await events(), wanted);
  };

  const openWrapper = (target, options) => window.examples.openEventStream(target, options);

  test('event-source.js comes back after a final error, and misses nothing', async () => {
    await openExample(openWrapper, { extra: { minDelayMs: 50 } });
    await state('open');
    const wanted = await publish(3);
    await assertReceives(wanted);
    const gateway = await startBadGateway();
    const bridgeAddress = proxy.target;
    proxy.target = gateway.address;
    const before = proxy.accepted;
    proxy.cut();
    wanted.push(...await publish(3));
    await state('connecting');
    await eventually(() => proxy.accepted > before + 2);
    proxy.target = bridgeAddress;
    await state('open');
    wanted.push(...await publish(3));
    await assertReceives(wanted);
    gateway.stop();
  });

  test('event-source.js notices a dead network by the heartbeats that stay away', async () => {
    await openExample(openWrapper, { extra: { minDelayMs: 50 } });
    await state('open');
    const wanted = await publish(2);
    await assertReceives(wanted);
    proxy.isFrozen = true;
    wanted.push(...await publish(2));
    await state('connecting');
    proxy.isFrozen = false;
    await assertReceives(wanted);
  });

  test('event-source.js stays closed when a handler closes it', async () => {
    await openExample((target, { onState, ...options }) => {
      const close = window.examples.openEventStream(target, {
        ...options,
        onState(value) {
          const isLost = value === 'connecting' && window.states.at(-1) === 'open';
          onState(value);
          if (isLost) close();
        },
      });
      return close;
    }, { extra: { minDelayMs: 1 } });
    await state('open');
    const gateway = await startBadGateway();
    proxy.target = gateway.address;
    proxy.cut();
    await state('connecting');
    const before = proxy.accepted;
    await sleep(300);  // what would still come has had the time to
    assert.equal(proxy.accepted, before);
    gateway.stop();
  });

  test('event-source.js tells a gap, and ends when it is told to', async () => {
    await openExample(openWrapper, { query: 'topic=orders.>&last_event_id=1-1' });
    await eventually(() => page.evaluate(() => window.gaps.length === 1));
    assert.equal(await page.evaluate(() => window.gaps[0].reason), 'epoch');
    await assertCloses([]);
  });

  test('fetch-event-source.js sends a token, and resumes after cuts and after a clean end', async () => {
    await openExample((target, { onEvent, ...options }) => {
      window.tokens = 0;
      const stop = new AbortController();
      window.examples.openFetchStream(target.split('?')[0], {
        ...options,
        topics: ['orders.>'],
        token: () => `token ${(window.tokens += 1)}`,
        onEvent: ({ event, id, data }) => onEvent({ type: event || 'message', lastEventId: id, data }),
        signal: stop.signal,
      });
      return () => stop.abort();
    });
    await state('open');
    const wanted = await publish(3);
    await assertReceives(wanted);
    proxy.cut();
    wanted.push(...await publish(3));
    await assertReceives(wanted);
    assert.ok(await page.evaluate(() => window.tokens) > 1);

    const { http: address } = bridge;
    await publisher.close();
    await bridge.stop();  // ends the stream cleanly
    bridge = await startBridge({ ...settings(), 'http.address': address });
    publisher = connectPublisher(bridge.grpc);
    await eventually(() => page.evaluate(() => window.gaps.length === 1));
    wanted.push(...await publish(1));
    await assertReceives(wanted);
  });

  const openFetch = (target, { types: names, onEvent, ...options }) => {
    const stop = new AbortController();
    window.examples.openFetchStream(target.split('?')[0], {
      ...options,
      topics: ['orders.>'],
      token: () => 'a token',
      onEvent({ event, id, data }) {
        onEvent({ type: event || 'message', lastEventId: id, data });
        if (names.length === 0) throw new Error('of a handler');
      },
      signal: stop.signal,
    });
    return () => stop.abort();
  };

  test('fetch-event-source.js reads on when a handler throws, and hands on events without text', async () => {
    const errors = [];
    page.on('pageerror', ({ message }) => errors.push(message));
    await openExample(openFetch, { types: [] });
    await state('open');
    const before = proxy.accepted;
    const wanted = [];
    for (const [type, text] of [['update', 'x'], ['update', ''], ['message', ''], ['message', 'y']]) {
      const [ack] = await publisher.publish([{ topic: 'orders.1', type, text }]);
      wanted.push({ type, id: ack.first_id, data: text });
    }
    await assertReceives(wanted);
    assert.equal(proxy.accepted, before);
    assert.deepEqual(errors, Array(4).fill('of a handler'));
  });

  test('fetch-event-source.js takes its time where Retry-After is a date', async () => {
    const gateway = await startBadGateway({ 'Retry-After': new Date().toUTCString() });
    proxy.target = gateway.address;
    await openExample(openFetch);
    await eventually(() => gateway.askedAt.length >= 3);
    const [first, second, third] = gateway.askedAt;
    assert.ok(second - first > 200 && third - second > 200, gateway.askedAt.join());
    gateway.stop();
  });

  test('fetch-event-source.js ends with the reason when it is refused for good', async () => {
    const message = await page.evaluate(
      (target) => window.examples.openFetchStream(target, { topics: ['a..b'], token: () => '', onEvent() {} }).catch((error) => error.message),
      url().split('?')[0],
    );
    assert.match(message, /^400: .*a\.\.b/);
  });

  test('the React hook holds a stream while its component is mounted', async () => {
    await openExample((target, { types: names, onEvent, onState }) => {
      const { createElement, createRoot, useInReact } = window.examples;
      function Probe({ topic }) {
        const current = useInReact(`${target}&topic=${topic}`, { types: names, onEvent: (event) => onEvent(event) });
        onState(current);
        return createElement('p', null, current);
      }
      const root = createRoot(document.body.appendChild(document.createElement('div')));
      window.render = (topic) => root.render(createElement(Probe, { topic }));
      window.render('a');
      return () => root.unmount();
    });
    await state('open');
    const wanted = await publish(3);
    await assertReceives(wanted);
    const before = proxy.accepted;
    await page.evaluate(() => window.render('a'));
    wanted.push(...await publish(1));
    await assertReceives(wanted);
    assert.equal(proxy.accepted, before, 'a new render opened a new stream');
    await page.evaluate(() => window.render('b'));
    await eventually(() => proxy.accepted > before);
    await assertCloses(wanted);
  });

  test('the Vue composable holds a stream while its component is mounted, and follows its url', async () => {
    await openExample((target, { types: names, onEvent, onState }) => {
      const { createApp, h, ref, useInVue } = window.examples;
      window.topic = ref('a');
      const app = createApp({
        setup() {
          const { state: current } = useInVue(() => `${target}&topic=${window.topic.value}`, { types: names, onEvent });
          return () => {
            onState(current.value);
            return h('p', current.value);
          };
        },
      });
      app.mount(document.body.appendChild(document.createElement('div')));
      return () => app.unmount();
    });
    await state('open');
    const wanted = await publish(3);
    await assertReceives(wanted);
    const before = proxy.accepted;
    await page.evaluate(() => { window.topic.value = 'b'; });
    await eventually(() => proxy.accepted > before);
    await state('open');
    await assertCloses(wanted);
  });

  test('the Vue composable opens no other stream for what ticket() looks at', async () => {
    const counts = await page.evaluate(async (target) => {
      const { createApp, h, ref, useInVue } = window.examples;
      const token = ref('a');
      const taken = [];
      const app = createApp({
        setup() {
          useInVue(target, { ticket: async () => { taken.push(token.value); } });
          return () => h('p');
        },
      });
      app.mount(document.body.appendChild(document.createElement('div')));
      const before = taken.length;
      token.value = 'b';
      await new Promise((resolve) => { setTimeout(resolve, 0); });  // Vue has seen the change
      app.unmount();
      return [before, taken.length];
    }, url());
    assert.deepEqual(counts, [1, 1]);
  });
});
