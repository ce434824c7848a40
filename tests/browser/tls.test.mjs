// Chromium's EventSource and fetch over TLS, and the page of the bridge itself.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { chromium } from 'playwright-core';

import { connectPublisher, eventually, makeCertificate, startBridge, startProxy } from '../support/bridge.mjs';

let bridge;
let browser;
let page;
let proxy;
let publisher;
before(async () => {
  const certificate = await makeCertificate();
  bridge = await startBridge(certificate.settings);
  proxy = await startProxy(bridge.http);
  publisher = connectPublisher(bridge.grpc);
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
  page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  const response = await page.goto(`https://${proxy.address}/`);
  assert.equal(response.status(), 200);
});
after(async () => {
  await browser?.close();
  await publisher?.close();
  await proxy?.stop();
  await bridge?.stop();
});

test('EventSource resumes exactly after cuts', async () => {
  await page.evaluate(() => {
    window.received = [];
    window.opened = 0;
    const source = new EventSource('/events?topic=source.a');
    source.addEventListener('message', ({ data }) => window.received.push(data));
    source.addEventListener('bridge.open', () => { window.opened += 1; });
  });
  await eventually(() => page.evaluate(() => window.opened === 1));
  const wanted = [];
  for (let number = 0; number < 20; number += 1) {
    if (number % 5 === 4) proxy.cut();
    const text = `${number} ${'ž'.repeat(number * 500)}`;
    wanted.push(text);
    await publisher.publish([{ topic: 'source.a', text }]);
  }
  await eventually(() => page.evaluate((count) => window.received.length >= count, wanted.length));
  assert.deepEqual(await page.evaluate(() => window.received), wanted);
  assert.ok(await page.evaluate(() => window.opened > 1));
});

test('fetch reads a stream that it asked for by POST', async () => {
  await publisher.publish([{ topic: 'fetch.a', text: 'x'.repeat(50_000) }, { topic: 'fetch.a', text: 'the last' }]);
  const text = await page.evaluate(async () => {
    const response = await fetch('/events', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ topics: ['fetch.a'], replay: 'all' }),
    });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let read = '';
    while (!read.includes('the last')) {
      const { value, done } = await reader.read();
      if (done) break;
      read += value;
    }
    await reader.cancel();
    return read;
  });
  assert.ok(text.includes(`data: ${'x'.repeat(50_000)}\n`));
});
