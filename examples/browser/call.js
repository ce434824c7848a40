// A call of the bridge, read with fetch. Needs nothing but this file, which is meant to be copied.
//
//   const call = new Call('/calls/chat', {
//     body: JSON.stringify({ prompt }),
//     headers: async () => ({ Authorization: `Bearer ${await session.freshToken()}` }),
//     onEvent: ({ data }) => show(data),
//   });
//   const { status, usage } = await call.read();  // to the end, through lost networks and replaced replicas
//   stopButton.onclick = () => call.cancel();      // the worker stops; read() returns with the status "cancelled"

// Between two requests that fail; it doubles with each.
const PAUSE_MS = 250;
const PAUSE_MAX_MS = 15_000;
// Without a byte for so many heartbeats a connection is dead, whatever TCP believes; and for so long before the first one is announced.
const SILENT_HEARTBEATS = 3;
const SILENT_MS = 30_000;
// An HTTP/1.1 browser opens six connections to an origin: a cancel that waits for one gets that of the answer.
const CANCEL_MS = 1000;

// The bridge has said no, in an answer (RFC 9457) that trying again does not change by itself.
export class CallRefusal extends Error {
  constructor(response, problem) {
    super(problem.detail ?? `${response.status} ${response.statusText}`.trim());
    this.status = response.status;
    this.retryAfterMs = 1000 * (Number(response.headers.get('Retry-After')) || 0);
    // A gateway before the bridge has no problem document: it does not know whether the bridge has seen the request.
    this.isOfBridge = problem.status !== undefined;
  }

  static async of(response) {
    return new CallRefusal(response, await response.json().catch(() => ({})) ?? {});
  }
}

/**
 * One call: a POST that a worker answers with events, until "bridge.end".
 *
 * What is lost on the way is read again: the answer by GET after the last event, and the POST itself with the same Idempotency-Key, so that it is
 * one call however often it is sent. Nobody reading for calls.grace stops the worker: so a closed tab needs no code, and a reload goes on with
 * `key`, `url` and the same body.
 */
export class Call {
  /** Names this call, however often it is sent. */
  key;
  /** Where the answer is; empty until the bridge has said so. */
  url;
  /** Of the last event that was handed on. */
  lastEventId = '';

  #target;
  #request;
  #headers;
  #onEvent;
  #onState;
  // Of read(), and of its present request.
  #reading = null;
  #connection = null;
  #isCancelled = false;
  // A POST may have reached the bridge, though no answer has come.
  #maybeSent = false;
  #pauseMs = PAUSE_MS;

  /**
   * @param {string | URL} target of the call: "/calls/chat"
   * @param {object} options
   * @param {BodyInit} [options.body]
   * @param {string} [options.contentType]
   * @param {() => object | Promise<object>} [options.headers] those of each request, a token for example
   * @param {(event: {type: string, data: string, id: string}) => void} [options.onEvent] an event of the answer
   * @param {(state: 'connecting' | 'open' | 'waiting', problem: string) => void} [options.onState] `problem` says why it waits
   * @param {string} [options.key] and
   * @param {string} [options.url] of a call that was made before a reload: its answer is read from the beginning
   */
  constructor(target, { body = '', contentType = 'application/json', headers, onEvent, onState, key = newKey(), url = '' } = {}) {
    this.#target = new URL(target, location.href);
    this.#request = { method: 'POST', body, headers: { 'Content-Type': contentType, 'Idempotency-Key': key } };
    this.#headers = headers ?? (() => ({}));
    this.#onEvent = onEvent ?? (() => {});
    this.#onState = onState ?? (() => {});
    this.key = key;
    this.url = url;
  }

