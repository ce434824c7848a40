// The publishers of examples/, each with its language's official gRPC library, against connections that are cut and bridges that drain.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';

import { repository, start, startBridge, startProxy, subscribe, take } from '../support/bridge.mjs';
import { preparePython } from './python.mjs';

const scratch = mkdtempSync(path.join(tmpdir(), 'publishers-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

const examples = path.join(repository, 'examples');
const run = (program, args, options) => execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], ...options });

function prepareNode() {
  return { command: [process.execPath, 'main.js'], cwd: path.join(examples, 'node') };
}

function prepareInPython() {
  const { python, env } = preparePython(scratch);
  return { command: [python, 'main.py'], cwd: path.join(examples, 'python'), env };
}

function prepareGo() {
  const cwd = path.join(examples, 'go');
  const binary = path.join(scratch, 'publisher');
  run('go', ['generate', './...'], { cwd });
  run('go', ['build', '-o', binary, '.'], { cwd });
  return { command: [binary], cwd };
}

// Why examples/go cannot be built here, or false.
function whyNoGo() {
  let version;
  try {
    version = run('go', ['env', 'GOVERSION'], { stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'there is no go on the path';
  }
  const [, minor] = /^go1\.(\d+)/.exec(version) ?? [];
  return Number(minor) >= 24 ? false : `examples/go needs Go 1.24, this is ${version}`;
}

const languages = [
  { name: 'Node.js, @grpc/grpc-js', prepare: prepareNode },
  { name: 'Python, grpcio', prepare: prepareInPython },
  { name: 'Go, google.golang.org/grpc', prepare: prepareGo, skip: whyNoGo() },
];

// Starts the example and writes `lines` to it. `whenEnded` resolves with what it wrote.
function startExample({ command: [program, ...args], cwd, env }, address, lines) {
  const child = start(program, [...args, address], { cwd, env, stdio: 'pipe' });
  let report = '';
  child.stdout.setEncoding('utf8').on('data', (text) => { report += text; });
  child.stdin.on('error', () => {});  // it ended early: the test sees its exit code
  child.stdin.end(lines.join(''));
  return { whenEnded: child.ended.then((code) => ({ code, report, errors: child.output })) };
}

const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => String(from + index));
const lineOf = (number) => `orders.${number % 7}\tupdate\t${number}\n`;

// Calls `onEvent(count)` for each event of a stream, until it has `total` of them or ends; resolves with their data.
async function collect(url, total, onEvent = () => {}) {
  const data = [];
  for await (const event of subscribe(url)) {
    if (event.event !== 'update') continue;
    data.push(event.data);
    onEvent(data.length);
    if (data.length === total) break;
  }
  return data;
}

for (const { name, prepare, skip } of languages) {
  describe(name, { skip }, () => {
    let example;
    test('can be built as its README says', () => { example = prepare(); });

    test('publishes each event once and in order while its connection is cut again and again', async () => {
      const total = 6000;
      const bridge = await startBridge();
      const proxy = await startProxy(bridge.grpc);
      const cutEvery = 700;
      const seen = collect(`http://${bridge.http}/events?topic=orders.>&replay=all`, total, (count) => {
        if (count % cutEvery === 0) proxy.cut();
      });
      const { code, report, errors } = await startExample(example, proxy.address, numbers(1, total).map(lineOf)).whenEnded;
      assert.equal(code, 0, errors);
      assert.match(report, new RegExp(`^${total} published, 0 rejected, last id \\S+\n$`));
      assert.deepEqual(await seen, numbers(1, total));
      assert.ok(proxy.accepted > 3, `only ${proxy.accepted} connections: the cuts did not cut`);
      await proxy.stop();
      await bridge.stop();
    });

    test('goes on elsewhere when the bridge drains, with nothing lost, twice or out of order', async () => {
      const total = 10_000;
      // The publishers have to be done within the window, and the only event stream ends near its end.
      const [first, second] = [await startBridge({ 'drain.window': '1500ms' }), await startBridge()];
      const proxy = await startProxy(first.grpc);
      const fromFirst = collect(`http://${first.http}/events?topic=orders.>&replay=all`, total, (count) => {
        if (count !== 500) return;
        proxy.target = second.grpc;
        first.stop();
      });
      const { code, report, errors } = await startExample(example, proxy.address, numbers(1, total).map(lineOf)).whenEnded;
      assert.equal(code, 0, errors);
      assert.match(report, new RegExp(`^${total} published, 0 rejected`));
      const seenFirst = await fromFirst;
      assert.ok(seenFirst.length < total, 'all was published before the drain began');
      const seenSecond = await collect(`http://${second.http}/events?topic=orders.>&replay=all`, total - seenFirst.length);
      assert.deepEqual([...seenFirst, ...seenSecond], numbers(1, total));
      await proxy.stop();
      await second.stop();
    });

    test('reports what is rejected and publishes the rest', async () => {
      const bridge = await startBridge();
      const lines = ['orders.1\tupdate\tbefore\n', 'orders..1\tupdate\tx\n', 'orders.1\tbridge.open\tx\n', 'orders.1\t\tafter\n'];
      const { code, report, errors } = await startExample(example, bridge.grpc, lines).whenEnded;
      assert.equal(code, 0, errors);
      assert.match(report, /^4 published, 2 rejected, last id \S+\n$/);
      assert.match(errors, /^rejected \(code 3\): orders\.\.1: .+$/m);
      const events = await take(subscribe(`http://${bridge.http}/events?topic=orders.>&replay=all`), 2);
      assert.deepEqual(events.map(({ event = 'message', data }) => [event, data]), [['update', 'before'], ['message', 'after']]);
      await bridge.stop();
    });
  });
}
