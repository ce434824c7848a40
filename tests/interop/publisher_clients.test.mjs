// What the publishers of examples/ promise the code that calls them, whatever the bridge does: as drivers/ calls them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';

import grpc from '@grpc/grpc-js';

import { nextEvent, startBridge, startProxy, subscribe } from '../support/bridge.mjs';
import { acceptsAll, endsAfter, publishersIn, startDriver, startFakeBridge } from './publishing.mjs';

const scratch = mkdtempSync(path.join(tmpdir(), 'publisher-clients-'));
after(() => rmSync(scratch, { recursive: true, force: true }));
const languages = publishersIn(scratch);
const [inNode, inPython] = languages;

const textsOf = (events) => events.map(({ text }) => text);

for (const { name, prepare, skip } of languages) {
  describe(name, { skip }, () => {
    let example;
    test('can be built', () => { example = prepare(); });

    // Runs a test with a driver of this language at a fake bridge, or behind a proxy to it.
    const withDriver = (env, use) => async () => {
      const fake = await startFakeBridge();
      const proxy = await startProxy(fake.address);
      const driver = startDriver(example.driver, proxy.address, env);
      await use({ fake, proxy, driver });
      await driver.end();
      await proxy.stop();
      await fake.stop();
    };
    test('publishes ephemeral events', async () => {
      const bridge = await startBridge();
      const live = subscribe(`http://${bridge.http}/events?topic=rooms.>`);
      await live.next();
      const driver = startDriver(example.driver, bridge.grpc);
      driver.publish({ topic: 'rooms.1', text: 'is typing', ephemeral: true });
      driver.publish({ topic: 'rooms.1', text: 'hello' });
      driver.close();
      await driver.has('closed');
      assert.deepEqual([(await nextEvent(live)).data, (await nextEvent(live)).data], ['is typing', 'hello']);
      await live.return();
      assert.equal(await driver.end(), 0, driver.errors());
      await bridge.stop();
    });

    test('sends ephemeral events once, and the others again when their acks are lost', withDriver({}, async ({ fake, driver }) => {
      fake.scripts.push(endsAfter(3, grpc.status.UNAVAILABLE));
      driver.publish({ topic: 'rooms.1', text: 'is typing', ephemeral: true });
      driver.publish({ topic: 'rooms.1', text: 'hello' });
      driver.publish({ topic: 'rooms.1', text: 'has left', ephemeral: true });
      await driver.has('reconnect');
      driver.publish({ topic: 'rooms.1', text: 'is back', ephemeral: true });
      driver.close();
      await driver.has('closed');
      assert.deepEqual(fake.streams.map(textsOf), [['is typing', 'hello', 'has left'], ['hello', 'is back']]);
      assert.deepEqual(fake.streams[1][0], fake.streams[0][1]);
    }));

    test('leaves the caller’s event as it is: published twice, it is two events', withDriver({}, async ({ fake, driver }) => {
      driver.publish({ topic: 'orders.1', text: 'again' }, { times: 2 });
      driver.close();
      await driver.has('closed');
      const [events] = fake.streams;
      assert.deepEqual(textsOf(events), ['again', 'again']);
      assert.notEqual(events[0].idempotency_key, events[1].idempotency_key);
    }));

    test('refuses what no bridge takes, and publishes the rest', withDriver({}, async ({ fake, driver }) => {
      driver.publish({ topic: 'orders.1', text: 'x'.repeat(2 ** 21) });
      driver.publish({ topic: 'orders.1', text: 'half of a character: \ud83e' });
      driver.publish({ topic: 'orders.1', text: 'fine 🦄' });
      driver.close();
      await driver.has('closed');
      const [large, half, fine] = await driver.has('published', 3);
      assert.match(large.error, /1048576/);
      assert.deepEqual([large.published, half.published, fine.published], [false, false, true]);
      assert.deepEqual(fake.streams.map(textsOf), [['fine 🦄']]);
    }));

    test('goes on when it could not get a token', withDriver({ TOKENS: '["!", "old", "!", "new"]' }, async ({ fake, driver }) => {
      fake.scripts.push(endsAfter(1, grpc.status.UNAUTHENTICATED));
      driver.publish({ topic: 'orders.1', text: 'with a token' });
      driver.close();
      await driver.has('closed');
      assert.deepEqual(fake.streams.map(textsOf), [['with a token'], ['with a token']]);
      assert.match((await driver.has('reconnect', 2))[0].reconnect, /there is no token now/);
    }));

    test('goes on after a stream for which the bridge had no memory', withDriver({}, async ({ fake, driver }) => {
      fake.scripts.push(endsAfter(1, grpc.status.RESOURCE_EXHAUSTED));
      driver.publish({ topic: 'orders.1', text: 'sent again' });
      driver.close();
      await driver.has('closed');
      assert.deepEqual(fake.streams.map(textsOf), [['sent again'], ['sent again']]);
    }));

    test('closes while the bridge is away, where all has its ack', withDriver({}, async ({ fake, proxy, driver }) => {
      fake.scripts.push((stream) => stream.once('data', ({ request_id: id }) => {
        stream.write({ acks: [{ request_id: id }] });
        stream.end();
      }));
      driver.publish({ topic: 'orders.1', text: 'acked' });
      await driver.has('reconnect');
      proxy.target = '127.0.0.1:1';  // nobody is there
      proxy.cut();
      await driver.has('reconnect', 3);
      driver.close();
      await driver.has('closed');
    }));

    test('is closed while others wait for room: what it has taken is published, and no more', withDriver({ WINDOW: 1 }, async ({ fake, driver }) => {
      fake.scripts.push(acceptsAll({ afterMs: 50 }));
      driver.publish({ topic: 'orders.1', text: '1' });
      for (const text of ['2', '3', '4']) driver.publish({ topic: 'orders.1', text }, { waits: true });
      driver.close();
      await driver.has('closed');
      driver.publish({ topic: 'orders.1', text: 'too late' });
      const all = await driver.has('published', 5);
      assert.equal(fake.streams.flat().length, all.filter(({ published }) => published).length);
      assert.ok(!textsOf(fake.streams.flat()).includes('too late'));
      for (const { error } of all.filter(({ published }) => !published)) assert.match(error, /closed/);
    }));
  });
}