  /**
   * Reads the answer to its end. Called again, it goes on after the last event.
   *
   * @returns {Promise<{status: string, code?: number, message?: string, usage?: object} | null>} the data of bridge.end; null where leave() came
   *     first, or a cancel() before the bridge could be reached
   * @throws {CallRefusal}
   */
  async read() {
    this.leave();
    const reading = new AbortController();
    this.#reading = reading;
    for (let failures = 0; ; failures += 1) {
      let problem;
      let leastMs = 0;
      let isRefused = false;
      const { lastEventId } = this;
      try {
        this.#onState('connecting', '');
        const { end, closing = 'The answer broke off.' } = await this.#readOnce(reading.signal);
        if (end !== undefined) return end;
        problem = closing;
      } catch (error) {
        if (reading.signal.aborted) return null;
        isRefused = error instanceof CallRefusal;
        if (isRefused && !this.#mayPass(error)) throw error;
        problem = error.message;
        leastMs = error.retryAfterMs ?? 0;
      }
      this.#maybeSent ||= !isRefused;
      if (reading.signal.aborted || (this.#isCancelled && this.url === '')) return null;
      if (this.lastEventId !== lastEventId) failures = 0;
      this.#onState('waiting', problem);
      await pause(Math.max(leastMs, backoff(this.#pauseMs, failures)), reading.signal);
      if (reading.signal.aborted) return null;
    }
  }

  /**
   * Tells the worker to stop. The answer then ends soon, and read() returns its end, with the usage.
   *
   * @throws {CallRefusal}
   */
  async cancel() {
    this.#isCancelled = true;
    if (this.url === '') {
      if (this.#connection === null) this.leave();
      return;  // the bridge is told when it has answered
    }
    for (let failures = 0; ; failures += 1) {
      const timer = setTimeout(() => this.#connection?.abort(new Error('Its connection was needed.')), CANCEL_MS);
      const headers = await this.#headers();
      const response = await fetch(this.url, { method: 'DELETE', headers, keepalive: true }).catch(() => null);
      clearTimeout(timer);
      if (response?.ok || response?.status === 404) return;
      if (response !== null && !passes(response.status)) throw await CallRefusal.of(response);
      await pause(backoff(PAUSE_MS, failures));
    }
  }

  /** Reads no further. The worker is not told: it goes on for calls.grace, or as long as somebody else reads. */
  leave() {
    this.#reading?.abort();
    this.#reading = null;
  }

  // Has the `end` of the answer, unless the stream ended before it; `closing` says why, where the bridge did.
  async #readOnce(signal) {
    const connection = new AbortController();
    this.#connection = connection;
    let silentMs = SILENT_MS;
    let timer;
    let closing;
    const watch = () => {
      clearTimeout(timer);
      timer = setTimeout(() => connection.abort(new Error('The connection is silent.')), silentMs);
    };
    try {
      watch();
      const response = await this.#ask(AbortSignal.any([signal, connection.signal]));
      if (response.status !== 200) throw await CallRefusal.of(response);
      for await (const { type, data, id, retryMs } of eventsOf(response, watch)) {
        if (signal.aborted) return {};
        if (retryMs !== undefined) this.#pauseMs = retryMs;
        if (type === 'bridge.open') {
          const { url, heartbeat_ms: heartbeatMs } = JSON.parse(data);
          silentMs = SILENT_HEARTBEATS * heartbeatMs || SILENT_MS;
          this.#open(url);
        } else if (type === 'bridge.end') {
          return { end: JSON.parse(data) };
        } else if (type === 'bridge.closing') {
          closing = `The bridge says: ${JSON.parse(data).reason}.`;
        } else if (data !== undefined && !type.startsWith('bridge.')) {
          this.#emit({ type, data, id: id ?? this.lastEventId });
        }
        this.lastEventId = id ?? this.lastEventId;
      }
      return { closing };
    } finally {
      clearTimeout(timer);
      connection.abort();
      if (this.#connection === connection) this.#connection = null;
    }
  }

  async #ask(signal) {
    const headers = { Accept: 'text/event-stream', ...await this.#headers() };
    if (this.lastEventId !== '') headers['Last-Event-ID'] = this.lastEventId;
    if (this.url !== '') return fetch(this.url, { headers, signal, cache: 'no-store' });
    const request = { ...this.#request, headers: { ...this.#request.headers, ...headers }, signal };
    return fetch(this.#target, request);
  }

  // What a handler throws is its own, and no reason to read again.
  #emit(event) {
    try {
      this.#onEvent(event);
    } catch (error) {
      reportError(error);
    }
  }

  #open(url) {
    const isNew = this.url === '';
    if (isNew) this.url = new URL(url, this.#target).href;
    this.#onState('open', '');
    if (isNew && this.#isCancelled) this.cancel().catch(() => {});
  }

  // A call that is open, or may be, is not given up for what passes. A POST that the bridge has refused is: that is for a person to know.
  #mayPass({ status, isOfBridge }) {
    return passes(status) && (this.url !== '' || this.#maybeSent || !isOfBridge);
  }
}

// The events of a response, as text/event-stream has them; `onBytes` is told of each piece, comments too. The bridge ends lines with LF.
async function* eventsOf(response, onBytes) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onBytes();
    const blocks = (text + value).split('\n\n');
    text = blocks.pop();  // its blank line has not come
    for (const block of blocks) yield eventOf(block);
  }
}

function eventOf(block) {
  const event = { type: 'message' };
  for (const line of block.split('\n')) {
    const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
    if (field === 'data') event.data = event.data === undefined ? value : `${event.data}\n${value}`;
    if (field === 'event') event.type = value;
    if (field === 'id') event.id = value;
    if (field === 'retry') event.retryMs = Number(value) || undefined;
  }
  return event;
}

// 128 random bits. crypto.randomUUID() is there only over https.
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

const passes = (status) => status === 429 || status >= 500;

const backoff = (pauseMs, failures) => Math.min(PAUSE_MAX_MS, pauseMs * 2 ** failures) * (0.5 + Math.random());

// Ends sooner when the network is back.
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const over = () => {
      clearTimeout(timer);
      removeEventListener('online', over);
      resolve();
    };
    const timer = setTimeout(over, milliseconds);
    addEventListener('online', over);
    signal?.addEventListener('abort', over, { once: true });
  });
}
