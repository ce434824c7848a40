// Calls from a page of another origin, in Chromium through connections that are cut: with plain fetch, with fetch-event-source, with EventSource,
// and with the code of examples/browser.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { eventually, repository, startBridge, startProxy } from '../support/bridge.mjs';
import { bundleExamples } from '../support/examples.mjs';
import { launchChromium } from '../support/page.mjs';
import { startWorker } from '../support/worker.mjs';

async function startSite(script) {
  const server = http.createServer((request, response) => {
    const isScript = request.url === '/examples.js';
    response.setHeader('Content-Type', isScript ? 'text/javascript; charset=utf-8' : 'text/html; charset=utf-8');
    response.end(isScript ? script : '<!doctype html><title>test</title><body><script src="/examples.js"></script>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { origin: `http://127.0.0.1:${server.address().port}`, port: server.address().port, stop: () => server.close() };
}

let browser;
let site;
before(async () => {
  browser = await launchChromium();
  site = await startSite(await bundleExamples());
});
after(async () => {
  site?.stop();
  await browser?.close();
});

let bridge;
let proxy;
let worker;
let page;
let requests;
// A bridge for each test, with these settings.
function useBridge(settings = {}) {
  beforeEach(async () => {
    bridge = await startBridge({ 'http.cors.allowed_origins': `["${site.origin}"]`, 'http.heartbeat': '300ms', ...settings });
    worker = await startWorker(bridge.grpc);
    proxy = await startProxy(bridge.http);
    page = await browser.newPage();
    requests = [];
    page.on('request', (request) => {
      const { pathname } = new URL(request.url());
      if (pathname.startsWith('/calls/')) requests.push({ method: request.method(), pathname, headers: request.headers() });
    });
    await visit();
  });
  afterEach(async () => {
    await page.close();
    await worker.stop();
    await proxy.stop();
    await bridge.stop();
  });
}

async function visit() {
  await page.goto(site.origin);
  await page.evaluate((target) => {
    window.target = target;
    window.text = '';
    window.end = null;
  }, `http://${proxy.address}/calls/chat`);
}

const whole = (count) => Array.from({ length: count }, (_, index) => `t${index} `).join('');
const text = () => page.evaluate(() => window.text);
const has = (tokens) => page.waitForFunction((least) => window.text.length >= least, whole(tokens).length);
async function end() {
  await page.waitForFunction(() => window.end !== null);
  return page.evaluate(() => window.end);
}
const usageOf = (call) => ({ input_tokens: call.prompt.length, output_tokens: call.tokens });

// Cuts the connection in the middle of events, three times.
async function cutAgainAndAgain() {
  for (const least of [10, 40, 70]) {
    worker.limit = least + 5;
    await has(least);
    proxy.cutAfter = () => 2000 + least * 7;
    proxy.cut();
  }
  proxy.cutAfter = () => Infinity;
  worker.limit = Infinity;
}

// Reads the answer to a POST, until `window.stop` is aborted.
const post = (prompt, query = '') =>
  page.evaluate(([asked, search]) => {
    window.stop = new AbortController();
    window.reading = (async () => {
      const response = await fetch(`${window.target}${search}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ prompt: asked }),
        signal: window.stop.signal,
      });
      window.url = new URL(response.headers.get('Location'), response.url).href;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ''; ;) {
        const { done, value } = await reader.read();
        if (done) return;
        const events = (rest + value).split('\n\n');
        rest = events.pop();
        for (const event of events) {
          const data = /^data: (.*)$/m.exec(event)?.[1];
          if (/^event: bridge\.end$/m.test(event)) window.end = JSON.parse(data);
          else if (data !== undefined && !/^event: /m.test(event)) window.text += data;
        }
      }
    })().catch((error) => { window.failure = error.name; });
  }, [prompt, query]);

// Asks with fetch-event-source, as docs/calls.md says.
const askWithLibrary = (prompt) =>
  page.evaluate((asked) => {
    let lastEventId = '';
    const stop = new AbortController();
    window.stop = stop;
    window.examples.fetchEventSource(window.target, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Idempotency-Key': `${crypto.getRandomValues(new BigUint64Array(2))}, of one call` },
      body: JSON.stringify({ prompt: asked }),
      signal: stop.signal,
      openWhenHidden: true,
      // The library counts an id whose event has not arrived as a whole, and would lose that event after a cut.
      fetch: (url, init) => fetch(url, { ...init, headers: lastEventId ? { ...init.headers, 'last-event-id': lastEventId } : init.headers }),
      async onopen(response) {
        if (!response.ok) throw new Error(String(response.status));
      },
      onmessage({ id, event, data }) {
        if (event === 'bridge.end') window.end = JSON.parse(data);
        else if (event === '' && data) window.text += data;
        lastEventId = id || lastEventId;
      },
      onclose() {
        window.closes = (window.closes ?? 0) + 1;
        if (window.end === null) throw new Error('cut');
      },
      onerror: () => 50,
    }).then(() => { window.isOver = true; });
  }, prompt);

// Asks for the URL of the answer.
const askForUrl = (prompt) =>
  page.evaluate(async (asked) => {
    const response = await fetch(window.target, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Prefer: 'respond-async' },
      body: JSON.stringify({ prompt: asked }),
    });
    const opened = await response.json();
    window.url = new URL(response.headers.get('Location'), response.url).href;
    return { status: response.status, applied: response.headers.get('Preference-Applied'), url: window.url, opened };
  }, prompt);
const readWithEventSource = () =>
  page.evaluate(() => {
    const source = new EventSource(window.url);
    window.source = source;
    source.onmessage = ({ data }) => { window.text += data; };
    source.addEventListener('bridge.end', ({ data }) => { window.end = JSON.parse(data); });
  });

describe('plain fetch', () => {
  useBridge();

  test('reads an answer to its end', async () => {
    await post('30 tokens, please');
    const call = await worker.next();
    assert.deepEqual(await end(), { status: 'ok', code: 0, message: '', usage: usageOf(call) });
    assert.equal(await text(), whole(30));
    await page.evaluate(() => window.reading);
    assert.equal(await page.evaluate(() => window.failure), undefined);
  });

  test('stops the worker by DELETE, and reads what it used', async () => {
    await post('99999 tokens, please');
    const call = await worker.next();
    await has(10);
    assert.equal(await page.evaluate(async () => (await fetch(window.url, { method: 'DELETE' })).status), 202);
    assert.deepEqual(await end(), { status: 'cancelled', code: 1, message: 'cancelled by the client', usage: usageOf(call) });
    assert.equal(call.cancelled.reason, 'CLIENT');
    assert.equal(await text(), whole(call.tokens));
    assert.equal(await page.evaluate(async () => (await fetch(window.url, { method: 'DELETE' })).status), 200);
  });

  test('is refused from an origin that is not allowed, before a worker hears of it', async () => {
    await page.goto(`http://localhost:${site.port}`);
    const results = await page.evaluate(async (target) => {
      const results = [];
      for (const type of ['text/plain', 'application/json']) {
        await fetch(target, { method: 'POST', headers: { 'Content-Type': type }, body: '{"prompt": "1 token"}' })
          .then(() => results.push('read'), () => results.push('failed'));
      }
      // Sent without asking, and answered without being read.
      await fetch(target, { method: 'POST', mode: 'no-cors', body: '{"prompt": "1 token"}' }).then(() => results.push('opaque'));
      return results;
    }, `http://${proxy.address}/calls/chat`);
    assert.deepEqual(results, ['failed', 'failed', 'opaque']);
    const own = await fetch(`http://${bridge.http}/calls/chat`, { method: 'POST', body: '{"prompt": "1 token"}' });
    await own.text();
    assert.equal(worker.calls.length, 1);
  });
});

describe('fetch-event-source', () => {
  useBridge();

  test('makes one call of however many POSTs, without loss or repeat', async () => {
    await askWithLibrary('150 tokens, please');
    const call = await worker.next();
    await cutAgainAndAgain();
    assert.deepEqual(await end(), { status: 'ok', code: 0, message: '', usage: usageOf(call) });
    assert.equal(await text(), whole(150));
    await page.waitForFunction(() => window.isOver);
    assert.equal(worker.calls.length, 1);
    const posts = requests.filter(({ method }) => method === 'POST');
    assert.ok(posts.length >= 4);
    assert.equal(new Set(posts.map(({ headers }) => headers['idempotency-key'])).size, 1);
    assert.ok(posts.at(-1).headers['last-event-id']);
  });

  test('is given the end again when that was lost on the way', async () => {
    worker.tokensOf = () => ['only'];
    await askWithLibrary('hello');
    const call = await worker.next();
    await end();
    const { id } = call;
    const whole = await (await fetch(`http://${bridge.http}/calls/${id}`)).text();
    const key = requests.find(({ method }) => method === 'POST').headers['idempotency-key'];
    const lastId = /id: (\S+)\n\n$/.exec(whole)[1];
    const again = await fetch(`http://${bridge.http}/calls/chat`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Idempotency-Key': key, 'Last-Event-ID': lastId },
      body: JSON.stringify({ prompt: 'hello' }),
    });
    assert.equal(again.status, 200);
    assert.match(await again.text(), /event: bridge\.end\n/);
    assert.equal(worker.calls.length, 1);
  });

});

describe("EventSource on a 202's URL", () => {
  useBridge();

  test('reads the answer through cuts, and stays away after the end', async () => {
    const { status, applied, url, opened } = await askForUrl('150 tokens, please');
    const call = await worker.next();
    assert.equal(status, 202);
    assert.equal(applied, 'respond-async');
    assert.equal(opened.call_id, call.id);
    assert.equal(url, `http://${proxy.address}/calls/${call.id}`);
    await readWithEventSource();
    await cutAgainAndAgain();
    assert.deepEqual(await end(), { status: 'ok', code: 0, message: '', usage: usageOf(call) });
    assert.equal(await text(), whole(150));
    await page.waitForFunction(() => window.source.readyState === EventSource.CLOSED);  // by the 204
    assert.equal(await text(), whole(150));
    assert.equal(worker.calls.length, 1);
  });

  test('stops by DELETE, and has the end', async () => {
    await askForUrl('99999 tokens, please');
    const call = await worker.next();
    await readWithEventSource();
    await has(10);
    await page.evaluate(() => fetch(window.url, { method: 'DELETE' }));
    assert.deepEqual(await end(), { status: 'cancelled', code: 1, message: 'cancelled by the client', usage: usageOf(call) });
    assert.equal(await text(), whole(call.tokens));
  });

});

describe('an answer that nobody reads any more', () => {
  const GRACE_MS = 1000;
  useBridge({ 'calls.grace': `${GRACE_MS}ms` });

  async function assertStopsAfterGrace(call, sinceMs) {
    await eventually(() => call.isOver);
    assert.equal(call.cancelled.reason, 'ABANDONED');
    const delayMs = call.cancelled.at - sinceMs;
    assert.ok(delayMs > 0.8 * GRACE_MS && delayMs < GRACE_MS + 6000, `after ${delayMs} ms`);
  }

  test('goes on for the grace when fetch is aborted', async () => {
    await post('99999 tokens, please');
    const call = await worker.next();
    await has(10);
    const abortedAt = performance.now();
    await page.evaluate(() => window.stop.abort());
    await assertStopsAfterGrace(call, abortedAt);
    assert.equal(await page.evaluate(() => window.failure), 'AbortError');
  });

  test('ends at once when fetch is aborted, if it has asked for that', async () => {
    await post('99999 tokens, please', '?on_disconnect=cancel');
    const call = await worker.next();
    await has(10);
    const abortedAt = performance.now();
    await page.evaluate(() => window.stop.abort());
    await eventually(() => call.cancelled);
    assert.ok(call.cancelled.at - abortedAt < 0.8 * GRACE_MS);
  });

  test('goes on for the grace when fetch-event-source is aborted', async () => {
    await askWithLibrary('99999 tokens, please');
    const call = await worker.next();
    await has(10);
    const abortedAt = performance.now();
    await page.evaluate(() => window.stop.abort());
    await assertStopsAfterGrace(call, abortedAt);
  });

  test('goes on for the grace when the EventSource is closed', async () => {
    await askForUrl('99999 tokens, please');
    const call = await worker.next();
    await readWithEventSource();
    await has(10);
    const closedAt = performance.now();
    await page.evaluate(() => window.source.close());
    await assertStopsAfterGrace(call, closedAt);
  });

  test('goes on for the grace after a 202, when no EventSource comes', async () => {
    const askedAt = performance.now();
    await askForUrl('99999 tokens, please');
    await assertStopsAfterGrace(await worker.next(), askedAt);
  });
});

describe('examples/browser/call.js', () => {
  useBridge();

  const open = (prompt, known = {}) =>
    page.evaluate(([asked, options]) => {
      window.text = '';
      window.end = null;
      window.states = [];
      window.call = new window.examples.Call(window.target, {
        ...options,
        body: JSON.stringify({ prompt: asked }),
        onEvent: ({ data }) => { window.text += data; },
        onState: (state) => window.states.push(state),
      });
    }, [prompt, known]);
  const read = () =>
    page.evaluate(() => {
      window.call.read().then((end) => { window.end = end; }, ({ name, status, message }) => { window.end = { name, status, message }; });
    });

  test('is what the page uses', async () => {
    assert.equal(await readFile(`${repository}examples/browser/call.js`, 'utf8'), await readFile(`${repository}bridge/web/call.js`, 'utf8'));
  });

  test('goes on through cuts, without loss or repeat', async () => {
    await open('150 tokens, please');
    await read();
    const call = await worker.next();
    await cutAgainAndAgain();
    assert.deepEqual(await end(), { status: 'ok', code: 0, message: '', usage: usageOf(call) });
    assert.equal(await text(), whole(150));
    assert.equal(requests.filter(({ method }) => method === 'POST').length, 1);
  });

  test('cancels, also before the bridge has answered', async () => {
    await open('99999 tokens, please');
    await read();
    const call = await worker.next();
    await has(10);
    await page.evaluate(() => window.call.cancel());
    assert.equal((await end()).status, 'cancelled');
    assert.equal(await text(), whole(call.tokens));

    await open('99999 tokens, please');
    await page.evaluate(() => {
      window.call.read().then((end) => { window.end = end; });
      window.call.cancel();
    });
    assert.equal((await end()).status, 'cancelled');
    assert.equal((await worker.next()).cancelled.reason, 'CLIENT');
  });

  test('gives up a call that has reached nobody when it is cancelled', async () => {
    proxy.target = '127.0.0.1:1';  // nobody is there
    await open('1 token, please');
    await page.evaluate(() => { window.call.read().then((end) => { window.end = String(end); }); });
    await page.waitForFunction(() => window.states.at(-1) === 'waiting');
    await page.evaluate(() => window.call.cancel());
    assert.equal(await end(), 'null');
  });

  test('goes on where it was after leave(), and anew with what it keeps', async () => {
    worker.limit = 20;
    await open('200 tokens, please');
    await read();
    await has(20);
    await page.evaluate(() => window.call.leave());
    worker.limit = 60;
    await read();
    await has(60);
    assert.equal(await text(), whole(60));
    worker.limit = Infinity;
    const { key, url } = await page.evaluate(() => ({ key: window.call.key, url: window.call.url }));
    await visit();
    await open('200 tokens, please', { key, url });
    await read();
    assert.equal((await end()).status, 'ok');
    assert.equal(await text(), whole(200));
    await open('200 tokens, please', { key });  // the page was reloaded before it knew the URL
    await read();
    assert.equal((await end()).status, 'ok');
    assert.equal(await text(), whole(200));
    assert.equal(worker.calls.length, 1);
  });

  test('says why it is refused, and reads when called again', async () => {
    await worker.stop();
    await open('5 tokens, please');
    await read();
    const refusal = await end();
    assert.equal(refusal.status, 503);
    worker = await startWorker(bridge.grpc);
    await page.evaluate(() => { window.end = null; });
    await read();
    assert.equal((await end()).status, 'ok');
  });

  test('waits for what passes on the way: a gateway that has no bridge', async () => {
    const gateway = http.createServer((request, response) => response.writeHead(502, { Connection: 'close' }).end());
    gateway.listen(0, '127.0.0.1');
    await once(gateway, 'listening');
    proxy.target = `127.0.0.1:${gateway.address().port}`;
    await open('20 tokens, please');
    await read();
    await page.waitForFunction(() => window.states.filter((state) => state === 'waiting').length >= 2);
    proxy.target = bridge.http;
    proxy.cut();
    assert.equal((await end()).status, 'ok');
    assert.equal(await text(), whole(20));
    gateway.close();
  });
});
