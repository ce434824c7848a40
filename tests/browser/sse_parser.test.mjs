// The page's own parser of text/event-stream, against every way to cut a stream in pieces.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { SseParser } from '../../bridge/web/sse_parser.js';

// What the parser makes of these pieces.
function parse(pieces, options = {}) {
  const events = [];
  const retries = [];
  const parser = new SseParser({ onEvent: (event) => events.push(event), onRetry: (retry) => retries.push(retry), ...options });
  for (const piece of pieces) parser.feed(piece);
  return { events, retries, lastEventId: parser.lastEventId, isInsideEvent: parser.isInsideEvent };
}

// A reader's way from bytes to the parser.
function parseBytes(chunks) {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  return parse(chunks.map((chunk) => decoder.decode(chunk, { stream: true })));
}

const message = (data, lastEventId = '', type = 'message') => ({ type, data, lastEventId });

const cases = [
  ['one line', 'data: a\n\n', [message('a')]],
  ['several lines', 'data: a\ndata\ndata:\ndata: b\n\n', [message('a\n\n\nb')]],
  ['a type', 'event: update\ndata: a\n\ndata: b\n\n', [message('a', '', 'update'), message('b')]],
  ['an empty type', 'event: x\nevent:\ndata: a\n\n', [message('a')]],
  ['one space after the colon', 'data:a\ndata: b\ndata:  c\n\n', [message('a\nb\n c')]],
  ['an id that stays', 'id: 7\ndata: a\n\ndata: b\n\n', [message('a', '7'), message('b', '7')]],
  ['an empty id', 'id: 7\ndata: a\n\nid\ndata: b\n\n', [message('a', '7'), message('b', '')]],
  ['an id with NUL', 'id: 7\ndata: a\n\nid: 8\0\ndata: b\n\n', [message('a', '7'), message('b', '7')]],
  ['an id without data', 'id: 7\n\ndata: a\n\n', [message('a', '7')]],
  ['empty data', 'data\n\ndata:\n\n', [message(''), message('')]],
  ['no data', 'event: x\nid: 1\n\n', []],
  ['an event without its end', 'data: a\n\nid: 9\ndata: b\n', [message('a')]],
  ['CR', 'data: a\rdata: b\r\rdata: c\r\r', [message('a\nb'), message('c')]],
  ['CRLF', 'data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n', [message('a\nb'), message('c')]],
  ['all line ends', 'data: a\rdata: b\ndata: c\r\n\rdata: d\n\r\n', [message('a\nb\nc'), message('d')]],
  ['a byte order mark', '\uFEFFdata: a\n\n', [message('a')]],
  ['two byte order marks', '\uFEFF\uFEFFdata: a\n\ndata: b\n\n', [message('b')]],
  ['comments and unknown fields', ': c\nfoo: bar\n:\ndata: a\n data: b\nDATA: c\n\n', [message('a')]],
  ['characters of one to four bytes', 'event: ü\ndata: aé€😀\u2028𝄞\nid: 日本\n\n', [message('aé€😀\u2028𝄞', '日本', 'ü')]],
];

describe('the parser', () => {
  for (const [name, stream, expected] of cases) {
    test(`reads ${name}, cut at any two bytes`, () => {
      const bytes = new TextEncoder().encode(stream);
      for (let first = 0; first <= bytes.length; first += 1) {
        for (let second = first; second <= bytes.length; second += 1) {
          const { events } = parseBytes([bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)]);
          assert.deepEqual(events, expected, `cut at ${first} and ${second}`);
        }
      }
      assert.deepEqual(parseBytes([...bytes].map((byte) => Uint8Array.of(byte))).events, expected, 'byte by byte');
    });
  }

  test('reads a whole corpus in pieces of every size', () => {
    const bytes = new TextEncoder().encode(cases.slice(0, -1).map(([, stream]) => stream.replace(/^\uFEFF+/, '')).join('\n\n').repeat(3));
    const whole = parseBytes([bytes]).events;
    assert.ok(whole.length > 60);
    for (let size = 1; size <= 64; size += 1) {
      const chunks = [];
      for (let i = 0; i < bytes.length; i += size) chunks.push(bytes.subarray(i, i + size));
      assert.deepEqual(parseBytes(chunks).events, whole, `pieces of ${size}`);
    }
  });

  test('tells of a retry that is a number, and only of that', () => {
    const { retries } = parse(['retry: 100\nretry: 1x\nretry:\nretry: -1\nretry: 2500\n\n']);
    assert.deepEqual(retries, [100, 2500]);
  });

  test('resumes only after events that are complete', () => {
    assert.equal(parse(['id: 1\ndata: a\n\nid: 2\ndata: b\n']).lastEventId, '1');
    assert.equal(parse(['id: 1\ndata: a\n\nid: 2\ndata: b\n\n']).lastEventId, '2');
    assert.deepEqual(parse(['data: a\n\n'], { lastEventId: '5' }).events, [message('a', '5')]);
  });

  test('knows whether it is inside of an event', () => {
    assert.equal(parse(['data: a\n\n']).isInsideEvent, false);
    assert.equal(parse([': comment\n\n']).isInsideEvent, false);
    for (const part of ['d', 'data: a', 'data: a\n', 'event: x\n', 'id: 3\n', 'data: a\n\ndata']) {
      assert.equal(parse([part]).isInsideEvent, true, JSON.stringify(part));
    }
  });

  test('reads a long line that comes in many pieces', () => {
    const piece = 'x'.repeat(1000);
    const { events } = parse(['data: ', ...Array(2000).fill(piece), '\n\n']);
    assert.equal(events[0].data.length, 2_000_000);
  });
});
