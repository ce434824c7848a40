// What the operator sees where something is wrong or not there yet: each message says what to do.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { eventually } from '../support/bridge.mjs';
import { createNamespace, startNats, workload } from './kubernetes.mjs';

let namespace;
before(async () => { namespace = await createNamespace('operator'); }, { timeout: 180_000 });
after(() => namespace?.remove(), { timeout: 180_000 });

const open = { config: { auth: { allow_anonymous: true } } };

// The first line that matches, of the newest text that `read` gives.
const found = (pattern, read) => eventually(async () => pattern.exec(await read().catch((error) => error.message))?.[0], {
  deadlineMs: 60_000,
  describe: () => `${pattern}`,
});
const logs = () => namespace.kubectl('logs', `deploy/${workload}`, '--tail=50');
const health = () => namespace.kubectl(
  'exec', `deploy/${workload}`, '--', 'sse-bridge', '--health', '--config', '/etc/sse-bridge/config/sse-bridge.yaml');
// Of the release's pod, not of others before it.
async function events() {
  const [{ metadata: { name } }] = await namespace.pods();
  return namespace.kubectl('events', '--types=Warning', '--for', `pod/${name}`);
}

test('a key that does not exist is refused by Helm, by its path', { timeout: 60_000 }, async () => {
  const values = { config: { http: { heartbaet: '1s' } } };
  await assert.rejects(namespace.install(values), /at '\/config\/http': additional properties 'heartbaet' not allowed/);
});

test('three pods without JetStream are refused by Helm, with what to set', { timeout: 60_000 }, async () => {
  await assert.rejects(namespace.install({ replicas: 3 }), /set log\.jetstream\.url, or replicas: 1/);
});

describe('a release that does not come up', { concurrency: false }, () => {
  afterEach(() => namespace.uninstall(), { timeout: 180_000 });

  test('for a value that the bridge refuses: Helm names the workload, the log the key', { timeout: 180_000 }, async () => {
    const values = { config: { ...open.config, http: { heartbeat: 'soon' } } };
    await assert.rejects(
      namespace.install(values, ['--wait', '--timeout', '10s']),
      /INSTALLATION FAILED: .*(?:not ready|timed out|deadline exceeded)/,
    );
    await found(/sse-bridge\.yaml:\d+: http\.heartbeat: "soon" is no duration: durations are written as 15s/, logs);
  });

  test('for a Secret that is not there: the events name it, and the pod starts once it is', { timeout: 240_000 }, async () => {
    await namespace.install({ auth: { keys: [{ algorithm: 'HS256', existingSecret: 'issuer' }] } }, []);
    await found(/MountVolume\.SetUp failed for volume "key-0" : secret "issuer" not found/, events);
    await namespace.kubectl('create', 'secret', 'generic', 'issuer', '--from-literal=key=0123456789abcdef0123456789abcdef');
    await namespace.kubectl('rollout', 'status', `deploy/${workload}`, '--timeout=180s');
  });

  test('for a secret that is too short: the log says how to make one', { timeout: 120_000 }, async () => {
    await namespace.kubectl('create', 'secret', 'generic', 'short', '--from-literal=key=hunter2');
    await namespace.install({ auth: { keys: [{ algorithm: 'HS256', existingSecret: 'short' }] } }, []);
    await found(/has 7 bytes; a secret for HS256 has at least 32, as "openssl rand -base64 48" makes them/, logs);
  });

  test('for NATS that is not there yet: it says so, restarts nothing, and is ready once it is', { timeout: 240_000 }, async () => {
    await namespace.install({ ...open, log: { jetstream: { url: 'nats://nats:4222' } } }, []);
    await found(/cannot connect to NATS at nats:\/\/nats:4222: /, logs);
    await found(/Readiness probe failed: HTTP probe failed with statuscode: 503/, events);
    await found(/answered 503: starting.*cannot connect to NATS at nats:\/\/nats:4222/s, health);

    await startNats(namespace);
    await namespace.kubectl('rollout', 'status', `deploy/${workload}`, '--timeout=120s');
    const [{ status: { containerStatuses: [{ restartCount }] } }] = await namespace.pods();
    assert.equal(restartCount, 0);
  });
});
