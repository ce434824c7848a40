// docs/publishing.md, as it stands there: each language publishes the same event.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { whyNoGo } from '../interop/go.mjs';
import { preparePython } from '../interop/python.mjs';
import { bridgeBinary, repository, startBridge, subscribe, take } from '../support/bridge.mjs';
import { whyNoGrpcurl } from './grpcurl.mjs';
import { snippet, snippetFor } from './snippets.mjs';

const run = promisify(execFile);
// What compiles has time to do so on a machine that is busy.
const compiles = { timeout: 300_000 };
const examples = path.join(repository, 'examples');
const scratch = mkdtempSync(path.join(tmpdir(), 'publishing-'));
let bridge;
before(async () => { bridge = await startBridge(); });
after(async () => {
  await bridge?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

let published = 0;
async function assertPublished() {
  published += 1;
  const events = await take(subscribe(`http://${bridge.http}/events?topic=orders.42&replay=all`), published);
  assert.deepEqual([events.at(-1).event, events.at(-1).data], ['update', '{"state":"paid"}']);
}

test('grpcurl publishes', { skip: whyNoGrpcurl() }, async () => {
  await run('sh', ['-c', snippetFor(bridge, 'docs/publishing.md', 'grpcurl')]);
  await assertPublished();
});

test('Python publishes', async () => {
  const { python, env } = preparePython(scratch);
  const code = snippetFor(bridge, 'docs/publishing.md', 'Python');
  await run(python, ['-c', code], { env: { ...env, PYTHONPATH: `${env.PYTHONPATH}:${path.join(examples, 'python')}` } });
  await assertPublished();
});

test('Node.js publishes', async () => {
  const file = path.join(scratch, 'publish.mjs');
  const code = snippetFor(bridge, 'docs/publishing.md', 'Node.js');
  writeFileSync(file, code.replace('./publisher.js', path.join(examples, 'node/publisher.js')));
  await run(process.execPath, [file]);
  await assertPublished();
});

test('Go publishes', { ...compiles, skip: whyNoGo() }, async () => {
  // A copy, because another test may generate code there at the same time.
  const cwd = path.join(scratch, 'examples/go');
  mkdirSync(path.dirname(cwd));
  cpSync(path.join(examples, 'go'), cwd, { recursive: true, filter: (source) => !['bin', 'bridgev1'].includes(path.basename(source)) });
  symlinkSync(path.join(repository, 'proto'), path.join(scratch, 'proto'));
  await run('go', ['generate', './...'], { cwd });
  writeFileSync(path.join(cwd, 'main.go'), snippetFor(bridge, 'docs/publishing.md', 'Go'));
  await run('go', ['run', '.'], { cwd });
  await assertPublished();
});

test('C++ compiles', compiles, async () => {
  const file = path.join(scratch, 'publish.cc');
  writeFileSync(file, snippet('docs/publishing.md', 'C++'));
  const generated = path.join(path.dirname(bridgeBinary), '../proto');
  await run('clang++-19', ['-std=c++20', '-fsyntax-only', '-isystem', generated, '-I', path.join(examples, 'cpp'), file]);
});
