// The publishers of examples/, each with its language's official gRPC library, against connections that are cut and bridges that drain.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { after, describe, test } from 'node:test';

import { bridgeBinary, eventually, start, startBridge, startProxy, subscribe, take } from '../support/bridge.mjs';
import { whyNoGo } from './go.mjs';
import { publishersIn } from './publishing.mjs';

const scratch = mkdtempSync(path.join(tmpdir(), 'publishers-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

const languages = publishersIn(scratch);
const run = (program, args, options) => execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], ...options });

// Starts the example and writes `lines` to it, which may come one by one. `whenEnded` resolves with what it wrote.
function startExample({ command: [program, ...args], cwd, env = process.env }, address, lines, moreEnv = {}) {
  const child = start(program, [...args, address], { cwd, env: { ...env, ...moreEnv }, stdio: 'pipe' });
  let report = '';
  child.stdout.setEncoding('utf8').on('data', (text) => { report += text; });
  child.stdin.on('error', () => {});  // it ended early: the test sees its exit code
  Readable.from(lines).pipe(child.stdin);
  return { whenEnded: child.ended.then((code) => ({ code, report, errors: child.output })) };
}

const metrics = async (bridge) => (await fetch(`http://${bridge.admin}/metrics`)).text();

// A bridge that wants a certificate and a token of its publishers, and the environment in which an example shows them. The token is good for
// five seconds; writeToken puts another in its place.
async function startClosedBridge() {
  const directory = mkdtempSync(path.join(scratch, 'closed-'));
  const file = (name) => path.join(directory, name);
  run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-subj', '/CN=test', '-addext',
    'subjectAltName=IP:127.0.0.1', '-keyout', file('key.pem'), '-out', file('certificate.pem')], { stdio: ['ignore', 'pipe', 'ignore'] });
  const secret = 'a secret for tests that is at least 32 bytes long';
  writeFileSync(file('secret'), secret);
  const writeToken = (ttl, signedWith = secret) => {
    writeFileSync(file('signing'), signedWith);
    writeFileSync(file('token'), run(bridgeBinary, ['token', '--publish', 'orders.>', '--ttl', ttl, '--key', file('signing')]));
  };
  writeToken('5s');
  const bridge = await startBridge({
    'grpc.tls.certificate_file': file('certificate.pem'),
    'grpc.tls.key_file': file('key.pem'),
    'grpc.tls.client_ca_file': file('certificate.pem'),
    'auth.jwt.keys': `[{algorithm: HS256, secret_file: ${file('secret')}}]`,
  });
  const env = {
    BRIDGE_CA_FILE: file('certificate.pem'),
    BRIDGE_CERTIFICATE_FILE: file('certificate.pem'),
    BRIDGE_KEY_FILE: file('key.pem'),
    BRIDGE_TOKEN_FILE: file('token'),
  };
  return { bridge, env, writeToken };
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

    test('shows a token and a certificate, and a new token when the old one has expired', async () => {
      const { bridge, env, writeToken } = await startClosedBridge();
      async function* lines() {
        yield lineOf(1);
        await eventually(async () => /events_accepted_total 1/.test(await metrics(bridge)));
        writeToken('1h');
        // Until the first token has expired, and its stream has ended.
        await eventually(async () => /publishers_refused_total\{reason="expired"\} 1/.test(await metrics(bridge)));
        yield lineOf(2);
      }
      const { code, report, errors } = await startExample(example, bridge.grpc, lines(), env).whenEnded;
      assert.equal(code, 0, errors);
      assert.match(report, /^2 published, 0 rejected/);
      await bridge.stop();
    });

    test('ends where its token is refused and it has no other', async () => {
      const { bridge, env, writeToken } = await startClosedBridge();
      writeToken('1h', 'another secret that is at least 32 bytes long');
      const { code, errors } = await startExample(example, bridge.grpc, [lineOf(1)], env).whenEnded;
      assert.notEqual(code, 0);
      assert.match(errors, /signature is wrong/);
      await bridge.stop();
    });

    // Node.js' and Python's own input takes care of it.
    if (name.startsWith('Go')) {
      test('ends at a line that is not UTF-8, when what came before it is published', async () => {
        const bridge = await startBridge();
        const lines = [lineOf(1), Buffer.from('orders.1\tupdate\tcaf\xe9\n', 'latin1')];
        const { code, errors } = await startExample(example, bridge.grpc, lines).whenEnded;
        assert.notEqual(code, 0);
        assert.match(errors, /UTF-8/);
        assert.match(await metrics(bridge), /events_accepted_total 1/);
        await bridge.stop();
      });
    }
  });
}
