// The workers of examples/, which answer calls: over connections that are cut, killed and drained.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { bridgeBinary, eventually, repository, start, startBridge, startProxy, subscribe } from '../support/bridge.mjs';
import { startNats } from '../support/nats.mjs';
import { cancelCall, openCall, readCall } from './calls.mjs';
import { preparePython } from './python.mjs';

const scratch = mkdtempSync(path.join(tmpdir(), 'workers-'));
after(() => rmSync(scratch, { recursive: true, force: true }));
const inPython = preparePython(scratch);
const python = { cwd: path.join(repository, 'examples/python'), env: inPython.env };

const languages = [
  { name: 'C++', launch: (flags) => start(path.join(path.dirname(bridgeBinary), 'demo-worker'), flags) },
  { name: 'Python', launch: (flags) => start(inPython.python, ['chat_worker.py', ...flags], python) },
];

const metrics = async (bridge) => (await fetch(`http://${bridge.admin}/metrics`)).text();
// Python may take long to start on a machine that is busy.
const isServing = async (bridge, workers = 1) => new RegExp(`^sse_bridge_call_workers ${workers}$`, 'm').test(await metrics(bridge));

// What the workers say on demo.worker, as it comes: the newest of each call.
async function watchWorkers(bridge) {
  const states = new Map();
  const stream = subscribe(`http://${bridge.http}/events?topic=demo.worker`);
  await stream.next();
  (async () => {
    for await (const { event, data } of stream) {
      if (event !== 'worker') continue;
      const { state, call_id: id, tokens } = JSON.parse(data);
      states.set(id, { state, tokens });
    }
  })().catch(() => {});
  return states;
}

