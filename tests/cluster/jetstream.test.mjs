// Three replicas on JetStream: what event streams and publishers see while pods and NATS go and come.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { eventually } from '../support/bridge.mjs';
import { countBySecond, openAudience, plot, startPublishing } from './audience.mjs';
import { createNamespace, isReady, startNats, workload } from './kubernetes.mjs';

const replicas = 3;
const streams = 200;
const windowSeconds = 20;

const values = {
  replicas,
  log: { jetstream: { url: 'nats://nats:4222' } },
  drain: { delay: '5s', window: `${windowSeconds}s` },
  config: { auth: { allow_anonymous: true }, log: { jetstream: { max_bytes: '64MiB' } } },
  // Six pods at once, old and new ones, have room on a small node.
  resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '512Mi' } },
};

let namespace;
let audience;
let backends;

// The pods, once there are as many as there should be, all ready, and none of those in `gone`: {name, streams}, the one with most streams first.
async function whole(gone = []) {
  const pods = await eventually(async () => {
    const now = await namespace.pods();
    const isWhole = now.length === replicas && now.every(isReady) && !now.some(({ metadata }) => gone.includes(metadata.name));
    return isWhole && now;
  }, { deadlineMs: 120_000, describe: () => `${replicas} pods that are ready, without ${gone}` });
  const counted = pods.map(async ({ metadata: { name } }) => ({ name, streams: await streamsOf(name) }));
  return (await Promise.all(counted)).sort((one, other) => other.streams - one.streams);
}

const streamsOf = async (pod) => Number(/^sse_bridge_event_streams (\d+)$/m.exec(await namespace.admin(pod, '/metrics'))[1]);

// Does this to the pod with most streams, and waits until these have come back and events have come through.
async function strike(fault) {
  const [{ name, streams: struck }, ...others] = await whole();
  assert.ok(struck > 0);
  const before = audience.opened.length;
  await fault(name, others[0].name);
  await audience.goesOn();
  await eventually(() => audience.opened.length >= before + struck, { describe: () => `the ${struck} streams of ${name} come back` });
}

describe('three replicas on JetStream', { concurrency: false }, () => {
  before(async () => {
    namespace = await createNamespace('jetstream');
    await startNats(namespace);
    await namespace.install(values);
    const [http, grpc] = await Promise.all(['http', 'grpc'].map((side) => namespace.addressOf(`${workload}-${side}`)));
    audience = openAudience(`http://${http}/events?topic=load.*`, streams);
    await audience.isOpen();
    backends = startPublishing(grpc, ['a', 'b', 'c']);
  }, { timeout: 300_000 });
  after(async () => {
    audience?.close();
    await namespace?.remove();
  }, { timeout: 300_000 });

  test('events come through', { timeout: 120_000 }, () => audience.goesOn());

  test('an upgrade loses nothing, and its reconnects are spread over the drain', { timeout: 300_000 }, async (t) => {
    const old = (await whole()).map(({ name }) => name);
    const begin = Date.now();
    await namespace.upgrade({ ...values, podAnnotations: { changed: 'yes' } });
    await whole(old);
    await audience.goesOn();

    const counts = countBySecond(audience.opened.filter((moment) => moment > begin));
    t.diagnostic('reconnects by second, from the first one on:');
    plot(counts).forEach((line) => t.diagnostic(line));
    const reconnects = counts.reduce((sum, count) => sum + count, 0);
    assert.ok(reconnects >= streams, `${reconnects} reconnects of ${streams} streams`);
    // At once they would be all streams of a pod, a third of them.
    assert.ok(Math.max(...counts) <= streams / replicas / 2, `${Math.max(...counts)} reconnects in a second`);
    const seconds = counts.filter((count) => count > 0).length;
    assert.ok(seconds >= windowSeconds * 0.75, `reconnects in ${seconds} seconds of a window of ${windowSeconds}`);
  });

  test('a pod that is deleted loses nothing', { timeout: 240_000 }, () => strike(async (pod) => {
    await namespace.kubectl('delete', 'pod', pod);
    await whole([pod]);
  }));

  test('a pod that is killed by SIGKILL loses nothing', { timeout: 240_000 }, () => strike((pod) => namespace.kill(pod, 'sse-bridge')));

  test('an eviction loses nothing, and the disruption budget refuses a second one', { timeout: 240_000 }, () => strike(async (pod, other) => {
    // The budget may not have noticed yet that all are there.
    await eventually(() => namespace.evict(pod).catch(() => ''), { describe: () => `${pod} is evicted` });
    await assert.rejects(namespace.evict(other), /violate the pod's disruption budget/);
    const left = await whole([pod]);
    assert.ok(left.some(({ name }) => name === other));
  }));

  test('NATS that is killed and comes again loses nothing, and no bridge restarts', { timeout: 240_000 }, async () => {
    const restarts = async () => (await namespace.pods()).map(({ status }) => status.containerStatuses[0].restartCount);
    const before = await restarts();
    const { items: [nats] } = await namespace.get('pods', '--selector', 'app=nats');
    await namespace.kill(nats.metadata.name, 'nats-server');
    await audience.goesOn();
    assert.deepEqual(await restarts(), before);
  });

  test('all that was acked is there, once and in order, on every stream', { timeout: 180_000 }, async (t) => {
    const published = await backends.stop();
    await audience.check(published);
    t.diagnostic(`${audience.log.length} events, ${audience.opened.length - streams} reconnects of ${streams} streams`);
    t.diagnostic(`streams of publishers that ended: ${Object.entries(Object.groupBy(backends.reconnects, (reason) => reason))
      .map(([reason, times]) => `${times.length} by ${reason}`).join(', ')}`);
  });
});
