// Tokens, tickets and cookies in Chromium: the code of examples/browser against a bridge that wants to know who asks, through connections that
// are cut and tokens that end.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { chromium } from 'playwright-core';

import { connectPublisher, createKeys, eventually, startBridge, startProxy } from '../support/bridge.mjs';
import { bundleExamples } from '../support/examples.mjs';

const keys = createKeys();
const subscribeTo = ['orders.>'];

// The application's own server, of another origin than the bridge's: it serves the page, and gives it access tokens.
async function startSite(script) {
  const site = { lifetimeSeconds: 3600, tokens: 0, isAway: false, stop: () => server.close() };
  const server = http.createServer((request, response) => {
    if (request.url === '/token') {
      site.tokens += 1;
      response.writeHead(site.isAway ? 503 : 200).end(keys.token({ subscribe: subscribeTo, lifetimeSeconds: site.lifetimeSeconds }));
      return;
    }
    const isScript = request.url === '/examples.js';
    response.setHeader('Content-Type', isScript ? 'text/javascript; charset=utf-8' : 'text/html; charset=utf-8');
    response.end(isScript ? script : '<!doctype html><title>test</title><body><script src="/examples.js"></script>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  site.origin = `http://127.0.0.1:${server.address().port}`;
  return site;
}

let browser;
let script;
before(async () => {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
  script = await bundleExamples();
});
after(() => browser?.close());

let site;
let bridge;
let proxy;
let publisher;
let page;
beforeEach(async () => {
  site = await startSite(script);
  bridge = await startBridge({
    ...keys.settings,
    'auth.jwt.cookie': 'session',
    'http.cors.allowed_origins': `["${site.origin}"]`,
    'http.cors.allow_credentials': 'true',
    'http.heartbeat': '200ms',
  });
  proxy = await startProxy(bridge.http);
  publisher = connectPublisher(bridge.grpc);
  page = await browser.newPage();
  await page.goto(site.origin);
  await page.evaluate((address) => {
    window.bridge = `http://${address}`;
    window.received = [];
    window.states = [];
    window.handlers = {
      onEvent: ({ data }) => window.received.push(data),
      onGap: (gap) => window.received.push(gap),
      onState: (state) => window.states.push(state),
    };
    window.freshToken = async () => {
      const response = await fetch('/token');
      if (!response.ok) throw new Error('no token');
      return response.text();
    };
  }, proxy.address);
});
afterEach(async () => {
  await page.close();
  await publisher.close();
  await proxy.stop();
  await bridge.stop();
  site.stop();
});

const openWithTickets = () =>
  page.evaluate(() => {
    const { openEventStream, takeTicket } = window.examples;
    window.close = openEventStream(`${window.bridge}/events?topic=orders.>`, {
      ...window.handlers,
      ticket: async () => takeTicket(`${window.bridge}/tickets`, await window.freshToken()),
      minDelayMs: 50,
    });
  });
// Components that show the state of their stream.
const openInReact = () =>
  page.evaluate(() => {
    const { createElement, createRoot, takeTicket, useInReact } = window.examples;
    function Probe() {
      const state = useInReact(`${window.bridge}/events?topic=orders.>`, {
        onEvent: (event) => window.handlers.onEvent(event),
        ticket: async () => takeTicket(`${window.bridge}/tickets`, await window.freshToken()),
      });
      if (window.states.at(-1) !== state) window.handlers.onState(state);
      return createElement('p', null, state);
    }
    const root = createRoot(document.body.appendChild(document.createElement('div')));
    root.render(createElement(Probe));
    window.close = () => root.unmount();
  });
const openInVue = () =>
  page.evaluate(() => {
    const { createApp, h, takeTicket, useInVue } = window.examples;
    const app = createApp({
      setup() {
        const { state } = useInVue(`${window.bridge}/events?topic=orders.>`, {
          onEvent: window.handlers.onEvent,
          ticket: async () => takeTicket(`${window.bridge}/tickets`, await window.freshToken()),
        });
        return () => {
          if (window.states.at(-1) !== state.value) window.handlers.onState(state.value);
          return h('p', state.value);
        };
      },
    });
    app.mount(document.body.appendChild(document.createElement('div')));
    window.close = () => app.unmount();
  });
const openWithHeader = () =>
  page.evaluate(() => {
    window.examples.openFetchStream(`${window.bridge}/events`, { ...window.handlers, topics: ['orders.>'], token: window.freshToken });
  });

const state = (value) => eventually(async () => (await page.evaluate(() => window.states.at(-1))) === value, { describe: () => `state ${value}` });

let published = 0;
async function publish(count) {
  const texts = Array.from({ length: count }, () => String((published += 1)));
  for (const text of texts) await publisher.publish([{ topic: `orders.${text}`, text }]);
  return texts;
}

async function assertReceives(wanted) {
  const received = () => page.evaluate(() => window.received);
  await eventually(async () => (await received()).length >= wanted.length, { describe: () => `${wanted.length} events` });
  assert.deepEqual(await received(), wanted);
}

// Publishes until so many streams have ended with their token, or were left because it was about to.
async function publishThrough(tokens) {
  const wanted = [];
  const until = site.tokens + tokens;
  await eventually(async () => {
    wanted.push(...await publish(1));
    await sleep(20);  // the rate at which it publishes
    return site.tokens >= until;
  });
  wanted.push(...await publish(3));
  return wanted;
}

const metric = async (name) => {
  const text = await (await fetch(`http://${bridge.admin}/metrics`)).text();
  return Number(text.split('\n').find((line) => line.startsWith(`${name} `))?.split(' ')[1] ?? 0);
};
const areAllLeft = () => eventually(async () => (await metric('sse_bridge_event_streams')) === 0, { describe: () => 'no stream is open' });
const expired = () => metric('sse_bridge_event_streams_closed_total{reason="token_expired"}');

for (const [name, open] of [['event-source.js', openWithTickets], ['the React hook', openInReact], ['the Vue composable', openInVue]]) {
  test(`${name} takes a ticket for each stream, and goes on after cuts`, async () => {
    await open();
    await state('open');
    const wanted = [];
    for (let cuts = 0; cuts < 4; cuts += 1) {
      wanted.push(...await publish(5));
      if (cuts % 2 === 0) await assertReceives(wanted);
      proxy.cut();
      wanted.push(...await publish(5));
    }
    await assertReceives(wanted);
    assert.ok(await metric('sse_bridge_tickets_made_total') > 1);
    assert.equal(await metric('sse_bridge_event_streams_refused_total{reason="unauthenticated"}'), 0, 'no used ticket was shown again');
    await page.evaluate(() => window.close());
    await areAllLeft();
  });

  test(`${name} renews before its token ends, and misses nothing`, async () => {
    site.lifetimeSeconds = 4;
    await open();
    await state('open');
    await assertReceives(await publishThrough(3));
    assert.equal(await expired(), 0);
    assert.equal(await page.evaluate(() => window.states.filter((value) => value === 'connecting').length), 1, 'it was open all the time');
  });
}

test('event-source.js goes on exactly when it gets a token only after the last one has ended', async () => {
  site.lifetimeSeconds = 2;
  await openWithTickets();
  await state('open');
  const wanted = await publish(3);
  site.isAway = true;
  await eventually(async () => {
    wanted.push(...await publish(1));
    await sleep(20);  // the rate at which it publishes
    return (await expired()) === 1;
  });
  await state('connecting');
  wanted.push(...await publish(3));
  site.isAway = false;
  site.lifetimeSeconds = 3600;
  await state('open');
  wanted.push(...await publish(3));
  await assertReceives(wanted);
});

test("a ticket that was used is final for the browser's own reconnect", async () => {
  await page.evaluate(async () => {
    const ticket = await window.examples.takeTicket(`${window.bridge}/tickets`, await window.freshToken());
    window.source = new EventSource(`${window.bridge}/events?topic=orders.1&ticket=${ticket}`);
    await new Promise((resolve) => { window.source.addEventListener('bridge.open', resolve); });
  });
  proxy.cut();
  await eventually(() => page.evaluate(() => window.source.readyState === EventSource.CLOSED));
});

test('fetch-event-source.js shows a new token before the last one ends, and misses nothing', async () => {
  site.lifetimeSeconds = 4;
  await openWithHeader();
  await state('open');
  await assertReceives(await publishThrough(3));
  assert.equal(await expired(), 0);
  await eventually(async () => (await metric('sse_bridge_event_streams')) === 1, { describe: () => 'one stream is left' });
});

test('a page of the same site needs no more than its cookie', async () => {
  await page.context().addCookies([{ name: 'session', value: keys.token({ subscribe: subscribeTo }), domain: '127.0.0.1', path: '/' }]);
  await page.evaluate(() => {
    window.source = new EventSource(`${window.bridge}/events?topic=orders.>`, { withCredentials: true });
    window.source.onmessage = window.handlers.onEvent;
    window.source.onopen = () => window.states.push('open');
  });
  await state('open');
  const wanted = await publish(3);
  await assertReceives(wanted);
  proxy.cut();  // its own reconnect shows the cookie again
  wanted.push(...await publish(3));
  await assertReceives(wanted);
  assert.match(await page.evaluate(() => window.examples.takeTicket(`${window.bridge}/tickets`)), /^[\w-]+\.[\w-]+\.[\w-]+$/);
});

test('what the bridge has to say about a token can be read from another origin', async () => {
  const [reason, challenge] = await page.evaluate(async () => {
    const message = await window.examples.takeTicket(`${window.bridge}/tickets`, 'nonsense').catch((error) => error.message);
    const response = await fetch(`${window.bridge}/events?topic=orders.1`, { headers: { Authorization: 'Bearer nonsense' } });
    return [message, response.headers.get('WWW-Authenticate')];
  });
  assert.match(reason, /^401: .*token/);
  assert.match(challenge, /^Bearer realm="grpc-sse-bridge", error="invalid_token", error_description="/);
});
