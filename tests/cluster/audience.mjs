// Event streams and publishers, as pages and backends have them, and the bookkeeping of what came through.
//
//   const audience = openAudience(`http://${http}/events?topic=load.*`, 200);
//   await audience.isOpen();
//   const backends = startPublishing(grpc, ['a', 'b']);
//   await audience.goesOn();                     // all streams get so many events more, and nothing is lost, doubled or reordered
//   audience.check(await backends.stop());       // all that was acked, each once, in its publisher's order, on every stream
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

import { EventSource } from 'eventsource';

import { Publisher } from '../../examples/node/publisher.js';
import { eventually } from '../support/bridge.mjs';

const patienceMs = 90_000;

// `fetch` may add a token, as npm's EventSource allows it.
export function openAudience(url, count, fetch = globalThis.fetch) {
  // The log as the streams have seen it, all of them together: the first one that gets an event writes it down, the others have to get the same.
  const log = [];
  const wrong = [];
  const opened = [];
  const streams = Array.from({ length: count }, () => ({ read: 0, isOpen: false }));
  for (const [index, stream] of streams.entries()) {
    const complain = (what) => wrong.push(`stream ${index}: ${what}`);
    stream.source = new EventSource(url, { fetch });
    stream.source.addEventListener('bridge.open', () => {
      stream.isOpen = true;
      opened.push(Date.now());
    });
    stream.source.addEventListener('bridge.gap', ({ data }) => complain(`a gap: ${data}`));
    stream.source.addEventListener('message', ({ data, lastEventId }) => {
      const event = `${lastEventId} ${data}`;
      if (stream.read === log.length) log.push(event);
      if (log[stream.read] !== event) complain(`${event}, where the log has ${log[stream.read]}`);
      stream.read += 1;
    });
    stream.source.addEventListener('error', ({ message }) => {
      stream.isOpen = false;
      if (stream.source.readyState === EventSource.CLOSED) complain(`is closed for good: ${message}`);
    });
  }
  const slowest = () => Math.min(...streams.map(({ read }) => read));
  const isWhole = () => assert.deepEqual(wrong.slice(0, 5), []);
  return {
    log,
    // When a stream opened: the first time, and each time that it came back.
    opened,
    isOpen: () => eventually(() => streams.every(({ isOpen }) => isOpen), { deadlineMs: patienceMs, describe: () => 'all streams are open' }),
    // Waits until every stream has got so many events that are not published yet.
    async goesOn(more = 50) {
      const wanted = log.length + more;
      await eventually(() => slowest() >= wanted || wrong.length > 0, {
        deadlineMs: patienceMs,
        describe: () => `${more} more events on every stream; the slowest has ${slowest()} of ${log.length}`,
      });
      isWhole();
    },
    // `published` says of each publisher how many events it has had acked. Each is in the log once, in order, and every stream has got the log.
    async check(published) {
      const texts = Object.entries(published).flatMap(([name, number]) => Array.from({ length: number }, (_, index) => `${name} ${index}`));
      await eventually(() => slowest() >= texts.length, {
        deadlineMs: patienceMs,
        describe: () => `${texts.length} events on every stream; the slowest has ${slowest()}`,
      });
      isWhole();
      const received = log.map((event) => event.slice(event.indexOf(' ') + 1));
      for (const name of Object.keys(published)) {
        assert.deepEqual(received.filter((text) => text.startsWith(`${name} `)), texts.filter((text) => text.startsWith(`${name} `)));
      }
      assert.equal(received.length, texts.length);
    },
    close: () => streams.forEach(({ source }) => source.close()),
  };
}

// Publishers with examples/node's reconnects, each on a topic of its own under load: "load.NAME".
export function startPublishing(address, names, { everyMs = 100, token } = {}) {
  let isStopping = false;
  const reconnects = [];
  const rejected = [];
  const publishers = names.map(async (name) => {
    const publisher = new Publisher(address, { token });
    publisher.on('reconnect', (reason) => reconnects.push(reason.split('.')[0].trim()));
    publisher.on('rejected', (event, { code, message }) => rejected.push(`${event.text}: ${code} ${message}`));
    let number = 0;
    for (; !isStopping; number += 1) {
      await publisher.publish({ topic: `load.${name}`, text: `${name} ${number}` });
      await sleep(everyMs);  // the publisher's pace
    }
    await publisher.close();
    return [name, number];
  });
  publishers.forEach((publisher) => publisher.catch(() => {}));  // told by stop()
  return {
    // Why a publisher's stream ended, each time that it went on with another one.
    reconnects,
    // Waits until all is acked, and returns how much each has published. Fails where one could not go on, or was rejected.
    async stop() {
      isStopping = true;
      const published = Object.fromEntries(await Promise.all(publishers));
      assert.deepEqual(rejected, []);
      return published;
    },
  };
}

// How many of these moments lie in each second, from the first one on.
export function countBySecond(moments) {
  const first = Math.min(...moments);
  const counts = new Array(Math.floor((Math.max(...moments) - first) / 1000) + 1).fill(0);
  for (const moment of moments) counts[Math.floor((moment - first) / 1000)] += 1;
  return counts;
}

// A line for each second.
export const plot = (counts) => counts.map((count, second) => `${String(second).padStart(4)} s ${'#'.repeat(count)} ${count}`);
