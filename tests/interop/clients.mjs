// The SSE clients of npm and of Node.js behind one interface, each used as its README says.
//
// open({ url, types, onEvent }) calls onEvent({ type, id, data }) for each event of these types, reconnects for ever, and returns a function
// that ends it.
import { fetchEventSource } from '@microsoft/fetch-event-source';
import { EventSource as EventSourceOfNpm } from 'eventsource';
import { createEventSource } from 'eventsource-client';
import { createParser } from 'eventsource-parser';
import eventSourcePolyfill from 'event-source-polyfill';
import { JSDOM } from 'jsdom';
import launchDarkly from 'launchdarkly-eventsource';
import { setTimeout as sleep } from 'node:timers/promises';
import ReconnectingEventSource from 'reconnecting-eventsource';
import { SSE } from 'sse.js';
import { EventSource as EventSourceOfUndici } from 'undici';

// For the clients with EventSource's interface.
function listen(source, types, onEvent) {
  for (const type of types) source.addEventListener(type, ({ lastEventId, data }) => onEvent({ type, id: lastEventId, data }));
  return () => source.close();
}

const withInterfaceOf = (construct) => ({ url, types, onEvent }) => listen(construct(url), types, onEvent);

// eventsource-parser is a parser only: the loop around it, here with POST, is what its users write.
function openWithParser({ url, types, onEvent }) {
  const stop = new AbortController();
  const { origin, pathname, searchParams } = new URL(url);
  let lastEventId = '';
  let retryMs = 1000;
  const stream = async () => {
    const response = await fetch(origin + pathname, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ topics: searchParams.getAll('topic'), last_event_id: lastEventId }),
      signal: stop.signal,
    });
    const parser = createParser({
      onEvent: ({ id, event: type = 'message', data }) => {
        if (id) lastEventId = id;
        if (types.includes(type)) onEvent({ type, id, data });
      },
      onRetry: (value) => { retryMs = value; },
    });
    for await (const text of response.body.pipeThrough(new TextDecoderStream())) parser.feed(text);
  };
  (async () => {
    while (!stop.signal.aborted) {
      await stream().catch(() => {});
      await sleep(retryMs);
    }
  })();
  return () => stop.abort();
}

function openEventSourceClient({ url, types, onEvent }) {
  const client = createEventSource({
    url,
    onMessage: ({ id, event: type = 'message', data }) => types.includes(type) && onEvent({ type, id, data }),
  });
  return () => client.close();
}

function openFetchEventSource({ url, types, onEvent }) {
  // What it uses of a browser.
  globalThis.window ??= globalThis;
  globalThis.document ??= { hidden: false, addEventListener() {}, removeEventListener() {} };
  const stop = new AbortController();
  let lastEventId = '';
  fetchEventSource(url, {
    signal: stop.signal,
    openWhenHidden: true,
    // Its own last id is that of a line, whose event a cut may have ended before the empty line: see examples/browser.
    fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, 'last-event-id': lastEventId } }),
    onmessage: ({ id, event, data }) => {
      lastEventId = id || lastEventId;
      const type = event || 'message';
      if (types.includes(type)) onEvent({ type, id, data });
    },
    onclose: () => { throw new Error('ended'); },  // else a clean end is the end
  });
  return () => stop.abort();
}

function openSseJs({ url, types, onEvent }) {
  globalThis.XMLHttpRequest = new JSDOM('', { url }).window.XMLHttpRequest;
  return listen(new SSE(url, { autoReconnect: true, reconnectDelay: 50 }), types, onEvent);
}

function openLaunchDarkly({ url, types, onEvent }) {
  const source = new launchDarkly.EventSource(url, { initialRetryDelayMillis: 50 });
  source.onerror = () => {};  // else each error is an exception
  return listen(source, types, onEvent);
}

export const clients = [
  { name: 'eventsource', open: withInterfaceOf((url) => new EventSourceOfNpm(url)) },
  { name: 'eventsource-parser', open: openWithParser },
  { name: 'eventsource-client', open: openEventSourceClient },
  { name: '@microsoft/fetch-event-source', open: openFetchEventSource },
  { name: 'sse.js', open: openSseJs },
  {
    name: 'reconnecting-eventsource',
    open: withInterfaceOf((url) => new ReconnectingEventSource(url, { eventSourceClass: EventSourceOfNpm, max_retry_time: 100 })),
  },
  { name: 'event-source-polyfill', open: withInterfaceOf((url) => new eventSourcePolyfill.EventSourcePolyfill(url)) },
  { name: 'launchdarkly-eventsource', open: openLaunchDarkly },
  { name: "undici's EventSource", open: withInterfaceOf((url) => new EventSourceOfUndici(url)) },
  {
    name: "Node's own EventSource",
    open: withInterfaceOf((url) => new globalThis.EventSource(url)),
    skip: globalThis.EventSource ? false : `node ${process.version} was not started with --experimental-eventsource, or has none`,
  },
];
