// The chart without a value, but for what lets clients outside of the cluster in.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { openAudience, startPublishing } from './audience.mjs';
import { createNamespace, workload } from './kubernetes.mjs';

let namespace;
before(async () => { namespace = await createNamespace('defaults'); }, { timeout: 180_000 });
after(() => namespace?.remove(), { timeout: 180_000 });

test('helm install --wait says what to do next, and helm test passes', { timeout: 300_000 }, async () => {
  const notes = await namespace.install();
  assert.match(notes, /with its log in memory/);
  assert.match(notes, new RegExp(`kubectl -n ${namespace.name} rollout status deploy/${workload}`));
  assert.match(await namespace.test(), /Phase: +Succeeded[^]*the event came after /);
});

test('a publisher and an EventSource with a token, as the notes make it, reach each other through the Services', { timeout: 120_000 }, async () => {
  const token = await namespace.kubectl(
    'exec', `deploy/${workload}`, '--', 'sse-bridge', 'token', '--subscribe', '>', '--publish', '>', '--subject', 'trying', '--ttl', '1h',
    '--key', '/etc/sse-bridge/secrets/hs256',
  );
  const [http, grpc] = await Promise.all(['http', 'grpc'].map((side) => namespace.addressOf(`${workload}-${side}`)));
  const url = `http://${http}/events?topic=load.*`;
  assert.equal((await fetch(url)).status, 401);

  const withToken = (target, init) => fetch(target, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } });
  const audience = openAudience(url, 1, withToken);
  await audience.isOpen();
  const backends = startPublishing(grpc, ['a'], { everyMs: 5, token: () => token });
  await audience.goesOn(20);
  await audience.check(await backends.stop());
  audience.close();
});

test('an upgrade keeps the secret that the chart has made', { timeout: 180_000 }, async () => {
  const secret = async () => (await namespace.get('secret', `${workload}-secrets`)).data;
  const before = await secret();
  await namespace.upgrade({ podAnnotations: { changed: 'yes' } });
  assert.deepEqual(await secret(), before);
});
