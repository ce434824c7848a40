// A quiet stream through the proxies with the real times: heartbeats of 15 s, and longer than the 60 s after which a proxy cuts.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import tls from 'node:tls';

import { connectPublisher, makeCertificate, nextEvent, subscribe } from '../support/bridge.mjs';
import { names, startFront, startReplicas, stopReplicas } from './fronts.mjs';

const quietMs = 65_000;

let certificate;
let replicas;
before(async () => {
  certificate = await makeCertificate();
  tls.setDefaultCACertificates([certificate.pem]);
  replicas = await startReplicas();
});
after(() => replicas && stopReplicas(replicas));

test('is not cut within 65 seconds', { timeout: 150_000 }, async () => {
  const fronts = await Promise.all(names.map((name) => startFront(name, replicas, certificate)));
  const streams = fronts.map(({ origin }) => subscribe(`${origin}/events?topic=quiet&heartbeat=event`));
  const begun = performance.now();
  await Promise.all(streams.map(async (stream) => {
    assert.equal((await stream.next()).value.event, 'bridge.open');
    while (performance.now() - begun < quietMs) assert.equal((await stream.next()).value.event, 'bridge.heartbeat');
  }));
  const publisher = connectPublisher(replicas[0].bridge.grpc);
  await publisher.publish([{ topic: 'quiet', text: 'still there' }]);
  for (const stream of streams) {
    assert.equal((await nextEvent(stream)).data, 'still there');
    await stream.return();
  }
  await publisher.close();
  await Promise.all(fronts.map((front) => front.stop()));
});
