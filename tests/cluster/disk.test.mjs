// A log on a volume: one pod of a StatefulSet, whose history outlives its process, its pod and its release.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { connectPublisher, eventually, nextEvent, subscribe, take } from '../support/bridge.mjs';
import { createNamespace, isReady, runOnNode, workload } from './kubernetes.mjs';

const volume = 'bridge-test-disk';
const pod = `${workload}-0`;
const count = 100;

const values = {
  log: { disk: { enabled: true, size: '5Gi', storageClass: volume } },
  drain: { delay: '0s', window: '1s' },
  config: { auth: { allow_anonymous: true } },
  resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '512Mi' } },
};

// A folder of a node as a volume, which the cluster needs no provisioner for. The kubelet does not give such a folder to the pod's group, so it has
// to be the bridge's before.
async function createVolume(namespace, node) {
  await runOnNode(node, `rm -rf /node/${volume}; mkdir -m 0700 /node/${volume}; chown 65532:65532 /node/${volume}`);
  await namespace.kubectl('delete', 'persistentvolume', volume, '--ignore-not-found');
  await namespace.apply({
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: volume },
    spec: {
      capacity: { storage: '5Gi' },
      accessModes: ['ReadWriteOnce'],
      storageClassName: volume,
      persistentVolumeReclaimPolicy: 'Retain',
      hostPath: { path: `/var/tmp/${volume}` },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [node] }] }] } },
    },
  });
}

let namespace;
let node;
let url;
let kept;

const history = async () => (await take(subscribe(`${url}&replay=all`), count)).map(({ id, data }) => ({ id, data }));

async function isReadyAndReached() {
  await eventually(async () => (await namespace.pods()).some(isReady), { deadlineMs: 90_000, describe: () => `${pod} is ready` });
  // The Service may still lead nowhere for a moment.
  await eventually(() => fetch(url, { method: 'HEAD' }).catch(() => null), { describe: () => `${url} answers` });
}

describe('a log on a volume', { concurrency: false }, () => {
  before(async () => {
    namespace = await createNamespace('disk');
    // A pod may be anywhere that has no taint.
    node = (await namespace.get('nodes')).items.find(({ spec }) => !spec.taints).metadata.name;
    await createVolume(namespace, node);
    await namespace.install(values);
    url = `http://${await namespace.addressOf(`${workload}-http`)}/events?topic=orders.*`;
    await isReadyAndReached();
    const publisher = connectPublisher(await namespace.addressOf(`${workload}-grpc`));
    await publisher.publish(...Array.from({ length: count }, (_, number) => [{ topic: 'orders.1', text: `order ${number}` }]));
    await publisher.close();
    kept = await history();
    assert.deepEqual(kept.map(({ data }) => data), Array.from({ length: count }, (_, number) => `order ${number}`));
  }, { timeout: 300_000 });
  after(async () => {
    await namespace?.remove();
    await namespace?.kubectl('delete', 'persistentvolume', volume, '--ignore-not-found').catch(() => {});
    if (node) await runOnNode(node, `rm -rf /node/${volume}`);
  }, { timeout: 300_000 });

  test('SIGKILL keeps history and ids, and a stream resumes', { timeout: 180_000 }, async () => {
    await namespace.kill(pod, 'sse-bridge');
    await isReadyAndReached();
    assert.deepEqual(await history(), kept);
    const resumed = subscribe(url, { headers: { 'Last-Event-ID': kept[49].id } });
    assert.equal((await nextEvent(resumed)).id, kept[50].id);
    await resumed.return();
  });

  test('another pod in its place has them too', { timeout: 180_000 }, async () => {
    await namespace.kubectl('delete', 'pod', pod);
    await isReadyAndReached();
    assert.deepEqual(await history(), kept);
  });

  test('a release that is uninstalled leaves its claim, and the next one goes on', { timeout: 240_000 }, async () => {
    await namespace.uninstall();
    await namespace.install(values);
    url = `http://${await namespace.addressOf(`${workload}-http`)}/events?topic=orders.*`;
    await isReadyAndReached();
    assert.deepEqual(await history(), kept);
  });
});
