// The page's chat in Chromium, answered by a worker through the real bridge.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { createKeys, eventually, startBridge, startProxy } from '../support/bridge.mjs';
import { isState, launchChromium, openPage as open, startDemo, stopDemo, takeScreenshot, textOf } from '../support/page.mjs';
import { startWorker } from '../support/worker.mjs';

let browser;
before(async () => { browser = await launchChromium(); });
after(() => browser?.close());

const answerOf = (page) => page.locator('#chat-turns .turn:last-child .answer-text').textContent();
const noteOf = (page) => page.locator('#chat-turns .turn:last-child .turn-note-text').textContent();
const detailOf = (page) => page.locator('#chat-turns .turn:last-child .turn-detail').textContent();
const isChat = (page, name) => page.locator(`#chat-state:has-text("${name}")`).waitFor();
const has = (page, tokens) => page.waitForFunction((least) => Number(document.getElementById('chat-tokens').textContent) >= least, tokens);
const sentence = (page, text) => page.locator(`#chat-turns .turn:last-child .turn-note:has-text("${text}")`).waitFor();

// The answer of the worker.
const whole = (count) => Array.from({ length: count }, (_, index) => `t${index} `).join('');

async function ask(page, prompt) {
  await page.fill('#chat-prompt', prompt);
  await page.press('#chat-prompt', 'Enter');
}

// What the page asks of /calls, in order.
function watchCalls(page) {
  const requests = [];
  page.on('request', (request) => {
    const { pathname } = new URL(request.url());
    if (!pathname.startsWith('/calls/')) return;
    const { 'idempotency-key': key, 'last-event-id': lastEventId, authorization } = request.headers();
    requests.push({ method: request.method(), pathname, key, lastEventId, authorization });
  });
  return requests;
}

