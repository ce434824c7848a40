// The image as it is built, run as hard as a cluster does it: nothing writable, no capability, little memory.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';

import { connectPublisher, eventually, nextEvent, subscribe } from '../support/bridge.mjs';
import { becomesHealthy, docker, ended, inspect, logs, published } from '../support/docker.mjs';

const image = 'grpc-sse-bridge';
const bytesMax = 120e6;
const readyMsMax = 1000;

const started = [];
after(async () => {
  if (started.length > 0) await docker('rm', '--force', '--volumes', ...started);
});

// Runs the image with options of docker run and arguments of the bridge.
async function start({ options = [], args = [] } = {}) {
  const container = await docker(
    'run', '--detach', '--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--memory', '128m', '--memory-swap', '128m',
    '--publish', '127.0.0.1::8080', '--publish', '127.0.0.1::9090', ...options, image, ...args,
  );
  started.push(container);
  return container;
}

const config = ['--config', '/etc/sse-bridge/config.yaml'];
const openArgs = [...config, '--set', 'auth.allow_anonymous=true', '--set', 'drain.delay=0s', '--set', 'drain.window=1s'];

async function startOpen(options = [], args = []) {
  const container = await start({ options, args: [...openArgs, ...args] });
  await eventually(async () => (await logs(container)).includes(' listening '), { describe: () => `${container} listens` });
  return { container, http: await published(container, 8080), grpc: await published(container, 9090) };
}

async function publishOne(address, event) {
  const publisher = connectPublisher(address);
  const [ack] = await publisher.publish([event]);
  await publisher.close();
  assert.deepEqual(ack.rejected, []);
}

describe('the image', () => {
  test('is small', async (t) => {
    const bytes = await inspect(image, '.Size') - await inspect('debian:trixie-slim', '.Size');
    t.diagnostic(`${(bytes / 1e6).toFixed(1)} MB beyond the base`);
    assert.ok(bytes < bytesMax, `${bytes} bytes beyond the base, at most ${bytesMax}`);
  });

  test('tells its version, its licence and what it consists of', async () => {
    const version = (await docker('run', '--rm', image, '--version')).split(' ')[1];
    const labels = await inspect(image, '.Config.Labels');
    assert.equal(labels['org.opencontainers.image.version'], version);
    assert.equal(labels['org.opencontainers.image.licenses'], 'Apache-2.0');

    const bill = JSON.parse(await docker('run', '--rm', '--entrypoint', 'cat', image, '/usr/share/doc/sse-bridge/sbom.spdx.json'));
    assert.equal(bill.packages[0].versionInfo, version);
    const installed = await docker('run', '--rm', '--entrypoint', 'dpkg-query', image, '--show', '--showformat', '${Package} ${Version}\n');
    assert.deepEqual(bill.packages.slice(1).map(({ name, versionInfo }) => `${name} ${versionInfo}`).sort(), installed.split('\n').sort());
    assert.equal(new Set(bill.packages.map(({ SPDXID }) => SPDXID)).size, bill.packages.length);
    assert.equal(bill.relationships.length, bill.packages.length);
  });

  test('has no compiler, and what runs is nobody in particular', async () => {
    assert.equal(await inspect(image, '.Config.User'), '65532:65532');
    assert.deepEqual(await inspect(image, '.Config.Entrypoint'), ['/usr/bin/sse-bridge']);
    const programs = await docker('run', '--rm', '--entrypoint', 'ls', image, '/usr/bin');
    assert.doesNotMatch(programs, /^(?:cc|gcc|g\+\+|clang|cmake|make|ld|python.*)$/m);
  });

  test('does not start open by itself, and says what to set', async () => {
    const container = await start();
    assert.equal(await ended(container), 2);
    assert.match(await logs(container), /auth\.allow_anonymous/);
  });

  test('is ready at once, and healthy soon', async (t) => {
    const { container } = await startOpen();
    const [line] = (await logs(container, '--timestamps')).split('\n').filter((text) => text.includes(' listening '));
    const readyMs = Date.parse(line.split(' ')[0]) - Date.parse(await inspect(container, '.State.StartedAt'));
    t.diagnostic(`ready after ${readyMs} ms`);
    assert.ok(readyMs < readyMsMax, `ready after ${readyMs} ms, at most ${readyMsMax}`);
    await becomesHealthy(container);
    const [first] = await inspect(container, '.State.Health.Log');
    assert.equal(first.Output, 'ready\n');
  });

  test('brings an event from gRPC to an event stream, and resumes', async () => {
    const { http, grpc, container } = await startOpen();
    const url = `http://${http}/events?topic=orders.*`;
    const subscription = subscribe(url);
    assert.equal((await subscription.next()).value.event, 'bridge.open');
    await publishOne(grpc, { topic: 'orders.1', text: 'paid' });
    const event = await nextEvent(subscription);
    assert.equal(event.data, 'paid');
    await subscription.return();

    await publishOne(grpc, { topic: 'orders.1', text: 'sent' });
    const resumed = subscribe(url, { headers: { 'Last-Event-ID': event.id } });
    assert.equal((await nextEvent(resumed)).data, 'sent');
    await resumed.return();
    assert.match(await docker('exec', container, '/usr/bin/sse-bridge', '--self-test', ...config), /^the event came after /);
  });

  test('drains on SIGTERM, and ends with 0', async () => {
    const { http, grpc, container } = await startOpen();
    const publisher = connectPublisher(grpc);
    await publisher.publish([{ topic: 'orders.1', text: 'first' }]);
    const subscription = subscribe(`http://${http}/events?topic=orders.*`);
    assert.equal((await subscription.next()).value.event, 'bridge.open');
    await docker('kill', '--signal', 'TERM', container);
    const told = [];
    for await (const { event, data } of subscription) told.push([event, data]);
    assert.deepEqual(told, [['bridge.closing', '{"reason":"draining"}']]);
    await publisher.close();
    assert.equal(await ended(container), 0);
  });

  test('keeps a log on disk in a volume, which is writable for its user', async () => {
    const volume = ['--volume', 'bridge-test-store:/var/lib/sse-bridge'];
    const disk = ['--set', 'log.disk.path=/var/lib/sse-bridge/log'];
    try {
      const before = await startOpen(volume, disk);
      await publishOne(before.grpc, { topic: 'orders.1', text: 'kept' });
      await docker('kill', before.container);
      const again = await startOpen(volume, disk);
      const subscription = subscribe(`http://${again.http}/events?topic=orders.*&replay=all`);
      assert.equal((await nextEvent(subscription)).data, 'kept');
      await subscription.return();
    } finally {
      await docker('rm', '--force', ...started.splice(0));
      await docker('volume', 'rm', 'bridge-test-store');
    }
  });
});
