// The page in Chromium, at a bridge that wants a token.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';

import { createKeys, startBridge, startProxy } from '../support/bridge.mjs';
import {
  assertSawAll, goesOn, isPublishing, isState, launchChromium, openPage as open, replayedExactly, startDemo, stopDemo, takeScreenshot, textOf,
  verdictOf,
} from '../support/page.mjs';

const keys = createKeys();
const tokenFor = (lifetimeSeconds = 3600, patterns = ['demo.>', 'ai.demo.>']) => keys.token({ subscribe: patterns, lifetimeSeconds });

let browser;
let bridge;
let demo;
let proxy;
let page;
before(async () => { browser = await launchChromium(); });
after(() => browser?.close());
beforeEach(async () => {
  bridge = await startBridge({ ...keys.settings, 'http.heartbeat': '500ms' });
  demo = startDemo(bridge.grpc);
  proxy = await startProxy(bridge.http);
  page = await openPage();
});
afterEach(async () => {
  await page.context().close();
  await proxy.stop();
  assert.equal(await stopDemo(demo), 0);
  await bridge.stop();
});

const openPage = (options) => open(browser, proxy.address, options);

async function give(token, to = page) {
  await to.fill('#access-token', token);
  await to.getByRole('button', { name: 'Use this token' }).click();
}
const isAsked = (title, of = page) => of.locator(`#access-title:has-text("${title}")`).waitFor();
const assertMissedNothing = () => assertSawAll(page, bridge, { Authorization: `Bearer ${tokenFor()}` });

async function metric(name) {
  const text = await (await fetch(`http://${bridge.admin}/metrics`)).text();
  return Number(text.split('\n').find((line) => line.startsWith(`${name} `))?.split(' ')[1] ?? 0);
}
const expired = () => metric('sse_bridge_event_streams_closed_total{reason="token_expired"}');

test('asks for a token in words, shows events with it, and keeps it to itself', async () => {
  const requests = [];
  page.on('request', (request) => requests.push(request));
  await isState(page, 'refused');
  await isAsked('The bridge asks for a token.');
  assert.match(await textOf(page, '#connection-note'), /^401 Unauthorized: subscribing to "demo\.>" needs a token$/);

  const token = tokenFor();
  await give(`Bearer ${token}\n`);
  await isState(page, 'open');
  await isPublishing(page);
  await isAsked('The token that you gave is in use.');
  assert.equal(await page.inputValue('#access-token'), '');
  const urls = requests.map((request) => request.url());
  assert.ok(urls.some((url) => /\/events\?.*&ticket=[\w-]+\.[\w-]+\.[\w-]+$/.test(url)), urls.join('\n'));
  assert.deepEqual(urls.filter((url) => url.includes(token)), []);
  assert.equal(await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])), '[{},{},""]');
  assert.equal((await page.content()).includes(token), false);
  assert.deepEqual(page.errors.filter((error) => !error.includes('401')), []);

  await page.reload();
  await isState(page, 'refused');
});

test('shows a ticket of its own to each connection, and misses nothing through cuts', async () => {
  await isState(page, 'refused');
  await give(tokenFor());
  await isPublishing(page);
  for (let cuts = 1; cuts <= 4; cuts += 1) {
    proxy.cut();
    await page.waitForFunction((want) => document.getElementById('reconnects').textContent === String(want), cuts);
    await goesOn(page);
  }
  await page.getByRole('button', { name: 'Cut the connection' }).click();
  await isState(page, 'cut');
  await isState(page, 'open');
  assert.match(await verdictOf(page), replayedExactly);
  await assertMissedNothing();
  assert.ok(await metric('sse_bridge_tickets_made_total') > 6);
});

test('says when the token ends, and goes on with the next one while the stream is open', async () => {
  await isState(page, 'refused');
  await give(tokenFor(30));
  await isPublishing(page);
  await isAsked('The token ends at ');
  assert.match(await textOf(page, '#access-title'), /^The token ends at \d\d:\d\d:\d\d\. /);
  await give(tokenFor());
  await page.locator('#rows .marker.ok:has-text("another token")').waitFor();
  await isAsked('The token that you gave is in use.');
  await goesOn(page);
  assert.equal(await textOf(page, '#reconnects'), '0');
  assert.equal(await expired(), 0);
  await assertMissedNothing();
});