describe('the chat', () => {
  let bridge;
  let worker;
  let proxy;
  let page;
  let requests;
  beforeEach(async () => {
    bridge = await startBridge({ 'http.heartbeat': '300ms' });
    worker = await startWorker(bridge.grpc);
    proxy = await startProxy(bridge.http);
    page = await open(browser, proxy.address);
    requests = watchCalls(page);
    await isState(page, 'open');
  });
  afterEach(async () => {
    await page.context().close();
    await worker.stop();
    await proxy.stop();
    await bridge.stop();
  });

  test('shows the tokens as they come, and the usage at the end', async () => {
    worker.limit = 5;
    await ask(page, '60 tokens, please');
    await isChat(page, 'Answering');
    await has(page, 5);
    assert.equal(await answerOf(page), whole(5));
    await page.locator('#chat-worker-name:has-text("Working")').waitFor();
    worker.limit = Infinity;
    await isChat(page, 'Complete');
    assert.equal(await answerOf(page), whole(60));
    assert.equal(await noteOf(page), 'Complete · 17 input tokens · 60 output tokens');
    await page.locator('#chat-worker-name:has-text("Idle")').waitFor();
    assert.equal(await textOf(page, '#chat-worker-tokens'), '60');

    await ask(page, '3 tokens, please');
    await isChat(page, 'Complete');
    assert.equal(await answerOf(page), whole(3));
    assert.equal(await page.locator('#chat-turns .turn').count(), 2);
    assert.deepEqual(requests.map(({ method, pathname }) => `${method} ${pathname}`), ['POST /calls/chat', 'POST /calls/chat']);
    assert.notEqual(requests[0].key, requests[1].key);
    assert.ok(requests[0].key.length >= 22);
    assert.equal(worker.calls[0].contentType, 'application/json');
    assert.deepEqual(page.errors, []);
  });

  test('stops the worker at once, and shows what was used until then', async () => {
    const delays = [];
    for (const stop of [() => page.getByRole('button', { name: 'Stop', exact: true }).click(), () => page.press('#chat-prompt', 'Escape'),
      () => page.press('#chat-scroll', 'Escape')]) {
      await ask(page, '99999 tokens, please');
      const call = await worker.next();
      await has(page, 20);
      await stop();
      await isChat(page, 'Stopped');
      assert.equal(call.cancelled.reason, 'CLIENT');
      assert.equal(await noteOf(page), `Stopped · 20 input tokens · ${call.tokens} output tokens`);
      assert.equal(await answerOf(page), whole(call.tokens));
      await page.locator('#chat-verdict[data-tone="ok"]').waitFor();
      const [, delay, tokens] = /^The worker stopped (\d+) ms after Stop, at (\d+) tokens\.$/.exec(await textOf(page, '#chat-verdict-text'));
      assert.equal(Number(tokens), call.tokens);
      delays.push(Number(delay));
      assert.equal(await page.evaluate(() => document.activeElement.id), 'chat-prompt');
    }
    // Others may use the machine: what counts is what it can do.
    assert.ok(Math.min(...delays) < 200, `ms after Stop: ${delays}`);
    assert.equal(requests.filter(({ method }) => method === 'DELETE').length, 3);
    assert.deepEqual(page.errors, []);
  });

  test('goes on exactly where it was when the network cuts it, again and again', async () => {
    await ask(page, '150 tokens, please');
    const call = await worker.next();
    for (const least of [10, 40, 70, 100]) {
      worker.limit = least + 5;
      await has(page, least);
      proxy.cutAfter = () => 2000 + least * 7;  // wherever that is: in an event, in its id
      proxy.cut();
    }
    proxy.cutAfter = () => Infinity;
    worker.limit = Infinity;
    await isChat(page, 'Complete');
    assert.equal(await answerOf(page), whole(150));
    assert.match(await textOf(page, '#chat-verdict-text'), /^All of it is here: 150 tokens, through \d+ reconnects\.$/);
    const [post, ...gets] = requests;
    assert.equal(post.method, 'POST');
    assert.ok(gets.length >= 4);
    for (const get of gets) {
      assert.deepEqual([get.method, get.pathname], ['GET', `/calls/${call.id}`]);
      assert.match(get.lastEventId, /^[0-9a-f]+-\d+$/);
    }
    assert.equal(worker.calls.length, 1);
    assert.equal(call.cancelled, null);
  });

  test('goes on when its own cut ends', async () => {
    worker.limit = 20;
    await ask(page, '100 tokens, please');
    await has(page, 10);
    await page.getByRole('button', { name: 'Cut for 3 s' }).click();
    await isChat(page, 'Cut');
    worker.limit = Infinity;
    await isChat(page, 'Complete');
    assert.equal(await answerOf(page), whole(100));
    assert.equal(await textOf(page, '#chat-reconnects'), '1');
  });

  test('asks the worker once, though the POST has to be sent again', async () => {
    proxy.cutAfter = () => 0;  // the bridge has the call, and the page has no answer
    proxy.cut();
    await ask(page, '40 tokens, please');
    await worker.next();
    await sentence(page, 'The connection is lost');
    proxy.cutAfter = () => Infinity;
    await isChat(page, 'Complete');
    assert.equal(await answerOf(page), whole(40));
    const posts = requests.filter(({ method }) => method === 'POST');
    assert.ok(posts.length >= 2);
    assert.equal(new Set(posts.map(({ key }) => key)).size, 1);
    assert.equal(worker.calls.length, 1);
  });

  test('stops a question that has reached nobody', async () => {
    proxy.target = '127.0.0.1:1';  // nobody is there
    proxy.cut();
    await ask(page, '5 tokens, please');
    await sentence(page, 'The connection is lost');
    await page.press('#chat-prompt', 'Escape');
    await isChat(page, 'Stopped');
    assert.equal(await noteOf(page), 'Stopped before the bridge had answered');
    assert.equal(await page.getByRole('button', { name: 'Send' }).isVisible(), true);
  });

  test('notices a network that says nothing any more', async () => {
    worker.limit = 20;
    await ask(page, '100 tokens, please');
    await has(page, 10);
    proxy.isFrozen = true;
    await isChat(page, 'Going on');
    worker.limit = Infinity;
    proxy.isFrozen = false;
    await isChat(page, 'Complete');
    assert.equal(await answerOf(page), whole(100));
  });

  test('is all there after a reload, and goes on', async () => {
    await ask(page, '5 tokens, please');
    await isChat(page, 'Complete');
    worker.limit = 40;
    await ask(page, '150 tokens, please');
    await has(page, 30);
    await page.reload();
    assert.deepEqual(await page.locator('#chat-turns .prompt').allTextContents(),
      ['You asked: 5 tokens, please', 'You asked: 150 tokens, please']);
    await has(page, 40);
    worker.limit = Infinity;
    await isChat(page, 'Complete');
    assert.deepEqual(await page.locator('#chat-turns .answer-text').allTextContents(), [whole(5), whole(150)]);
    assert.equal(worker.calls.length, 2);

    const { length } = requests;
    await page.reload();
    await isChat(page, 'Complete');
    assert.deepEqual(await page.locator('#chat-turns .answer-text').allTextContents(), [whole(5), whole(150)]);
    assert.equal(requests.length, length, 'what is complete was read again');
    await page.getByRole('button', { name: 'Clear the chat' }).click();
    assert.equal(await page.evaluate(() => JSON.stringify({ ...sessionStorage })), '{}');
    await page.reload();
    assert.equal(await page.locator('#chat-turns .turn').count(), 0);
  });

  test('shows prompts and tokens as text, whatever is in them', async () => {
    const html = '<img src=x onerror="window.hacked = true"><script>window.hacked = true</script>';
    worker.tokensOf = (prompt) => [prompt, '\n\n<b>', 'not bold', '</b>\n', '  two spaces'];
    worker.end = () => ({ usage: { fields: { [html]: { stringValue: html } } } });
    await ask(page, html);
    await isChat(page, 'Complete');
    assert.equal(await answerOf(page), `${html}\n\n<b>not bold</b>\n  two spaces`);
    assert.equal(await noteOf(page), `Complete · ${html}: ${html}`);
    assert.equal(await page.locator('#chat img, #chat b, #chat script').count(), 0);
    await page.reload();
    await isChat(page, 'Complete');
    assert.equal(await page.locator('#chat img, #chat b, #chat script').count(), 0);
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    assert.deepEqual(page.errors, []);
  });

  test('stops what it forgets', async () => {
    await ask(page, '99999 tokens, please');
    const call = await worker.next();
    await has(page, 5);
    await page.fill('#chat-prompt', 'a draft');
    await page.getByRole('button', { name: 'Clear the chat' }).click();
    await eventually(() => call.isOver);
    assert.equal(call.cancelled.reason, 'CLIENT');
    assert.equal(await textOf(page, '#chat-state-name'), 'Ready');
    assert.equal(await page.inputValue('#chat-prompt'), 'a draft');
    assert.equal(await page.evaluate(() => JSON.stringify({ ...sessionStorage })), '{}');
  });

  test('says that a worker has failed, and asks again', async () => {
    worker.end = () => ({ code: 13, message: 'the model is out of memory' });
    await ask(page, '5 tokens, please');
    await isChat(page, 'Ended early');
    await sentence(page, 'The worker could not answer this.');
    assert.match(await detailOf(page), /^the model is out of memory · /);
    assert.equal(await answerOf(page), whole(5));
    worker.end = () => ({});
    await page.getByRole('button', { name: 'Ask again' }).click();
    await isChat(page, 'Complete');
    assert.equal(worker.calls.length, 2);
  });

  test('says that no worker is there, and asks one that has come', async () => {
    await worker.stop();
    await ask(page, '5 tokens, please');
    await sentence(page, 'No worker can take this now. Start one that serves “chat”, or try again ');
    assert.match(await detailOf(page), /^503: /);
    assert.equal(await textOf(page, '#chat-state-name'), 'Refused');
    await page.reload();
    await sentence(page, 'No worker can take this now.');
    worker = await startWorker(bridge.grpc);
    await page.getByRole('button', { name: 'Try again' }).click();
    await isChat(page, 'Complete');
    assert.equal(await answerOf(page), whole(5));
  });

  test('says that the bridge has forgotten an answer', async () => {
    await ask(page, '1000 tokens, please');
    await has(page, 5);
    const { http, grpc } = bridge;
    await bridge.stop('SIGKILL');
    bridge = await startBridge({ 'http.address': http, 'grpc.address': grpc });
    await sentence(page, 'The bridge no longer has this answer');
    assert.match(await detailOf(page), /^404: /);
    worker = await startWorker(bridge.grpc);
    await page.getByRole('button', { name: 'Ask again' }).click();
    await isChat(page, 'Answering');
    await page.press('#chat-prompt', 'Escape');
    await isChat(page, 'Stopped');
  });

  test('stops a call though the browser has no connection left', async () => {
    await ask(page, '10000 tokens, please');
    const call = await worker.next();
    await has(page, 5);
    // Six to an origin: the page's stream, the answer and these.
    await page.evaluate(() => Promise.all(Array.from({ length: 4 }, () => new Promise((resolve) => {
      new EventSource('/events?topic=nothing').onopen = resolve;
    }))));
    await page.press('#chat-prompt', 'Escape');
    await isChat(page, 'Stopped');
    assert.equal(call.cancelled.reason, 'CLIENT');
    assert.equal(await answerOf(page), whole(call.tokens));
  });

  test('is used with the keyboard, and tells assistive technology', async () => {
    worker.limit = 10;
    await page.focus('#chat-prompt');
    await page.keyboard.type('30 tokens,');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('please');
    await page.keyboard.press('Enter');
    await isChat(page, 'Answering');
    assert.equal((await worker.next()).prompt, '30 tokens,\nplease');
    const reply = page.locator('#chat-turns .reply');
    assert.equal(await reply.getAttribute('aria-live'), 'polite');
    assert.equal(await reply.getAttribute('aria-busy'), 'true');
    await page.keyboard.type('next');
    await page.keyboard.press('Enter');  // one at a time: it stays where it is
    assert.equal(await page.inputValue('#chat-prompt'), 'next');
    worker.limit = Infinity;
    await isChat(page, 'Complete');
    await page.locator('#chat-turns .reply[aria-busy="false"]').waitFor();
    assert.equal(worker.calls.length, 1);
    await page.getByRole('textbox', { name: 'Prompt' }).press('Escape');
    assert.equal(await textOf(page, '#chat-state-name'), 'Complete');
  });
});

