// A browser's side of calls, as Node.js' fetch does it.
//
//   const call = await openCall(bridge, { prompt: 'Why?' }, { query: '?on_disconnect=cancel', headers: {} });  // POST /calls/chat
//   call.status, call.url                    // what it was answered with, and where the answer can be read
//   await call.tokens(3)                     // waits for so many, in all; fails when the answer has ended before
//   call.text, call.count                    // the tokens so far
//   call.opened                              // the data of bridge.open; undefined where bridge.closing came in its place
//   await call.end                           // the data of bridge.end, when the body has come to its end; undefined where it broke
//   call.closing                             // the reason of bridge.closing, where that has come
//   call.abort()                             // closes the connection
//
//   const again = await readCall(call.url, call.lastId);  // GET, as an EventSource would after a cut
//   await cancelCall(call.url)                            // DELETE: { status, end }
import assert from 'node:assert/strict';

import { createParser } from 'eventsource-parser';

import { eventually } from '../support/bridge.mjs';

async function read(response, abort) {
  const call = { status: response.status, text: '', count: 0, lastId: '', abort: () => abort.abort() };
  let end;
  let isOver = false;
  const parser = createParser({
    onEvent: ({ id, event, data }) => {
      call.lastId = id || call.lastId;
      if (event === 'bridge.open') call.opened = JSON.parse(data);
      if (event === 'bridge.end') end = JSON.parse(data);
      if (event === 'bridge.closing') call.closing = JSON.parse(data).reason;
      if (event !== 'token') return;
      assert.equal(end, undefined, 'nothing comes after the end');
      call.text += JSON.parse(data);
      call.count += 1;
    },
  });
  const decoder = new TextDecoder();
  const whole = (async () => {
    for await (const bytes of response.body) parser.feed(decoder.decode(bytes, { stream: true }));
    return end;
  })();
  call.end = whole.catch(() => undefined).finally(() => { isOver = true; });
  call.tokens = (count) => eventually(() => {
    if (call.count < count && isOver) throw new Error(`the answer ended after ${call.count} tokens: ${JSON.stringify(end)}`);
    return call.count >= count;
  }, { describe: () => `${count} tokens; there were ${call.count}` });
  await eventually(() => call.opened || isOver, { describe: () => 'bridge.open' });
  return call;
}

async function begin(url, init) {
  const abort = new AbortController();
  const response = await fetch(url, { ...init, signal: abort.signal });
  if (response.status !== 200) {
    const text = await response.text();
    return { status: response.status, text, headers: response.headers };
  }
  const call = await read(response, abort);
  call.url = response.headers.has('location') ? new URL(response.headers.get('location'), response.url).href : url;
  return call;
}

const isPlain = (body) => typeof body === 'string' || Buffer.isBuffer(body);

// `body` is JSON where it is neither text nor bytes.
export const openCall = (bridge, body, { name = 'chat', query = '', headers = {} } = {}) => begin(`http://${bridge.http}/calls/${name}${query}`, {
  method: 'POST',
  headers: { 'Content-Type': isPlain(body) ? 'text/plain' : 'application/json', ...headers },
  body: isPlain(body) ? body : JSON.stringify(body),
});

export const readCall = (url, lastId) => begin(url, { headers: lastId ? { 'Last-Event-ID': lastId } : {} });

export async function cancelCall(url) {
  const response = await fetch(url, { method: 'DELETE' });
  const text = await response.text();
  return { status: response.status, end: text ? JSON.parse(text).end : undefined };
}
