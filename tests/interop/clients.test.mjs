// Each SSE client receives what was published, and resumes after cuts without losing or repeating an event.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';

import { connectPublisher, eventually, startBridge, startProxy } from '../support/bridge.mjs';
import { clients } from './clients.mjs';

// Payloads with what their subscribers get: line ends are unified by SSE itself.
const payloads = [
  ['a word', 'a word'],
  ['two\nlines', 'two\nlines'],
  ['CRLF\r\nand CR\rand an empty line\n\nend', 'CRLF\nand CR\nand an empty line\n\nend'],
  ['  two spaces before, one after ', '  two spaces before, one after '],
  ['{"name":"žluťoučký kůň","sign":"€","face":"🦄","script":"日本語"}', '{"name":"žluťoučký kůň","sign":"€","face":"🦄","script":"日本語"}'],
  ['data: looks like a field\nid: 7\n: and a comment', 'data: looks like a field\nid: 7\n: and a comment'],
];
const types = ['message', 'update', 'notification'];
const last = 'last of the test';

// The number-th event, as it is published and as a client gets it.
const eventOf = (topic, number) => {
  const [text, data] = payloads[number % payloads.length];
  const type = types[number % types.length];
  return { publish: { topic, type, text: `${number}: ${text}` }, expect: { type, data: `${number}: ${data}` } };
};

// A generator of numbers in [0, 1) that gives the same ones for the same seed (mulberry32).
function seeded(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

let bridge;
let publisher;
before(async () => {
  bridge = await startBridge();
  publisher = connectPublisher(bridge.grpc);
});
after(async () => {
  await publisher.close();
  await bridge.stop();
});

// Says where they differ and not, as assert.deepEqual does, all that they are.
function assertSameEvents(actual, expected) {
  const different = expected.findIndex((event, index) => !isDeepStrictEqual(event, actual[index]));
  assert.deepEqual(actual[different], expected[different], `event ${different} of ${expected.length}`);
  assert.equal(actual.length, expected.length);
}

// One client on a topic of its own behind a proxy of its own. `received` is what it got so far, without control events.
async function connect({ open }, topic) {
  const proxy = await startProxy(bridge.http);
  const received = [];
  let opened = 0;
  const close = open({
    url: `http://${proxy.address}/events?topic=${topic}`,
    types: [...types, 'bridge.open'],
    onEvent: (event) => {
      if (event.type === 'bridge.open') opened += 1;
      else received.push({ type: event.type, id: event.id, data: event.data });
    },
  });
  await eventually(() => opened === 1, { describe: () => 'the client gets bridge.open' });
  return {
    proxy,
    received,
    async publish(from, count) {
      const events = Array.from({ length: count }, (_, index) => eventOf(topic, from + index));
      const acks = await publisher.publish(...events.map(({ publish }) => [publish]));
      return events.map(({ expect }, index) => ({ ...expect, id: acks[index].first_id }));
    },
    // Waits until as much was received as is expected, and a last event more, so that whatever came twice has come; then compares.
    async finish(expected) {
      const describe = () => `${expected.length} events, then the last; got ${received.length}, the newest ${JSON.stringify(received.at(-1))}`;
      await eventually(() => received.length >= expected.length, { deadlineMs: 60_000, describe });
      proxy.cutAfter = () => Infinity;
      await publisher.publish([{ topic, text: last }]);
      await eventually(() => received.at(-1)?.data === last, { describe });
      close();
      await proxy.stop();
      assertSameEvents(received.slice(0, -1), expected);
    },
  };
}

test("an event's id is its last line, for a client that takes an id as seen before its event has ended", async () => {
  await publisher.publish([{ topic: 'raw', type: 'update', text: 'first\nsecond', retry: { nanos: 500_000_000 } }]);
  const response = await fetch(`http://${bridge.http}/events?topic=raw&replay=all`);
  let text = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.includes('second\n') && text.endsWith('\n\n')) break;
  }
  const blocks = text.split('\n\n').filter((block) => block.includes('data: '));
  assert.deepEqual(blocks.map((block) => block.split('\n').at(-1).replace(/ .*/, ' …')), blocks.map(() => 'id: …'), text);
});

clients.forEach(({ name, skip, ...client }, index) => {
  describe(name, { skip }, () => {
    test('receives ids, types, lines and UTF-8 as they were published', async () => {
      const stream = await connect(client, `plain.${index}`);
      await stream.finish(await stream.publish(0, payloads.length * types.length));
    });

    test('resumes when it was cut before its first event', async () => {
      const stream = await connect(client, `early.${index}`);
      stream.proxy.cut();
      await stream.finish(await stream.publish(0, 10));
      assert.ok(stream.proxy.accepted > 1);
    });

    test('resumes after cuts at any byte without losing or repeating an event', async (t) => {
      const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
      t.diagnostic(`SEED=${seed}`);
      const random = seeded(seed + index);
      const stream = await connect(client, `cuts.${index}`);
      stream.proxy.cutAfter = () => Math.floor(400 + 6000 * random());
      stream.proxy.cut();
      const expected = [];
      for (let number = 0; number < 400; number += 10) {
        expected.push(...await stream.publish(number, 10));
        await sleep(20);  // so that the cuts come in between
      }
      await stream.finish(expected);
      t.diagnostic(`${stream.proxy.accepted} connections`);
      assert.ok(stream.proxy.accepted > 2);
    });
  });
});
