// The shell commands of docs/buffering.md and docs/publishers.md, as they stand there.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { bridgeBinary, connectPublisher, eventually, startBridge } from '../support/bridge.mjs';
import { snippet, snippetFor, startShell } from './snippets.mjs';

// What curl ends with when --max-time has passed.
const timedOut = 28;

let bridge;
before(async () => { bridge = await startBridge({ 'http.heartbeat': '200ms' }); });
after(() => bridge?.stop());

test('the bridge itself answers at once, and an event is there at once', async () => {
  const shell = startShell(snippetFor(bridge, 'docs/buffering.md', 'the bridge itself'));
  await eventually(() => shell.said.includes('bridge.open'));
  const publisher = connectPublisher(bridge.grpc);
  await publisher.publish([{ topic: 'check.now', text: 'here' }]);
  await eventually(() => shell.said.includes('data: here\n') && shell.said.includes('bridge.heartbeat'), { deadlineMs: 4000 });
  await publisher.close();
  await shell.stop();
});

test('the time of the first byte is shown', async () => {
  const shell = startShell(snippetFor(bridge, 'docs/buffering.md', 'the first byte'));
  assert.equal(await shell.ended, timedOut);
  const [, seconds] = /^first byte after (\S+) s\n$/.exec(shell.said);
  assert.ok(seconds > 0 && seconds < 1, shell.said);
});

test('the head shows that nobody compresses', async () => {
  const shell = startShell(snippetFor(bridge, 'docs/buffering.md', 'the head'));
  assert.equal(await shell.ended, timedOut);
  assert.match(shell.said, /^Content-Type: text\/event-stream\r$/m);
  assert.match(shell.said, /^Cache-Control: no-cache, no-transform\r$/m);
  assert.match(shell.said, /^X-Accel-Buffering: no\r$/m);
  assert.doesNotMatch(shell.said, /^Content-(Encoding|Length):/m);
});

test("a publisher's token is made", async () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'publishers-'));
  writeFileSync(path.join(directory, 'secret'), 'a secret for tests that is at least 32 bytes long');
  const shell = startShell(snippet('docs/publishers.md', 'token'), {
    cwd: directory,
    env: { ...process.env, PATH: `${path.dirname(bridgeBinary)}:${process.env.PATH}` },
  });
  assert.equal(await shell.ended, 0);
  const claims = JSON.parse(Buffer.from(shell.said.split('.')[1], 'base64url'));
  assert.deepEqual([claims.sub, claims.bridge.publish], ['shop', ['orders.>']]);
  rmSync(directory, { recursive: true, force: true });
});
