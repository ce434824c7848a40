// The page in Chromium, fed by the demo publisher through the real bridge.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { connectPublisher, eventually, startBridge, startProxy, subscribe } from '../support/bridge.mjs';
import {
  assertSawAll, goesOn, isPublishing, isState, launchChromium, openPage as open, replayedExactly, startDemo, stopDemo, takeScreenshot, textOf,
  verdictOf,
} from '../support/page.mjs';

let browser;
before(async () => { browser = await launchChromium(); });
after(() => browser?.close());

const openPage = (origin, options) => open(browser, origin, options);

describe('the page', () => {
  let bridge;
  let demo;
  let page;
  before(async () => {
    bridge = await startBridge({ 'http.heartbeat': '500ms' });
    demo = startDemo(bridge.grpc);
  });
  after(async () => {
    assert.equal(await stopDemo(demo), 0);
    await bridge.stop();
  });
  beforeEach(async () => { page = await openPage(bridge.http); });
  afterEach(() => page.context().close());

  test('shows the events of its topics as they come', async () => {
    await isState(page, 'open');
    await isPublishing(page);
    const row = page.locator('#rows .event').first();
    assert.match(await row.locator('.type').textContent(), /^(update|order|price|notification|answer)$/);
    assert.match(await row.locator('.id').textContent(), /^[0-9a-f]+-\d+$/);
    assert.equal(JSON.parse(await row.locator('.data').textContent()).series.startsWith('demo.'), true);
    assert.match(await row.locator('.when').textContent(), /^\d\d:\d\d:\d\d\.\d{3}$/);
    assert.match(await textOf(page, '#last-event-id'), /^[0-9a-f]+-\d+$/);
    assert.ok(Number((await textOf(page, '#received')).replace(',', '')) >= 20);
    await page.locator('#notes .note').first().waitFor();
    assert.deepEqual(page.errors, []);
  });

  test('keeps the list bounded and stands still while it is paused', async () => {
    await isState(page, 'open');
    const publisher = connectPublisher(bridge.grpc);
    await publisher.publish(Array.from({ length: 300 }, (_, i) => ({ topic: 'demo.burst', type: 'order', text: `${i}` })));
    await publisher.close();
    await isPublishing(page, 300);
    await page.waitForFunction(() => document.querySelectorAll('#rows tr').length === 200);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.waitForFunction(() => / [1-9]\d* new$/.test(document.getElementById('live-figures').textContent));
    const first = () => textOf(page, '#rows tr:first-child .id');
    const before = await first();
    await goesOn(page);
    assert.equal(await first(), before);
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.waitForFunction((id) => document.querySelector('#rows tr:first-child .id').textContent !== id, before);
    assert.equal(await page.locator('#rows tr').count(), 200);
  });

  test('draws the metrics as they change', async () => {
    await page.locator('.chart[data-series="cpu"] .chart-line[d*="L"]').waitFor({ state: 'attached' });
    const line = () => page.locator('.chart[data-series="requests"] .chart-line').getAttribute('d');
    const first = await line();
    await eventually(async () => (await line()) !== first);
    assert.match(await page.locator('.chart svg').first().getAttribute('aria-label'), /^CPU in the last minute; now [\d.]+ %$/);
  });

  test('goes on when events carry numbers that no clock has', async () => {
    const strange = [1e20, -1e20, 8.65e15, 1e300].flatMap((t) => [
      { topic: 'demo.notifications', type: 'notification', text: JSON.stringify({ title: `at ${t}`, t }) },
      { topic: 'demo.metrics', type: 'update', text: JSON.stringify({ t, cpu: 1, requests: 1 }) },
    ]);
    const publisher = connectPublisher(bridge.grpc);
    await isState(page, 'open');
    await publisher.publish(strange);
    await publisher.close();
    await page.locator('#notes .note:has-text("at 1e+300")').waitFor();
    await page.locator('#answer-text:not(:empty)').waitFor();
    const line = () => page.locator('.chart[data-series="requests"] .chart-line').getAttribute('d');
    const first = await line();
    await eventually(async () => (await line()) !== first);
    await goesOn(page);
    assert.deepEqual(page.errors, []);
  });

  test('types an answer token by token, and closes its stream at the end', async () => {
    const streams = new Map();
    page.on('request', (request) => {
      const topic = new URL(request.url()).searchParams.get('topic');
      if (topic?.startsWith('ai.demo.')) streams.set(topic, 'open');
    });
    page.on('requestfinished', (request) => streams.set(new URL(request.url()).searchParams.get('topic'), 'closed'));
    page.on('requestfailed', (request) => streams.set(new URL(request.url()).searchParams.get('topic'), 'closed'));
    await page.getByRole('button', { name: 'Next answer' }).click();
    await page.getByRole('button', { name: 'Next answer' }).waitFor();  // else the one that comes would take this one's place
    await page.locator('#answer-state:has-text("Typing")').waitFor();
    await page.locator('label:has-text("Follow")').click();
    await page.locator('#answer-state:has-text("Complete")').waitFor();
    const topic = await textOf(page, '#answer-topic');
    assert.match(await textOf(page, '#answer-figures'), /^\d+ tokens · \d+ tokens\/s$/);
    await eventually(() => streams.get(topic) === 'closed', { describe: () => `the stream of ${topic} to be closed` });

    let published = '';
    for await (const { event, data } of subscribe(`http://${bridge.http}/events?topic=${topic}&replay=all`)) {
      if (event === 'end') break;
      if (event === 'token') published += JSON.parse(data);
    }
    assert.ok(published.length > 100);
    assert.equal(await textOf(page, '#answer-text'), published);

    await page.getByRole('button', { name: /Next answer|Waiting/ }).click();
    await page.waitForFunction((old) => document.getElementById('answer-topic').textContent !== old, topic);
    assert.deepEqual(page.errors, []);
  });

  test('stops receiving, and receives again without loss or repeat', async () => {
    await isPublishing(page);
    await page.getByRole('button', { name: 'Stop receiving' }).click();
    await isState(page, 'stopped');
    const received = await textOf(page, '#received');
    await sleep(700);  // what would still come has had the time to
    assert.equal(await textOf(page, '#received'), received);
    await page.getByRole('button', { name: 'Receive again' }).click();
    await isState(page, 'open');
    assert.match(await verdictOf(page), replayedExactly);
    assert.equal(await textOf(page, '#reconnects'), '1');
    await assertSawAll(page, bridge);
    assert.deepEqual(page.errors, []);
  });

  test('cuts the connection, and resumes by itself without loss or repeat', async () => {
    await isPublishing(page);
    await page.getByRole('button', { name: 'Cut the connection' }).click();
    await isState(page, 'cut');
    await isState(page, 'open');
    await page.locator('#rows .marker.ok').waitFor();
    assert.match(await verdictOf(page), replayedExactly);
    await assertSawAll(page, bridge);
    assert.deepEqual(page.errors, []);
  });

  test('resumes when the network cuts it', async () => {
    const proxy = await startProxy(bridge.http);
    const behind = await openPage(proxy.address);
    await isPublishing(behind);
    for (let cuts = 1; cuts <= 5; cuts += 1) {
      proxy.cut();
      await behind.waitForFunction((want) => document.getElementById('reconnects').textContent === String(want), cuts);
      await goesOn(behind);
    }
    assert.match(await textOf(behind, '#verdict-text'), /none lost, none twice\.$/);
    await assertSawAll(behind, bridge);
    await behind.context().close();
    await proxy.stop();
  });

  test('asks for other topics, and says what it is refused', async () => {
    await page.fill('#topics', 'demo.prices.*, demo.ai');
    await page.getByRole('button', { name: 'Apply' }).click();
    await page.waitForURL(/\?topic=demo\.prices\.\*&topic=demo\.ai$/);
    await page.locator('#rows .event').first().waitFor();
    for (const type of await page.locator('#rows .event .type').allTextContents()) assert.match(type, /^(price|answer)$/);
    assert.equal(await textOf(page, '#charts-empty .empty-text'), 'This stream does not ask for demo.metrics.');

    await page.fill('#topics', 'orders..eu');
    await page.getByRole('button', { name: 'Apply' }).click();
    await isState(page, 'refused');
    await page.locator('#connection-note:has-text("400")').waitFor();
    assert.match(await textOf(page, '#connection-note'), /orders\.\.eu/);
    await page.fill('#topics', 'demo.>');
    await page.getByRole('button', { name: 'Apply' }).click();
    await isState(page, 'open');
  });

  test('shows a payload as text, whatever is in it, and a type once it is listed', async () => {
    const publisher = connectPublisher(bridge.grpc);
    const other = await openPage(bridge.http, { query: '?topic=strange.*' });
    await isState(other, 'open');
    const text = '<img src=x onerror="window.hacked = true"><script>window.hacked = true</script>';
    await publisher.publish([{ topic: 'strange.a', text }, { topic: 'strange.a', type: 'own.type', text: 'later' },
      { topic: 'strange.a', type: text, text: 'its type is markup' }]);
    await other.locator('#rows .event').waitFor();
    assert.deepEqual(await other.locator('#rows .event .data').allTextContents(), [text]);
    await other.fill('#types', `message, own.type, ${text}`);
    await other.getByRole('button', { name: 'Apply' }).click();
    await other.locator('#rows .event:has-text("own.type")').waitFor();
    await other.locator('#rows .event:has-text("its type is markup")').waitFor();
    assert.ok((await other.locator('#rows .event .type').allTextContents()).includes(text));
    assert.equal(await other.evaluate(() => window.hacked), undefined);
    assert.deepEqual(other.errors, []);
    await publisher.close();
    await other.context().close();
  });

  test('shows what its address asks for as text, whatever is in it', async () => {
    const text = '<img src=x onerror="window.hacked = true">';
    const other = await openPage(bridge.http, { query: `?topic=${encodeURIComponent(text)}` });
    await isState(other, 'refused');
    assert.equal(await other.inputValue('#topics'), text);
    assert.equal(await other.evaluate(() => window.hacked), undefined);
    await other.context().close();
  });

  test('reads with fetch: POST, a header, resume after an abort and after a cut, a problem in words', async () => {
    const proxy = await startProxy(bridge.http);
    const behind = await openPage(proxy.address);
    const requests = [];
    behind.on('request', (request) => {
      if (request.method() === 'POST') requests.push({ ...JSON.parse(request.postData()), authorization: request.headers().authorization });
    });
    await behind.fill('#fetch-token', 'a secret');
    await behind.getByRole('button', { name: 'Connect', exact: true }).click();
    const eventRows = (least) => behind.waitForFunction((count) => document.querySelectorAll('.fetch-row:not(.control)').length >= count, least);
    await eventRows(5);
    await behind.getByRole('button', { name: 'Abort' }).click();
    await sleep(300);  // what would still come has had the time to
    await behind.getByRole('button', { name: 'Resume' }).click();
    await eventRows(30);
    proxy.cut();
    await behind.locator('#fetch-figures:has-text("1 reconnect")').waitFor();
    await eventRows(45);
    const numbers = await behind.locator('.fetch-row:not(.control) .fetch-data').allTextContents()
      .then((rows) => rows.reverse().map((data) => JSON.parse(data).n));
    assert.deepEqual(numbers, numbers.map((_, i) => numbers[0] + i));
    assert.deepEqual(requests.map(({ authorization }) => authorization), Array(3).fill('Bearer a secret'));
    assert.deepEqual(requests[0], { topics: ['demo.orders'], replay: 20, authorization: 'Bearer a secret' });
    assert.match(requests[1].last_event_id, /^[0-9a-f]+-\d+$/);
    assert.equal(await behind.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])), '[{},{},""]');
    assert.equal((await textOf(behind, '#fetch-request')).includes('a secret'), false);

    await behind.getByRole('button', { name: 'Abort' }).click();
    await behind.fill('#fetch-topics', 'a..b');
    await behind.getByRole('button', { name: 'Connect', exact: true }).click();
    await behind.locator('#fetch-state[data-state="refused"]').waitFor();
    assert.match(await textOf(behind, '#fetch-problem'), /^400 .*a\.\.b/);
    await behind.context().close();
    await proxy.stop();
  });

  test('is reached and used with the keyboard', async () => {
    await isPublishing(page);
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
    const reached = new Set();
    for (let i = 0; i < 40; i += 1) {
      await page.keyboard.press('Tab');
      reached.add(await page.evaluate(() => document.activeElement.id));
    }
    const controls = ['theme', 'stop', 'cut', 'chat-scroll', 'chat-prompt', 'chat-send', 'chat-cut', 'answer-follow', 'answer-next', 'live-wrap',
      'live-pause', 'topics', 'types', 'fetch-topics', 'fetch-token', 'fetch-toggle'];
    for (const id of controls) {
      assert.ok(reached.has(id), `${id} is not in the tab order: ${[...reached]}`);
    }
    await page.focus('#stop');
    await page.keyboard.press('Enter');
    await isState(page, 'stopped');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'stop');
    await page.keyboard.press('Enter');
    await isState(page, 'open');
  });

  test('follows the system’s theme until another is chosen', async () => {
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background();
    await page.emulateMedia({ colorScheme: 'dark' });
    const dark = await background();
    assert.notEqual(dark, light);
    await page.getByRole('button', { name: 'Use the light theme' }).click();
    assert.equal(await background(), light);
    await page.reload();
    assert.equal(await background(), light);
  });

  for (const [name, width, height] of [['wide', 1440, 900], ['narrow', 390, 844]]) {
    for (const colorScheme of ['light', 'dark']) {
      test(`fits a ${name} ${colorScheme} screen`, async () => {
        const other = await openPage(bridge.http, { viewport: { width, height }, colorScheme });
        await isPublishing(other, 60);
        await other.locator('#answer-text:not(:empty)').waitFor();
        assert.equal(await other.evaluate(() => document.documentElement.scrollWidth), width);
        await takeScreenshot(other, `${name}-${colorScheme}`);
        assert.deepEqual(other.errors, []);
        await other.context().close();
      });
    }
  }
});