describe('the chat, at a bridge', () => {
  let bridge;
  let page;
  let worker;
  const start = async (settings, options) => {
    bridge = await startBridge(settings);
    worker = await startWorker(bridge.grpc);
    page = await open(browser, bridge.http, options);
    await isState(page, 'open');
  };
  afterEach(async () => {
    await page.context().close();
    await worker.stop();
    await bridge.stop();
  });

  test('that waits a second for its reader, lets the worker stop after that when its tab is closed, and not before', async () => {
    await start({ 'calls.grace': '1s' });
    await ask(page, '99999 tokens, please');
    const call = await worker.next();
    await has(page, 10);
    const closedAt = performance.now();
    await page.context().close();
    await eventually(() => call.isOver);
    assert.equal(call.cancelled.reason, 'ABANDONED');
    const delayMs = call.cancelled.at - closedAt;
    assert.ok(delayMs > 800 && delayMs < 7000, `after ${delayMs} ms`);
  });

  test('that has no such call, says so', async () => {
    await start({ 'calls.names': '["other"]' });
    await ask(page, 'hello');
    await sentence(page, 'Nothing can be called “chat” at this bridge.');
    assert.match(await detailOf(page), /^404: .*chat/);
  });

  test('that has too many of this address, says so, and asks later', async () => {
    // A loopback address is not one client's, but where a proxy says so.
    const headers = { 'X-Forwarded-For': '203.0.113.7' };
    await start({ 'limits.calls_per_address': 1, 'http.trusted_proxies': '["127.0.0.0/8"]' }, { extraHTTPHeaders: headers });
    const other = await fetch(`http://${bridge.http}/calls/chat`, { method: 'POST', headers, body: JSON.stringify({ prompt: '100000 tokens' }) });
    assert.equal(other.status, 200);
    await ask(page, '5 tokens, please');
    await sentence(page, 'Too many calls are open already. Stop one, or try again ');
    assert.match(await detailOf(page), /^429: /);
    await fetch(new URL(other.headers.get('location'), other.url), { method: 'DELETE' });
    await other.text();
    await page.getByRole('button', { name: 'Try again' }).click();
    await isChat(page, 'Complete');
  });

  test('that does not take so much, says so', async () => {
    await start({ 'calls.max_body_bytes': '1KiB' });
    await ask(page, 'a'.repeat(2000));
    await sentence(page, 'This is longer than the bridge takes.');
  });

  test('that wants a token, says so, and goes on with one', async () => {
    const keys = createKeys();
    const tokenFor = (calls) => keys.token({ subscribe: ['demo.>'], call: calls });
    await start({ ...keys.settings, 'auth.anonymous.subscribe': '["demo.>"]', 'auth.anonymous.serve': '["chat"]' });
    const requests = watchCalls(page);
    await ask(page, '5 tokens, please');
    await sentence(page, 'The bridge wants to know who asks.');
    assert.match(await detailOf(page), /^401: /);
    await page.locator('#access-title:has-text("The bridge wants a token that allows this call.")').waitFor();
    const give = async (token) => {
      await page.fill('#access-token', token);
      await page.getByRole('button', { name: 'Use this token' }).click();
    };
    await give(tokenFor(['other']));
    await sentence(page, 'You may not call “chat” with this token.');
    assert.match(await detailOf(page), /^403: /);
    await give(tokenFor(['chat']));
    await isChat(page, 'Complete');
    worker.limit = 40;
    await ask(page, '200 tokens, please');
    await has(page, 5);
    await page.reload();  // which forgets the token, and not the call
    await sentence(page, 'The bridge wants to know who asks.');
    worker.limit = Infinity;
    await give(tokenFor(['chat']));
    await isChat(page, 'Complete');
    assert.equal(await answerOf(page), whole(200));
    assert.equal(worker.calls.length, 2);
    assert.deepEqual([...new Set(requests.map(({ method, authorization }) => `${method} ${(authorization ?? 'none').slice(0, 6)}`))],
      ['POST none', 'POST Bearer', 'GET none', 'GET Bearer']);
  });
});

