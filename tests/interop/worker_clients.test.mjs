// What the worker of examples/python promises its handlers, whatever they do: as drivers/answer.py has them. That in C++ has
// tests/integration/worker_client_test.cc.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';

import grpc from '@grpc/grpc-js';

import { createKeys, eventually, repository, start, startBridge } from '../support/bridge.mjs';
import { openCall } from './calls.mjs';
import { startFakeBridge } from './publishing.mjs';
import { preparePython } from './python.mjs';

const scratch = mkdtempSync(path.join(tmpdir(), 'worker-clients-'));
after(() => rmSync(scratch, { recursive: true, force: true }));
const { python, env } = preparePython(scratch);
const program = path.join(repository, 'tests/interop/drivers/answer.py');
const PYTHONPATH = `${env.PYTHONPATH}:${path.join(repository, 'examples/python')}`;

const startWorker = (address, moreEnv) => start(python, [program, address], { env: { ...env, PYTHONPATH, ...moreEnv } });

// Runs a test with a worker at a bridge.
const withWorker = (moreEnv, use, settings = {}) => async () => {
  const bridge = await startBridge(settings);
  const worker = startWorker(bridge.grpc, moreEnv);
  const isServing = async () => /^sse_bridge_call_workers 1$/m.test(await (await fetch(`http://${bridge.admin}/metrics`)).text());
  await eventually(isServing, { deadlineMs: 40_000, describe: () => `a worker; it said ${worker.output}` });
  const ask = async (name) => {
    const call = await openCall(bridge, {}, { name });
    return { end: await call.end, text: call.text, count: call.count };
  };
  await use({ ask, worker });
  worker.kill('SIGTERM');
  await worker.ended;
  await bridge.stop();
};

test('an event that is too large ends its call, and not the stream', withWorker({}, async ({ ask, worker }) => {
  const { end: { message, ...end }, text } = await ask('large');
  assert.deepEqual(end, { status: 'failed', code: 3, usage: { was_sent: false } });
  assert.match(message, /1048576/);
  assert.equal(text, 'before');
  assert.doesNotMatch(worker.output, /reconnect/);
}));

test('an event is sent as it was given, whatever becomes of it then', withWorker({}, async ({ ask }) => {
  const { end, text } = await ask('again');
  assert.equal(end.status, 'ok');
  assert.equal(text, Array.from({ length: 50 }, (_, number) => `${number} `).join(''));
}));

test('an end whose usage is refused comes without it', withWorker({}, async ({ ask }) => {
  const { end, text } = await ask('infinite');
  assert.equal(end.status, 'failed');
  assert.match(end.message, /usage/);
  assert.equal(text, 'all of it');
}));

test('a long message is shortened between two characters', withWorker({}, async ({ ask }) => {
  const { end } = await ask('verbose');
  assert.deepEqual([end.status, end.code, end.message], ['failed', 14, `x${'ä'.repeat(511)}`]);
}));

test('what was too much work for one request is sent again', withWorker({}, async ({ ask }) => {
  const { end, count } = await ask('busy');
  assert.equal(end.status, 'ok', end.message);
  assert.equal(count, 100);
}, { 'http.max_frame_bytes': '4KiB' }));

test('goes on when token() or a callback raises, and tells of the callback in the end',
  withWorker({ TOKENS: '["!", "!", ""]', CALLBACK_RAISES: 'yes' }, async ({ ask, worker }) => {
    assert.equal((await ask('again')).end.status, 'ok');
    assert.match(worker.output, /reconnect: UNAVAILABLE .*there is no token now/);
    worker.kill('SIGTERM');
    assert.equal(await worker.ended, 1);
    assert.match(worker.output.trim(), /ValueError: from a callback$/);
  }));

// grpcio may hang where a call is collected while Python exits.
test('no gRPC call outlives its stream', async () => {
  const keys = createKeys();
  const bridge = await startBridge(keys.settings);
  const code = `
import gc
import threading
import grpc
from worker import Worker

gc.disable()

def after_failing(address, callback):
    has_failed = threading.Event()

    def fail(*arguments):
        has_failed.set()
        raise ValueError

    worker = Worker(address, {"chat": None}, token=lambda: "${keys.token({})}", **{callback: fail})
    has_failed.wait(20)
    try:
        worker.close()
    except ValueError as error:
        return [each for each in gc.get_objects() if issubclass(type(each), grpc.Call)]

print(after_failing("${bridge.grpc}", "on_rejected"))
print(after_failing("127.0.0.1:1", "on_reconnect"))
`;
  const options = { env: { ...env, PYTHONPATH }, encoding: 'utf8', timeout: 30_000, stdio: ['ignore', 'pipe', 'ignore'] };
  assert.equal(execFileSync(python, ['-c', code], options), '[]\n[]\n');
  await bridge.stop();
});

test('waits longer and longer where the bridge does not take what is sent', async () => {
  const fake = await startFakeBridge();
  fake.scripts = Array(10).fill((stream) => stream.once('data', () => {
    stream.write({ serving: {} });
    stream.emit('error', { code: grpc.status.INVALID_ARGUMENT, details: 'of a test' });
  }));
  const worker = startWorker(fake.address, {});
  // After a good stream it is a tenth of a second at most.
  const waitsLong = () => [...worker.output.matchAll(/INVALID_ARGUMENT of a test; in (\d+) ms/g)].some(([, delay]) => Number(delay) > 150);
  await eventually(waitsLong, { describe: () => worker.output });
  worker.kill('SIGTERM');
  assert.equal(await worker.ended, 0, worker.output);
  await fake.stop();
});
