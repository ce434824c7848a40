// The README's snippets do what it says.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { EventSource } from 'undici';

import { connectPublisher, eventually, repository, start, startBridge, subscribe, take } from '../support/bridge.mjs';
import { preparePython } from './python.mjs';

const readme = readFileSync(path.join(repository, 'README.md'), 'utf8');

// The snippet in this language that contains `text`, with the addresses of `bridge`.
function snippet(language, text) {
  const found = [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)].filter(([, kind, code]) => kind === language && code.includes(text));
  assert.equal(found.length, 1, `README.md has one ${language} snippet with ${text}`);
  return found[0][2].replaceAll('127.0.0.1:8080', bridge.http).replaceAll('127.0.0.1:9090', bridge.grpc);
}

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
  const shell = start('sh', ['-c', `exec ${snippet('sh', 'curl -N')}`], { stdio: 'pipe' });
  let output = '';
  shell.stdout.on('data', (text) => { output += text; });
  await eventually(() => output.includes('bridge.open'));
  await publish('orders.1');
  await eventually(() => output.includes('data: paid\n'), { describe: () => output });
  shell.kill();
  await shell.ended;
});

test('EventSource receives', async () => {
  const said = [];
  const source = new Function('EventSource', 'console', `${snippet('js', 'EventSource')}; return source;`)(
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
  const said = execFileSync(python, ['-c', snippet('python', 'PublishOnce')], { env, encoding: 'utf8' });
  const { id, event, data } = await newest();
  assert.deepEqual({ event, data }, { event: 'update', data: 'paid' });
  assert.ok(said.includes(`first_id: "${id}"`), said);
});

function whyNoGrpcurl() {
  try {
    execFileSync('grpcurl', ['--version'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'there is no grpcurl on the path';
  }
}

test('grpcurl publishes', { skip: whyNoGrpcurl() }, async () => {
  const { last_id: lastId } = JSON.parse(execFileSync('sh', ['-c', snippet('sh', 'grpcurl')], { encoding: 'utf8' }));
  assert.equal((await newest()).id, lastId);
});