test('says that the token has ended, and goes on after the last event with the next one', async () => {
  await isState(page, 'refused');
  await give(tokenFor(12));  // time for the events on a loaded machine too
  await isPublishing(page);
  await page.locator('#rows .marker:has-text("its token has ended")').waitFor();
  await isState(page, 'refused');
  await isAsked('The token is no longer good.');
  assert.match(await textOf(page, '#connection-note'), /^401 Unauthorized: .*expired/);
  await give(tokenFor());
  await isState(page, 'open');
  assert.match(await verdictOf(page), replayedExactly);
  await assertMissedNothing();
});

test('says why a token is not taken, and goes on with the one it has', async () => {
  await isState(page, 'refused');
  await give(tokenFor());
  await isPublishing(page);
  for (const [token, problem] of [['nonsense', /^401 Unauthorized: .*token/], ['žluťoučký kůň', /^This is no token/]]) {
    await give(token);
    await page.locator('#access-problem:not(:empty)').waitFor();
    assert.match(await textOf(page, '#access-problem'), problem);
  }
  proxy.cut();
  await page.waitForFunction(() => document.getElementById('reconnects').textContent === '1');
  await goesOn(page);
  await assertMissedNothing();
});

test('says that a token is for other topics', async () => {
  await isState(page, 'refused');
  await give(tokenFor(3600, ['demo.orders']));
  await isAsked('This token does not open these topics.');
  assert.match(await textOf(page, '#connection-note'), /^403 Forbidden: subscribing to "demo\.>" is not granted/);
  await page.fill('#topics', 'demo.orders');
  await page.getByRole('button', { name: 'Apply' }).click();
  await isState(page, 'open');
  await page.locator('#rows .event').first().waitFor();
});

test('waits for a bridge that is away, and takes a ticket of the next one', async () => {
  await isState(page, 'refused');
  await give(tokenFor());
  await isPublishing(page);
  const { http, grpc } = bridge;
  await bridge.stop();
  await isState(page, 'connecting');
  bridge = await startBridge({ ...keys.settings, 'http.heartbeat': '500ms', 'http.address': http, 'grpc.address': grpc });
  await isState(page, 'open');
  await page.locator('#rows .marker.bad:has-text("Gap (epoch)")').waitFor();
  await goesOn(page);
});

test('gives the token to its other streams: the typed answer and the fetch client', async () => {
  await isState(page, 'refused');
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await page.locator('#fetch-state[data-state="refused"]').waitFor();
  assert.match(await textOf(page, '#fetch-problem'), /^401 Unauthorized: subscribing to "demo\.orders" needs a token$/);

  await give(tokenFor());
  await page.locator('#answer-state:has-text("Typing")').waitFor();
  proxy.cut();
  await page.locator('#answer-state:has-text("Complete")').waitFor();

  await page.locator('#fetch-request:has-text("Authorization: Bearer •")').waitFor();
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  const rows = (least) => page.waitForFunction((count) => document.querySelectorAll('.fetch-row:not(.control)').length >= count, least);
  await rows(5);
  proxy.cut();
  await page.locator('#fetch-figures:has-text("1 reconnect")').waitFor();
  await rows(25);
  const numbers = await page.locator('.fetch-row:not(.control) .fetch-data').allTextContents()
    .then((texts) => texts.reverse().map((data) => JSON.parse(data).n));
  assert.deepEqual(numbers, numbers.map((_, i) => numbers[0] + i));
});

test('fits its screen while it asks, and while a token is about to end', async () => {
  const takePictures = async (state) => {
    for (const [name, width, height] of [['wide', 1440, 900], ['narrow', 390, 844]]) {
      await page.setViewportSize({ width, height });
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
        await takeScreenshot(page, `token-${state}-${name}-${colorScheme}`);
      }
    }
  };
  await isAsked('The bridge asks for a token.');
  await give('nonsense');
  await page.locator('#access-problem:not(:empty)').waitFor();
  await takePictures('asked');
  await give(tokenFor(16));
  await isAsked('The token ends at ');
  await takePictures('ending');
});