describe('the page, when the bridge', () => {
  test('falls silent, turns red, and green again', async () => {
    const bridge = await startBridge({ 'http.heartbeat': '400ms' });
    const page = await openPage(bridge.http);
    await isState(page, 'open');
    await sleep(1500);  // three heartbeats
    await isState(page, 'open');  // heartbeats are signs of life
    process.kill(bridge.pid, 'SIGSTOP');
    await isState(page, 'stale');
    const [red, green, blue] = await page.evaluate(() => getComputedStyle(document.getElementById('state')).color.match(/\d+/g).map(Number));
    assert.ok(red > 2 * green && red > 2 * blue, `the state is shown in rgb(${red}, ${green}, ${blue})`);
    process.kill(bridge.pid, 'SIGCONT');
    await isState(page, 'open');
    await page.context().close();
    await bridge.stop();
  });

  test('starts anew, shows the gap and goes on', async () => {
    const first = await startBridge();
    const demo = startDemo(first.grpc);
    const page = await openPage(first.http);
    await isPublishing(page);
    await first.stop('SIGKILL');
    const second = await startBridge({ 'http.address': first.http, 'grpc.address': first.grpc });
    await page.locator('#rows .marker.bad:has-text("Gap (epoch)")').waitFor();
    await page.locator('#verdict[data-tone="bad"]').waitFor();
    assert.match(await textOf(page, '#verdict-text'), /with a gap \(epoch\)/);
    await isPublishing(page, (await page.seen()).length + 20);
    await isState(page, 'open');
    await page.context().close();
    assert.equal(await stopDemo(demo), 0);
    await second.stop();
  });

  test('goes away, waits for it', async () => {
    const bridge = await startBridge();
    const page = await openPage(bridge.http);
    await isState(page, 'open');
    await bridge.stop();
    await isState(page, 'connecting');
    const again = await startBridge({ 'http.address': bridge.http });
    await isState(page, 'open');
    assert.equal(await textOf(page, '#reconnects'), '1');
    await page.context().close();
    await again.stop();
  });
});
