// The README's snippets do what it says.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { EventSource } from 'undici';

import { preparePython } from '../interop/python.mjs';
import { connectPublisher, eventually, startBridge, subscribe, take } from '../support/bridge.mjs';
import { whyNoGrpcurl } from './grpcurl.mjs';
import { snippetFor, startShell } from './snippets.mjs';

const scratch = mkdtempSync(path.join(tmpdir(), 'readme-'));
let bridge;
let publisher;
before(async () => {
  bridge = await startBridge();
  publisher = connectPublisher(bridge.grpc);
});
after(async () => {
  await publisher?.close();
  await bridge?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

const publish = (topic) => publisher.publish([{ topic, type: 'update', text: 'paid' }]);
const newest = async () => (await take(subscribe(`http://${bridge.http}/events?topic=>&replay=1`), 1))[0];

test('curl receives', async () => {
  const shell = startShell(snippetFor(bridge, 'README.md', 'curl'));
  await eventually(() => shell.said.includes('bridge.open'));
  await publish('orders.1');
  await eventually(() => shell.said.includes('data: paid\n'), { describe: () => shell.said });
  await shell.stop();
});

test('EventSource receives', async () => {
  const said = [];
  const source = new Function('EventSource', 'console', `${snippetFor(bridge, 'README.md', 'EventSource')}; return source;`)(
    EventSource,
    { log: (...words) => said.push(words) },
  );
  await eventually(() => source.readyState === EventSource.OPEN);
  const [{ first_id: id }] = await publish('orders.2');
  await eventually(() => said.length > 0);
  assert.deepEqual(said, [[id, 'paid']]);
  source.close();
});

test('Python publishes', async () => {
  const { python, env } = preparePython(scratch);
  const said = execFileSync(python, ['-c', snippetFor(bridge, 'README.md', 'Python')], { env, encoding: 'utf8' });
  const { id, event, data } = await newest();
  assert.deepEqual({ event, data }, { event: 'update', data: 'paid' });
  assert.ok(said.includes(`first_id: "${id}"`), said);
});

test('grpcurl publishes', { skip: whyNoGrpcurl() }, async () => {
  const { last_id: lastId } = JSON.parse(execFileSync('sh', ['-c', snippetFor(bridge, 'README.md', 'grpcurl')], { encoding: 'utf8' }));
  assert.equal((await newest()).id, lastId);
});
