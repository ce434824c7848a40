import { mayPass, problemOf } from './problem.js';
import { SseParser } from './sse_parser.js';

// Until the stream says otherwise (retry:), and at most, between two attempts.
const RETRY_MS = 2000;
const RETRY_MAX_MS = 30_000;
// How many of the latest events a fresh stream starts with.
const REPLAY = 20;

// Reads an event stream with fetch: for what an EventSource cannot do, which is POST, headers of one's own, and reading why it was refused.
// Goes on after the last event id when the stream breaks, until it is aborted or refused for good.
//
// `listener` is told: event({ type, data, lastEventId }), change() when what is shown here has changed.
export class FetchStream {
  // idle | connecting | open | waiting | refused
  state = 'idle';
  lastEventId = '';
  // Why it was refused or broke, in words.
  problem = '';
  events = 0;
  bytes = 0;
  chunks = 0;
  // Chunks that ended inside of an event.
  splits = 0;
  reconnects = 0;

  #listener;
  #abort = null;
  #retryMs = RETRY_MS;

  constructor(listener) {
    this.#listener = listener;
  }

  get isRunning() {
    return this.#abort !== null;
  }

  // The body of the next request.
  bodyFor(topics) {
    return this.lastEventId === '' ? { topics, replay: REPLAY } : { topics, last_event_id: this.lastEventId };
  }

  // Ends the stream; the next start goes on after the last event id.
  abort() {
    this.#abort?.abort();
    this.#abort = null;
    this.problem = '';
    this.#setState('idle');
  }

  // Forgets the last event id and what was counted. REQUIRES: not running.
  reset() {
    this.lastEventId = '';
    this.problem = '';
    this.events = 0;
    this.bytes = 0;
    this.chunks = 0;
    this.splits = 0;
    this.reconnects = 0;
    this.#setState('idle');
  }

  // `headers` gives those of each request, beside what every one has.
  async start({ topics, headers }) {
    this.abort();
    const abort = new AbortController();
    this.#abort = abort;
    for (let failures = 0; ; failures += 1) {
      let pauseMs;
      try {
        this.#setState('connecting');
        const response = await this.#request(topics, headers(), abort.signal);
        if (response.status === 200) {
          failures = 0;
          await this.#read(response, abort.signal);
          this.problem = 'The stream ended.';
        } else {
          this.problem = await problemOf(response);
          if (abort.signal.aborted) return;
          if (!mayPass(response.status)) {
            this.#abort = null;
            this.#setState('refused');
            return;
          }
          pauseMs = 1000 * Number(response.headers.get('retry-after') ?? NaN);
        }
      } catch (error) {
        this.problem = `The connection broke: ${error.message}`;
      }
      if (abort.signal.aborted) return;
      this.#setState('waiting');
      await pause(pauseMs >= 0 ? pauseMs : backoff(this.#retryMs, failures), abort.signal);
      if (abort.signal.aborted) return;
      this.reconnects += 1;
    }
  }

  #request(topics, own, signal) {
    const headers = { Accept: 'text/event-stream', 'Content-Type': 'application/json', ...own };
    const body = JSON.stringify(this.bodyFor(topics));
    return fetch(new URL('events', document.baseURI), { method: 'POST', headers, body, signal, cache: 'no-store' });
  }

  async #read(response, signal) {
    this.problem = '';
    this.#setState('open');
    const reader = response.body.getReader();
    // With stream: true it keeps the first bytes of a character until the rest comes; the parser keeps the first half of an event.
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    const parser = new SseParser({
      lastEventId: this.lastEventId,
      onEvent: (event) => this.#onEvent(event),
      onRetry: (milliseconds) => { this.#retryMs = milliseconds; },
    });
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return;
      this.bytes += value.length;
      this.chunks += 1;
      parser.feed(decoder.decode(value, { stream: true }));
      this.lastEventId = parser.lastEventId;
      if (parser.isInsideEvent) this.splits += 1;
      this.#listener.change();
    }
  }

  #onEvent(event) {
    if (!event.type.startsWith('bridge.')) this.events += 1;
    this.#listener.event(event);
  }

  #setState(state) {
    this.state = state;
    this.#listener.change();
  }
}

// Doubles with each failure, with jitter, so that many pages do not come back at the same moment.
const backoff = (retryMs, failures) => Math.min(retryMs * 2 ** failures, RETRY_MAX_MS) * (0.75 + 0.5 * Math.random());

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
