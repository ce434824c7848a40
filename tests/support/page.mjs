// The bridge's page in Chromium, and the demo publisher that feeds it.
//
//   const browser = await launchChromium();
//   const demo = startDemo(bridge.grpc);
//   const page = await openPage(browser, bridge.http);
//   await isState(page, 'open'); await isPublishing(page); await assertSawAll(page, bridge);
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';

import { chromium } from 'playwright-core';

import { bridgeBinary, repository, start, subscribe } from './bridge.mjs';

// The demo publisher is built beside the bridge, unless DEMO_PUBLISHER_BIN says otherwise.
const demoPublisher = process.env.DEMO_PUBLISHER_BIN ?? path.join(path.dirname(bridgeBinary), 'demo-publisher');
const demoTypes = ['update', 'order', 'price', 'notification', 'answer', 'worker'];

// /usr/bin/chromium, or what CHROMIUM names.
export const launchChromium = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
      '--disable-sync'],
  });

// A demo that does in seconds what the real one does in a minute.
export const startDemo = (address, { tokenRate = 150 } = {}) =>
  start(demoPublisher, ['--target', address, '--rate', '10', '--token-rate', String(tokenRate), '--answer-pause', '1']);

export async function stopDemo(demo) {
  demo.kill('SIGTERM');
  return demo.ended;
}

// Opens the page. `page.seen()` are the demo's events that its EventSources were handed, in order; `page.errors` is what its console said.
export async function openPage(browser, origin, { query = '', ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.errors = [];
  page.on('pageerror', (error) => page.errors.push(error.stack));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) page.errors.push(message.text());
  });
  await page.addInitScript((types) => {
    window.seen = [];
    const Native = window.EventSource;
    window.EventSource = class extends Native {
      constructor(...args) {
        super(...args);
        for (const type of types) this.addEventListener(type, ({ lastEventId, data }) => window.seen.push({ id: lastEventId, data }));
      }
    };
  }, demoTypes);
  page.seen = () => page.evaluate(() => window.seen);
  await page.goto(`http://${origin}/${query}`);
  return page;
}

export const textOf = (page, selector) => page.locator(selector).textContent();
export const isState = (page, state) => page.locator(`#state[data-state="${state}"]`).waitFor();
export const isPublishing = (page, count = 20) => page.waitForFunction((least) => window.seen.length >= least, count);
export const goesOn = async (page) => isPublishing(page, (await page.seen()).length + 10);

// Waits until the page has said what a resume has brought, and something has come since.
export async function verdictOf(page) {
  await page.waitForFunction(() => / replayed, /.test(document.getElementById('verdict-text').textContent));
  await goesOn(page);
  return textOf(page, '#verdict-text');
}
export const replayedExactly =
  /^Resumed after id [0-9a-f]+-\d+: [1-9]\d* events that were missed meanwhile were replayed, none lost, none twice\.$/;

// Reads the log and checks that the page was handed all of it from its own first event to its last, each once. `headers` say who reads.
export async function assertSawAll(page, bridge, headers = {}) {
  const seen = await page.seen();
  const log = [];
  for await (const { id, event } of subscribe(`http://${bridge.http}/events?topic=demo.>&replay=all`, { headers })) {
    if (!event?.startsWith('bridge.')) log.push(id);
    if (id === seen.at(-1).id) break;
  }
  assert.deepEqual(seen.map(({ id }) => id), log.slice(log.indexOf(seen[0].id)));
}

// A picture of the whole page, for people, in build/screenshots.
export async function takeScreenshot(page, name) {
  const folder = `${repository}build/screenshots`;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}
