// docker-compose.yml as it stands: what Chromium sees through the proxy while bridges and NATS are killed.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import https from 'node:https';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import { chromium } from 'playwright-core';

import { connectPublisher, eventually, repository } from '../support/bridge.mjs';
import { becomesHealthy } from '../support/docker.mjs';

const outageMs = 10_000;
// As many events of the demo as it publishes in some seconds.
const someEvents = 40;

const [program, ...options] = (() => {
  try {
    execFileSync('docker', ['compose', 'version'], { stdio: 'ignore' });
    return ['docker', 'compose'];
  } catch {
    return ['docker-compose'];
  }
})();

async function compose(...args) {
  const { stdout } = await promisify(execFile)(program, [...options, '--project-name', 'bridge-test', ...args], { cwd: repository });
  return stdout.trimEnd();
}

const healthy = async (service) => becomesHealthy(await compose('ps', '--quiet', service));

let browser;
let page;
before(async () => {
  await compose('up', '--detach', '--no-build');
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
  page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
}, { timeout: 180_000 });
after(async () => {
  await browser?.close();
  await compose('down', '--volumes');
}, { timeout: 60_000 });

// In the page: an EventSource, and what it sees of the demo's series, in each of which `n` counts without a hole.
function observe() {
  const seen = { events: 0, wrong: [], opened: 0, gaps: 0, closed: 0 };
  const last = new Map();
  const ids = new Set();
  const source = new EventSource('/events?topic=demo.>');
  source.onerror = () => { seen.closed += source.readyState === EventSource.CLOSED ? 1 : 0; };
  source.addEventListener('bridge.open', () => { seen.opened += 1; });
  source.addEventListener('bridge.gap', () => { seen.gaps += 1; });
  for (const type of ['update', 'order', 'price', 'notification', 'answer']) {
    source.addEventListener(type, ({ data, lastEventId }) => {
      const { series, n } = JSON.parse(data);
      if (last.has(series) && n !== last.get(series) + 1) seen.wrong.push(`${series}: ${n} after ${last.get(series)}`);
      if (ids.has(lastEventId)) seen.wrong.push(`${lastEventId} twice`);
      last.set(series, n);
      ids.add(lastEventId);
      seen.events += 1;
    });
  }
  window.seen = seen;
}

const seen = () => page.evaluate(() => window.seen);

// An event stream through the proxy: what has come of it, and whether it is still open.
async function openStream(path) {
  const request = https.get(`https://localhost:8443${path}`, { rejectUnauthorized: false });
  const [response] = await once(request, 'response');
  assert.equal(response.statusCode, 200);
  const stream = { text: '', isOpen: true, close: () => request.destroy() };
  response.setEncoding('utf8').on('data', (text) => { stream.text += text; });
  response.on('close', () => { stream.isOpen = false; }).on('error', () => {});
  return stream;
}

// Waits until so many more events have come, and asserts that none of all is lost, doubled or reordered.
async function goesOn(count = someEvents) {
  const wanted = (await seen()).events + count;
  await eventually(async () => (await seen()).events >= wanted, { deadlineMs: 60_000, describe: () => `${count} more events` });
  const { wrong, gaps, closed } = await seen();
  assert.deepEqual({ wrong, gaps, closed }, { wrong: [], gaps: 0, closed: 0 });
}

test('each image is built once', async () => {
  // The bridges', and that of the demo.
  assert.equal((await compose('config')).match(/^ {4}build:$/gm).length, 2);
});

test('the page comes over HTTPS and HTTP/2, and events with it', { timeout: 60_000 }, async () => {
  // The proxy may not listen yet, and Chromium gives up what it loads when a network interface comes, as that of a container does.
  const failed = [];
  page.on('requestfailed', (request) => {
    if (['script', 'stylesheet'].includes(request.resourceType())) failed.push(`${request.url()}: ${request.failure().errorText}`);
  });
  const response = await eventually(async () => {
    failed.length = 0;
    const answer = await page.goto('https://localhost:8443/').catch(() => null);
    return failed.length === 0 && answer;
  }, { describe: () => `the page with all that it loads, of which failed ${failed.join(', ') || 'nothing'}` });
  assert.equal(response.status(), 200);
  assert.equal(await page.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol), 'h2');
  await page.waitForFunction(() => Number(document.querySelector('#received').textContent) > 0).catch(async ({ message }) => {
    throw new Error(`${message}\n${await page.textContent('body')}\n${await compose('logs', 'demo', 'proxy', 'bridge-1', 'bridge-2')}`);
  });
  await page.evaluate(observe);
  await goesOn(10);
});

test('a publisher reaches the bridges through the proxy', { timeout: 60_000 }, async () => {
  const received = page.evaluate(() => new Promise((resolve) => {
    const source = new EventSource('/events?topic=orders.*');
    source.addEventListener('bridge.open', () => { window.isOpen = true; });
    source.onmessage = ({ data }) => { source.close(); resolve(data); };
  }));
  await page.waitForFunction(() => window.isOpen);
  const authority = await compose('exec', '-T', 'proxy', 'cat', '/data/caddy/pki/authorities/local/root.crt');
  const publisher = connectPublisher('localhost:8443', authority);
  const [ack] = await publisher.publish([{ topic: 'orders.1', text: 'paid' }]);
  assert.deepEqual(ack.rejected, []);
  assert.equal(await received, 'paid');
  assert.equal((await publisher.close()).code, 0);
});

test('killing either bridge loses, doubles and reorders nothing', { timeout: 240_000 }, async () => {
  const { opened } = await seen();
  for (const service of ['bridge-1', 'bridge-2']) {
    await compose('kill', service);
    await goesOn();
    await compose('start', service);
    await healthy(service);
  }
  assert.ok((await seen()).opened > opened, 'neither of them had the stream');
});

test('stopping a bridge, as a roll-out does it, loses, doubles and reorders nothing', { timeout: 240_000 }, async () => {
  for (const service of ['bridge-1', 'bridge-2']) {
    await compose('stop', service);
    await goesOn();
    await compose('start', service);
    await healthy(service);
  }
});

test('killing NATS for ten seconds is only a pause: streams stay open, and what was published meanwhile comes', { timeout: 240_000 }, async () => {
  // A plain client, because Chromium closes all its connections when a network interface goes, as that of a container does.
  const stream = await openStream('/events?topic=demo.>');
  await eventually(() => stream.text.includes('\nevent: order\n'));
  await compose('kill', 'nats');
  await sleep(outageMs);  // the outage itself
  stream.text = '';
  await compose('start', 'nats');
  await goesOn(2 * someEvents);
  await eventually(() => stream.text.includes('\nevent: order\n'));
  assert.ok(stream.isOpen);
  stream.close();
});

test('Prometheus sees both bridges', { timeout: 120_000 }, async () => {
  await compose('up', '--detach', '--no-build', 'prometheus');
  const streams = async () => {
    const answer = await fetch('http://127.0.0.1:9091/api/v1/query?query=sse_bridge_event_streams').then((response) => response.json(), () => null);
    return answer?.data?.result ?? [];
  };
  await eventually(async () => (await streams()).length === 2, { deadlineMs: 60_000, describe: () => 'the metrics of two bridges' });
  assert.deepEqual((await streams()).map(({ metric }) => metric.instance).sort(), ['bridge-1:8081', 'bridge-2:8081']);
});