describe('the chat, answered by the demo,', () => {
  test('is complete, is stopped, and fits its screen', async () => {
    const bridge = await startBridge({ 'http.heartbeat': '500ms' });
    const demo = startDemo(bridge.grpc, { tokenRate: 20 });
    const page = await open(browser, bridge.http);
    await isState(page, 'open');
    await page.getByRole('button', { name: 'Why does every event have an id?' }).click();
    await isChat(page, 'Complete');
    await page.locator('#chat-worker-name:has-text("Idle")').waitFor();
    assert.equal(await textOf(page, '#chat-worker-tokens'), await textOf(page, '#chat-tokens'));
    assert.match(await answerOf(page), /^So that a break in the line is not a break in the story\. /);

    await ask(page, 'And with <b>two</b> lines,\nor in žluťoučký kůň?');
    await has(page, 10);
    await page.press('#chat-prompt', 'Escape');
    await isChat(page, 'Stopped');
    await page.locator('#chat-verdict[data-tone="ok"]').waitFor();
    assert.match(await answerOf(page), /^You asked: “And with <b>two<\/b> lines,\nor in/);
    await page.evaluate(() => scrollTo(0, 0));
    for (const [name, width, height] of [['wide', 1440, 900], ['narrow', 390, 844]]) {
      await page.setViewportSize({ width, height });
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
        await takeScreenshot(page, `chat-${name}-${colorScheme}`);
      }
    }
    assert.deepEqual(page.errors, []);
    await page.context().close();
    assert.equal(await stopDemo(demo), 0);
    await bridge.stop();
  });
});
