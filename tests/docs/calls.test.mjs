// docs/calls.md, as it stands there.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { build } from 'esbuild';
import { EventSource } from 'undici';

import { cancelCall, openCall, readCall } from '../interop/calls.mjs';
import { preparePython } from '../interop/python.mjs';
import { bridgeBinary, eventually, repository, start, startBridge, startProxy } from '../support/bridge.mjs';
import { snippet, snippetFor, startShell } from './snippets.mjs';

const scratch = mkdtempSync(path.join(tmpdir(), 'calls-'));
const examples = path.join(repository, 'examples/python');
const { python, env } = preparePython(scratch);
const inExamples = { cwd: examples, env: { ...env, PYTHONPATH: `${env.PYTHONPATH}:${examples}` } };

let bridge;
let worker;
before(async () => {
  bridge = await startBridge();
  worker = start(python, ['chat_worker.py', '--target', bridge.grpc, '--thinking', '0', '--token-rate', '100'], inExamples);
  await eventually(async () => (await openCall(bridge, { prompt: 'ready?' })).status === 200, { describe: () => worker.output });
});
after(async () => {
  worker?.kill('SIGTERM');
  assert.equal(await worker?.ended, 0, worker?.output);
  await bridge?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

const isWhole = /^You asked: “Why\?”\n\n.* costs nobody anything\.$/s;

test('curl asks', async () => {
  const shell = startShell(snippetFor(bridge, 'docs/calls.md', 'curl'));
  assert.equal(await shell.ended, 0);
  assert.match(shell.said, /^event: bridge\.open\n.*event: token\n.*event: bridge\.end\ndata: \{"status":"ok"/ms);
});

// The module that a snippet is, with what it imports of npm, and fetch and EventSource as they are given.
async function load(code, globals = {}) {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: path.join(repository, 'tests') },
    bundle: true,
    write: false,
    format: 'iife',
    globalName: 'loaded',
  });
  return new Function(...Object.keys(globals), `${outputFiles[0].text}; return loaded;`)(...Object.values(globals));
}

test('fetch asks, and is aborted', async () => {
  const { ask } = await load(snippetFor(bridge, 'docs/calls.md', 'fetch'));
  let text = '';
  const end = await ask('Why?', { onToken: (token) => { text += token; } });
  assert.equal(end.status, 'ok');
  assert.match(text, isWhole);

  const stop = new AbortController();
  let count = 0;
  await assert.rejects(ask('Why?', { signal: stop.signal, onToken: () => { if ((count += 1) === 5) stop.abort(); } }), { name: 'AbortError' });
});

test('fetch-event-source asks, comes back after cuts to the same call, and is stopped', async () => {
  const proxy = await startProxy(bridge.http);
  const window = { fetch, setTimeout, clearTimeout };
  const document = { hidden: false, addEventListener() {}, removeEventListener() {} };
  const code = snippetFor({ ...bridge, http: proxy.address }, 'docs/calls.md', 'fetch-event-source');
  const { ask, cancel } = await load(code, { window, document });
  let text = '';
  let count = 0;
  const urls = new Set();
  const end = await ask('Why?', {
    onUrl: (url) => urls.add(url.href),
    onToken: (token) => {
      text += token;
      count += 1;
      if (count === 10 || count === 40) proxy.cut();
    },
  });
  assert.equal(end.status, 'ok');
  assert.match(text, isWhole);
  assert.equal(end.usage.output_tokens, count);
  assert.equal(urls.size, 1);
  assert.ok(proxy.accepted >= 3);

  let mine;
  count = 0;
  const stopped = await ask('Why?', { onUrl: (url) => { mine = url; }, onToken: () => { if ((count += 1) === 5) cancel(mine); } });
  assert.equal(stopped.status, 'cancelled');
  await proxy.stop();
});

test('EventSource reads, over a cut', async () => {
  const proxy = await startProxy(bridge.http);
  const code = snippetFor({ ...bridge, http: proxy.address }, 'docs/calls.md', 'EventSource');
  const { ask } = await load(code, { EventSource });
  let text = '';
  let count = 0;
  let end;
  const url = await ask('Why?', {
    onToken: (token) => {
      text += token;
      if ((count += 1) === 10) proxy.cut();
    },
    onEnd: (data) => { end = data; },
  });
  await eventually(() => end);
  assert.equal(end.status, 'ok');
  assert.match(text, isWhole);
  await proxy.stop();
  // What the page says of a reader that comes later.
  const direct = url.replace(proxy.address, bridge.http);
  const again = await readCall(direct);
  assert.deepEqual(await again.end, end);
  assert.equal(again.text, text);
  assert.equal((await readCall(direct, again.lastId)).status, 204);
  assert.deepEqual(await cancelCall(direct), { status: 200, end });
});

test('a worker in Python answers', async () => {
  const code = `${snippetFor(bridge, 'docs/calls.md', 'Python')}\nimport sys\nsys.stdin.read()\nworker.close(5)\n`;
  const child = start(python, ['-c', code], { ...inExamples, stdio: ['pipe', 'ignore', 'pipe'] });
  const ask = () => fetch(`http://${bridge.http}/calls/shout`, { method: 'POST', body: 'not so loud' });
  const response = await eventually(async () => {
    const answer = await ask();
    return answer.status === 200 ? answer : undefined;
  }, { describe: () => child.output });
  const said = await response.text();
  assert.deepEqual(said.match(/^data: \w+$/gm), ['data: NOT', 'data: SO', 'data: LOUD']);
  assert.match(said, /"usage": ?\{"words": ?3\}/);
  child.stdin.end();
  assert.equal(await child.ended, 0, child.output);
});

test('tokens say who may call and who may serve', async () => {
  const directory = mkdtempSync(path.join(scratch, 'tokens-'));
  const shell = startShell(snippet('docs/calls.md', 'tokens'), {
    cwd: directory,
    env: { ...process.env, PATH: `${path.dirname(bridgeBinary)}:${process.env.PATH}` },
  });
  assert.equal(await shell.ended, 0);
  const [toCall, toServe] = shell.said.trim().split('\n');
  const closed = await startBridge({ 'auth.jwt.keys': `[{algorithm: HS256, secret_file: ${directory}/secret}]` });
  const serve = (token) => {
    writeFileSync(path.join(directory, 'token'), token);
    return start(python, ['chat_worker.py', '--target', closed.grpc, '--thinking', '0', '--token-rate', '1000'], {
      ...inExamples, env: { ...inExamples.env, BRIDGE_TOKEN_FILE: path.join(directory, 'token') },
    });
  };
  const ask = (token) => openCall(closed, { prompt: 'Why?' }, { headers: token ? { Authorization: `Bearer ${token}` } : {} });

  const other = serve(toCall);
  await eventually(() => other.output.includes('chat: '), { describe: () => other.output });
  assert.equal((await ask(toCall)).status, 503);
  other.kill('SIGTERM');
  await other.ended;

  const good = serve(toServe);
  const call = await eventually(async () => {
    const opened = await ask(toCall);
    return opened.status === 200 ? opened : undefined;
  }, { describe: () => good.output });
  assert.equal((await call.end).status, 'ok');
  assert.equal((await ask()).status, 401);
  assert.equal((await ask(toServe)).status, 403);
  assert.equal((await readCall(call.url)).status, 401);
  good.kill('SIGTERM');
  await good.ended;
  await closed.stop();
});