describe('in Node.js', () => {
  const example = inNode.prepare();

  test('calls that wait for room are served in their order', async () => {
    const fake = await startFakeBridge();
    const driver = startDriver(example.driver, fake.address, { WINDOW: 2 });
    const texts = Array.from({ length: 30 }, (_, index) => String(index));
    for (const text of texts) driver.publish({ topic: 'orders.1', text }, { waits: true });
    driver.close();
    await driver.has('closed');
    assert.deepEqual(textsOf(fake.streams.flat()), texts);
    assert.equal(await driver.end(), 0);
    assert.equal(driver.errors(), '');
    await fake.stop();
  });

  test('text that is not UTF-8 is found wherever it is in an event', async () => {
    const fake = await startFakeBridge();
    const driver = startDriver(example.driver, fake.address);
    driver.publish({ topic: 'orders.1', json: { structValue: { fields: { 'caf\ud83e': { boolValue: true } } } } });
    driver.publish({ topic: 'orders.1', json: { listValue: { values: [{ stringValue: '\udd84' }] } } });
    driver.publish({ topic: 'orders.1', json: { listValue: { values: [{ stringValue: '🦄' }] } } });
    driver.close();
    await driver.has('closed');
    assert.deepEqual((await driver.has('published', 3)).map(({ published }) => published), [false, false, true]);
    await driver.end();
    await fake.stop();
  });
});

describe('in Python', () => {
  const { driver: { command: [python], env } } = inPython.prepare();
  const said = (code) => execFileSync(python, ['-c', code], { env, encoding: 'utf8', timeout: 30_000 });

  test('what a callback raises is raised by publish and close', async () => {
    const bridge = await startBridge();
    const output = said(`
from bridge.v1.publisher_pb2 import Event
from publisher import Publisher

def on_rejected(event, rejection):
    raise ValueError("from a callback")

publisher = Publisher("${bridge.grpc}", window=1, on_rejected=on_rejected)
publisher.publish(Event(topic="a..b", text="x"))
for use in (lambda: [publisher.publish(Event(topic="a.b", text="x")) for _ in range(1000)], publisher.close):
    try:
        use()
    except ValueError as error:
        print(error)
`);
    assert.equal(output, 'from a callback\nfrom a callback\n');
    await bridge.stop();
  });

  // grpcio may hang where a call is collected while Python exits.
  test('no call outlives its stream', async () => {
    const bridge = await startBridge();
    const output = said(`
import gc
import grpc
from bridge.v1.publisher_pb2 import Event
from publisher import Publisher

gc.disable()

def fail(*arguments):
    raise ValueError

def after_failing(address, **callbacks):
    publisher = Publisher(address, **callbacks)
    publisher.publish(Event(topic="a..b", text="x"))
    try:
        publisher.close()
    except ValueError as error:
        return [each for each in gc.get_objects() if issubclass(type(each), grpc.Call)]

print(after_failing("${bridge.grpc}", on_rejected=fail))
print(after_failing("127.0.0.1:1", on_reconnect=fail))
`);
    assert.equal(output, '[]\n[]\n');
    await bridge.stop();
  });

  test('it goes on after more failures than a float has powers of two', async () => {
    const bridge = await startBridge();
    const output = said(`
import itertools
import random
from bridge.v1.publisher_pb2 import Event
from publisher import Publisher

random.uniform = lambda low, high: 0  # no delay between two tries
tries = itertools.count()

def token():
    if next(tries) < 1100:
        raise OSError("not yet")

publisher = Publisher("${bridge.grpc}", token=token)
publisher.publish(Event(topic="a.b", text="x"))
publisher.close()
print(publisher.last_id != "")
`);
    assert.equal(output, 'True\n');
    await bridge.stop();
  });
});