for (const { name, launch } of languages) {
  describe(name, () => {
    // Starts a worker, and waits until the bridge knows of it.
    async function startWorker(bridge, { target = bridge.grpc, tokenRate = 200, thinking = 0 } = {}) {
      const child = launch(['--target', target, '--token-rate', tokenRate, '--thinking', thinking]);
      await eventually(() => isServing(bridge), { deadlineMs: 40_000, describe: () => `a worker; it said ${child.output}` });
      return child;
    }

    async function stopWorker(child) {
      child.kill('SIGTERM');
      return child.ended;
    }

    test('answers token by token, and tells what it took', async () => {
      const bridge = await startBridge();
      const worker = await startWorker(bridge);
      for (const body of [{ prompt: 'Does it, “ünïcode”?' }, 'Does it, “ünïcode”?']) {
        const call = await openCall(bridge, body);
        const { status, usage } = await call.end;
        assert.equal(status, 'ok');
        assert.match(call.text, /^You asked: “Does it, “ünïcode”\?”\n\n.* costs nobody anything\.$/s);
        assert.ok(call.count > 80, `${call.count} tokens`);
        assert.equal(usage.output_tokens, call.count);
        assert.ok(usage.input_tokens > 2);
      }
      assert.equal(await stopWorker(worker), 0, worker.output);
      await bridge.stop();
    });

    test('a prompt that is not UTF-8 disturbs no other call', async () => {
      const bridge = await startBridge();
      const proxy = await startProxy(bridge.grpc);
      const worker = await startWorker(bridge, { target: proxy.address, tokenRate: 100 });
      const other = await openCall(bridge, { prompt: 'a long story' });
      await other.tokens(3);
      const connections = proxy.accepted;
      const { status, code } = await (await openCall(bridge, Buffer.from([0xff]))).end;
      assert.ok(status === 'ok' || (status === 'failed' && code === 3), `${status}, ${code}`);
      assert.equal((await other.end).status, 'ok');
      assert.equal(proxy.accepted, connections, 'its stream was ended');
      assert.equal(await stopWorker(worker), 0, worker.output);
      await proxy.stop();
      await bridge.stop();
    });

    test('stops at once when its call is cancelled, and tells what it took until then', async (t) => {
      const bridge = await startBridge();
      const worker = await startWorker(bridge, { tokenRate: 50 });
      const states = await watchWorkers(bridge);
      const call = await openCall(bridge, { prompt: 'a long story' });
      await call.tokens(5);
      const asked = performance.now();
      assert.equal((await cancelCall(call.url)).status, 202);
      const { status, usage } = await call.end;
      t.diagnostic(`bridge.end after ${(performance.now() - asked).toFixed(1)} ms`);
      assert.equal(status, 'cancelled');
      assert.equal(usage.output_tokens, call.count);
      const { call_id: id } = call.opened;
      await eventually(() => states.get(id)?.state === 'idle');
      assert.deepEqual(states.get(id), { state: 'idle', tokens: call.count });
      assert.deepEqual(await cancelCall(call.url), { status: 200, end: await call.end });
      assert.equal(await stopWorker(worker), 0, worker.output);
      await bridge.stop();
    });

    test('stops when whoever asked has gone: at once, or after the grace, and not where somebody reads on', async () => {
      const bridge = await startBridge({ 'calls.grace': '2s' });
      const worker = await startWorker(bridge, { tokenRate: 20 });
      const states = await watchWorkers(bridge);
      const open = async (query) => {
        const call = await openCall(bridge, { prompt: 'a long story' }, { query });
        await call.tokens(3);
        call.abort();
        return call;
      };
      const ended = async ({ url }) => {
        const again = await readCall(url);
        return { again, end: await again.end };
      };
      const atOnce = await open('?on_disconnect=cancel');
      const left = await open('');
      const goesOn = await open('?on_disconnect=continue');
      const readOn = await open('');
      const reader = await readCall(readOn.url, readOn.lastId);
      await eventually(() => states.get(atOnce.opened.call_id)?.state === 'idle', { deadlineMs: 1500 });
      assert.equal(states.get(left.opened.call_id).state, 'working');
      await eventually(() => states.get(left.opened.call_id).state === 'idle');
      assert.equal((await ended(atOnce)).end.status, 'abandoned');
      assert.equal((await ended(left)).end.status, 'abandoned');
      assert.equal((await reader.end).status, 'ok');
      const { again, end } = await ended(goesOn);
      assert.equal(end.status, 'ok');
      assert.equal(readOn.text + reader.text, again.text);
      assert.equal(await stopWorker(worker), 0, worker.output);
      await bridge.stop();
    });

    test('answers whole while its connection is cut again and again', async () => {
      const bridge = await startBridge();
      const proxy = await startProxy(bridge.grpc);
      const worker = await startWorker(bridge, { target: proxy.address, tokenRate: 40 });
      const calls = await Promise.all(Array.from({ length: 6 }, () => openCall(bridge, { prompt: 'a long story' })));
      for (let cuts = 0; cuts < 4; cuts += 1) {
        const before = calls.map(({ count }) => count);
        await eventually(() => calls.every(({ count }, index) => count > before[index] + 2), {
          describe: () => `${before}, then ${calls.map(({ count }) => count)}: ${worker.output}`,
        });
        proxy.cut();
      }
      const ends = await Promise.all(calls.map(({ end }) => end));
      for (const [index, { text, count }] of calls.entries()) {
        assert.equal(ends[index]?.status, 'ok', JSON.stringify(ends[index]));
        assert.equal(ends[index].usage.output_tokens, count);
        assert.match(text, /^You asked: “a long story”\n\n.* costs nobody anything\.$/s);
        assert.equal(text, calls[0].text);
      }
      assert.ok(proxy.accepted > 4, `only ${proxy.accepted} connections: the cuts did not cut`);
      assert.equal(await stopWorker(worker), 0, worker.output);
      await proxy.stop();
      await bridge.stop();
    });

    test('moves its calls to the next stream when the bridge says that it drains', async () => {
      const bridge = await startBridge({ 'grpc.stream_max_age': '1s' });
      const proxy = await startProxy(bridge.grpc);
      const worker = await startWorker(bridge, { target: proxy.address, tokenRate: 40 });
      const calls = await Promise.all(Array.from({ length: 6 }, () => openCall(bridge, { prompt: 'a long story' })));
      const ends = await Promise.all(calls.map(({ end }) => end));
      for (const [index, { text, count }] of calls.entries()) {
        assert.equal(ends[index]?.status, 'ok', JSON.stringify(ends[index]));
        assert.equal(ends[index].usage.output_tokens, count);
        assert.equal(text, calls[0].text);
      }
      assert.ok(proxy.accepted > 3, `only ${proxy.accepted} connections: no stream was too old`);
      assert.equal(await stopWorker(worker), 0, worker.output);
      await proxy.stop();
      await bridge.stop();
    });

    for (const [how, signal] of [['drains', 'SIGTERM'], ['is killed', 'SIGKILL']]) {
      test(`goes on at another replica when its own one ${how}, and so do the readers`, async () => {
        const nats = await startNats();
        const settings = { 'log.jetstream.url': nats.url };
        const [first, second] = [await startBridge({ ...settings, 'drain.window': '2s' }), await startBridge(settings)];
        const proxy = await startProxy(first.grpc);
        const worker = await startWorker(first, { target: proxy.address, tokenRate: 25 });
        const calls = await Promise.all(Array.from({ length: 6 }, () => openCall(first, { prompt: 'a long story' })));
        const elsewhere = await readCall(calls[0].url.replace(first.http, second.http));
        await Promise.all(calls.map((call) => call.tokens(5)));
        proxy.target = second.grpc;
        const stopped = first.stop(signal);
        await Promise.all(calls.map(({ end }) => end));  // the connections break
        await stopped;
        for (const call of calls) {
          const rest = await eventually(async () => {
            const again = await readCall(call.url.replace(first.http, second.http), call.lastId);
            return again.status === 200 && again.opened !== undefined ? again : undefined;
          });
          const end = await rest.end;
          assert.equal(end?.status, 'ok', `${rest.closing}, after ${rest.count} tokens and ${call.count}: ${worker.output}`);
          assert.equal(end.usage.output_tokens, call.count + rest.count);
          assert.match(call.text + rest.text, /^You asked: “a long story”\n\n.* costs nobody anything\.$/s);
        }
        assert.equal((await elsewhere.end).status, 'ok');
        assert.match(elsewhere.text, /^You asked: “a long story”\n\n.* costs nobody anything\.$/s);
        assert.equal(await stopWorker(worker), 0, worker.output);
        await proxy.stop();
        await second.stop();
        await nats.stop();
      });
    }

    test('when it is killed, calls with tokens end worker_lost, and others go to the worker that comes after it', async () => {
      const bridge = await startBridge({ 'calls.worker_grace': '500ms', 'calls.queue_timeout': '20s' });
      const worker = await startWorker(bridge);
      const [begun, whole] = await Promise.all([openCall(bridge, { prompt: 'one' }), openCall(bridge, { prompt: 'other' })]);
      await Promise.all([begun, whole].map(({ end }) => end));
      assert.equal(await stopWorker(worker), 0, worker.output);
      await eventually(() => isServing(bridge, 0));

      const slow = await startWorker(bridge, { tokenRate: 20 });
      const told = await openCall(bridge, { prompt: 'one' });
      await told.tokens(3);
      slow.kill('SIGKILL');
      await slow.ended;
      const { status } = await told.end;
      assert.equal(status, 'worker_lost');
      assert.ok(begun.text.startsWith(told.text));

      const thinking = await startWorker(bridge, { thinking: 60 });
      const waiting = await openCall(bridge, { prompt: 'other' });
      const states = await watchWorkers(bridge);
      await sleep(300);  // it thinks
      thinking.kill('SIGKILL');
      await thinking.ended;
      const next = await startWorker(bridge);
      assert.equal((await waiting.end).status, 'ok');
      assert.equal(waiting.text, whole.text);
      await eventually(() => states.get(waiting.opened.call_id)?.state === 'idle');
      assert.equal(await stopWorker(next), 0, next.output);
      await bridge.stop();
    });

    test('finishes what it has when it is interrupted, and takes no more', async () => {
      const bridge = await startBridge();
      const worker = await startWorker(bridge, { tokenRate: 40 });
      const call = await openCall(bridge, { prompt: 'a long story' });
      await call.tokens(3);
      worker.kill('SIGTERM');
      await eventually(async () => (await openCall(bridge, { prompt: 'too late' }, { query: '?timeout=100ms' })).status === 503);
      const { status, usage } = await call.end;
      assert.equal(status, 'ok');
      assert.equal(usage.output_tokens, call.count);
      assert.match(call.text, / costs nobody anything\.$/);
      assert.equal(await worker.ended, 0, worker.output);
      await bridge.stop();
    });
  });
}

