// docs/subscribing.md, as it stands there.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import { EventSource } from 'undici';

import { bridgeBinary, connectPublisher, eventually, repository, startBridge } from '../support/bridge.mjs';
import { snippet, snippetFor, startShell } from './snippets.mjs';

let bridge;
let publisher;
before(async () => {
  bridge = await startBridge();
  publisher = connectPublisher(bridge.grpc);
});
after(async () => {
  await publisher?.close();
  await bridge?.stop();
});

const publish = () => publisher.publish([{ topic: 'orders.42', type: 'update', text: 'paid' }]);

test('curl receives', async () => {
  const shell = startShell(snippetFor(bridge, 'docs/subscribing.md', 'curl'));
  await eventually(() => shell.said.includes('bridge.open'));
  await publish();
  await eventually(() => shell.said.includes('data: paid\n'));
  await shell.stop();
});

test('curl posts', async () => {
  await publish();
  const shell = startShell(snippetFor(bridge, 'docs/subscribing.md', 'POST'));
  await eventually(() => shell.said.includes('data: paid\n'));
  await shell.stop();
});

test('curl shows what stands behind a final error', async () => {
  const shell = startShell(snippetFor(bridge, 'docs/subscribing.md', 'problem'));
  assert.equal(await shell.ended, 0);
  assert.match(shell.said, /^HTTP\/1\.1 400 .*application\/problem\+json.*orders\.\.eu/s);
});

// Runs the snippet with an EventSource of Node.js; `said` gets what it logs.
function openEventSource(code, said) {
  return new Function('EventSource', 'console', `${code}; return source;`)(EventSource, { log: (...words) => said.push(words) });
}

test('EventSource receives', async () => {
  const said = [];
  const source = openEventSource(snippetFor(bridge, 'docs/subscribing.md', 'EventSource'), said);
  await eventually(() => source.readyState === EventSource.OPEN);
  const [{ first_id: id }] = await publish();
  await eventually(() => said.length > 0);
  assert.deepEqual(said, [[id, 'paid']]);
  source.close();
});

test('EventSource notices a final error', async () => {
  const said = [];
  openEventSource(snippetFor(bridge, 'docs/subscribing.md', 'EventSource').replace('orders.*', 'orders..*'), said);
  await eventually(() => said.length > 0);
  assert.deepEqual(said, [['a final error: nothing comes any more']]);
});

describe('in Chromium', () => {
  let browser;
  before(async () => {
    browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
  });
  after(() => browser?.close());

  // A page of the bridge's origin that runs `code`, which stands beside examples/browser. `said` is what it logs.
  async function openPage(code) {
    const { outputFiles } = await build({
      stdin: { contents: code, resolveDir: path.join(repository, 'examples/browser'), loader: 'jsx' },
      bundle: true,
      write: false,
      jsx: 'automatic',
      define: { 'process.env.NODE_ENV': '"production"' },
    });
    const page = await browser.newPage();
    const said = [];
    page.on('console', (message) => said.push(message.text()));
    await page.route('**/page', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>test</title><body>' }));
    await page.goto(`http://${bridge.http}/page`);
    await page.evaluate(outputFiles[0].text);
    return { page, said };
  }

  const modules = [
    ['event-source.js', snippet('docs/subscribing.md', 'event-source.js')],
    ['fetch-event-source.js', snippet('docs/subscribing.md', 'fetch-event-source.js')],
  ];
  for (const [name, code] of modules) {
    test(`${name} receives`, async () => {
      const { page, said } = await openPage(code);
      await eventually(() => said.includes('open'), { describe: () => said.join() });
      const [{ first_id: id }] = await publish();
      await eventually(() => said.includes(`update ${id} paid`), { describe: () => said.join() });
      await page.close();
    });
  }

  test('a component of React shows what it receives', async () => {
    const component = snippet('docs/subscribing.md', 'React');
    const { page } = await openPage(`
      import { createRoot } from 'react-dom/client';
      ${component}
      createRoot(document.body.appendChild(document.createElement('div'))).render(<Orders />);`);
    await page.waitForSelector('ul.open', { state: 'attached' });
    await publish();
    await page.waitForSelector('li:text-is("paid")');
    await page.close();
  });
});

describe('with keys', () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'subscribing-'));
  const shellOptions = { cwd: directory, env: { ...process.env, PATH: `${path.dirname(bridgeBinary)}:${process.env.PATH}` } };
  const makeToken = snippet('docs/subscribing.md', 'token');
  let closed;
  before(async () => {
    assert.equal(await startShell(makeToken, shellOptions).ended, 0);
    closed = await startBridge({
      'auth.jwt.keys': `[{algorithm: HS256, secret_file: ${directory}/secret}]`,
      'auth.anonymous.publish': '[">"]',
    });
  });
  after(async () => {
    await closed?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  // The line that makes a token, with the secret that is there, and then `code`.
  const withToken = (code) => `${makeToken.split('\n').slice(1).join('\n')}\n${code}`;

  async function assertOpens(code) {
    const shell = startShell(withToken(code), shellOptions);
    await eventually(() => shell.said.includes('bridge.open'), { describe: () => `bridge.open; it said ${shell.said}` });
    await shell.stop();
  }

  test('a token in a header opens a stream', () => assertOpens(snippetFor(closed, 'docs/subscribing.md', 'header')));

  test('a ticket opens a stream', () => assertOpens(snippetFor(closed, 'docs/subscribing.md', 'ticket')));

  test('without a token there is none', async () => {
    const shell = startShell(snippetFor(closed, 'docs/subscribing.md', 'curl'), shellOptions);
    assert.equal(await shell.ended, 0);
    assert.match(shell.said, /"status": ?401/);
  });
});