test('a bridge whose log ends with it has calls answered first, and tells which ones it loses', async () => {
  const bridge = await startBridge({ 'drain.window': '8s' });
  const worker = languages[0].launch(['--target', bridge.grpc, '--token-rate', '15', '--thinking', '0']);
  await eventually(() => isServing(bridge), { describe: () => worker.output });
  const nearlyDone = await openCall(bridge, { prompt: 'a long story' });
  await nearlyDone.tokens(80);
  const begun = await openCall(bridge, { prompt: 'another long story' });
  await begun.tokens(2);
  const stopped = bridge.stop();
  assert.equal((await nearlyDone.end).status, 'ok');
  assert.equal((await begun.end).status, 'lost');
  assert.equal(await stopped, 0);
  worker.kill('SIGTERM');
  assert.equal(await worker.ended, 0, worker.output);
});

describe('a worker in front of an OpenAI-compatible API', () => {
  // The stand-in of that API, with `count()`: what it has generated so far, and how many answers it is at.
  async function startApi() {
    const child = start(inPython.python, [path.join(repository, 'tests/interop/openai_api.py')], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text) => { said += text; });
    await eventually(() => said.endsWith('\n'), { describe: () => child.output });
    const url = said.trim();
    return {
      url,
      count: async () => (await fetch(new URL('/count', url))).json(),
      async stop() {
        child.kill('SIGTERM');
        await child.ended;
      },
    };
  }

  async function startAll(settings = {}) {
    const bridge = await startBridge(settings);
    const api = await startApi();
    const env = { ...inPython.env, OPENAI_BASE_URL: api.url, OPENAI_API_KEY: 'a key', OPENAI_MODEL: 'any' };
    const worker = start(inPython.python, ['openai_worker.py', bridge.grpc], { ...python, env });
    await eventually(() => isServing(bridge), { deadlineMs: 40_000, describe: () => `a worker; it said ${worker.output}` });
    return {
      bridge,
      api,
      async stop() {
        worker.kill('SIGTERM');
        assert.equal(await worker.ended, 0, worker.output);
        await api.stop();
        await bridge.stop();
      },
    };
  }

  // The API makes a token in ten milliseconds or more.
  const tokensIn200Ms = 20;

  // Has the call stopped, and waits until the API generates nothing any more. Resolves with what it has generated, and how much of it after that.
  async function bill(api, stop) {
    const asked = performance.now();
    const before = (await api.count()).generated;
    await stop();
    let last = await api.count();
    let seen = performance.now();
    await eventually(async () => {
      const now = await api.count();
      if (now.generated !== last.generated || now.open > 0) seen = performance.now();
      last = now;
      return performance.now() - seen > 300;
    });
    return { generated: last.generated, extra: last.generated - before, wentOnMs: Math.round(seen - asked) };
  }

  test('passes on what it says, with its usage', async () => {
    const { bridge, api, stop } = await startAll();
    const call = await openCall(bridge, { messages: [{ role: 'user', content: 'tokens 40' }] });
    assert.deepEqual(await call.end, { status: 'ok', code: 0, message: '', usage: { input_tokens: 7, output_tokens: 40 } });
    assert.equal(call.text, Array.from({ length: 40 }, (_, n) => ` ${n}`).join(''));
    assert.deepEqual(await api.count(), { generated: 40, open: 0 });
    await stop();
  });

  const ways = [
    { way: 'is cancelled', status: 'cancelled', leave: async ({ url }) => assert.equal((await cancelCall(url)).status, 202) },
    { way: 'has been left', status: 'abandoned', query: '?on_disconnect=cancel', leave: async (call) => call.abort() },
  ];
  for (const { way, status, query, leave } of ways) {
    test(`the bill stops when the call ${way}`, async (t) => {
      const { bridge, api, stop } = await startAll();
      const call = await openCall(bridge, { prompt: 'tokens 3000' }, { query });
      await call.tokens(10);
      const { generated, extra, wentOnMs } = await bill(api, () => leave(call));
      t.diagnostic(`${extra} tokens after it, in ${wentOnMs} ms; ${generated} of 3000 in all`);
      assert.ok(extra <= tokensIn200Ms, `${extra} tokens`);
      const again = await readCall(call.url);
      const end = await again.end;
      assert.equal(end.status, status);
      // What was on its way when the worker was told has no event, or is not counted.
      assert.ok(end.usage.output_tokens - again.count <= 1, `${end.usage.output_tokens} counted, ${again.count} told`);
      assert.ok(generated - again.count <= tokensIn200Ms, `${generated} generated, ${again.count} told`);
      await stop();
    });
  }

  test('the bill stops also where the API has said nothing yet', async () => {
    const { bridge, api, stop } = await startAll();
    const call = await openCall(bridge, { prompt: 'silence' });
    await eventually(async () => (await api.count()).open === 1);
    const { wentOnMs } = await bill(api, () => cancelCall(call.url));
    const { status, usage } = await call.end;
    assert.deepEqual([status, usage.output_tokens], ['cancelled', 0]);
    assert.ok(wentOnMs < 2000, `${wentOnMs} ms`);
    await stop();
  });

  test('an API that fails is tried once more, and then told; one that breaks off, or fails after its 200, is told', async () => {
    const { bridge, stop } = await startAll({ 'calls.max_attempts': '2', 'calls.queue_timeout': '2s' });
    const failed = await (await openCall(bridge, { prompt: 'fail 503' })).end;
    assert.ok(['failed', 'worker_lost', 'no_worker'].includes(failed.status), JSON.stringify(failed));
    const refused = await (await openCall(bridge, { prompt: 'fail 401' })).end;
    assert.equal(refused.status, 'failed');
    assert.equal(refused.code, 9);
    assert.match(refused.message, /said 401.*no capacity/);
    for (const prompt of ['break', 'error']) {
      const broken = await openCall(bridge, { prompt });
      const { status, code, message } = await broken.end;
      assert.deepEqual([status, code], ['failed', 14]);
      assert.match(message, prompt === 'error' ? /overloaded/ : /IncompleteRead/);
      assert.equal(broken.count, 5);
    }
    await stop();
  });
});
