import { mayPass, problemOf } from './problem.js';
import { StreamSource } from './stream_source.js';

// Without a sign of life for so many heartbeats, the stream counts as stale.
const STALE_AFTER_HEARTBEATS = 2.5;
// How many of the latest events a fresh stream starts with.
const REPLAY = 500;
const CUT_MS = 3000;
// After an answer that is final for an EventSource but may pass: an ingress's 502, say.
const REOPEN_MS = 5000;

const CONTROL_TYPES = ['bridge.open', 'bridge.gap', 'bridge.closing', 'bridge.expiring', 'bridge.heartbeat'];

// The page's event stream: one EventSource at a time, and what is known about it.
//
// `listener` is told:
//   event({ type, id, data })
//   control({ type, id, data })                  an event of the bridge's own, its data parsed
//   opened()                                     the stream is open, for the first time
//   resumed({ after, lostAtMs, backAtMs })       the stream is open again, after that event id
//   renewed()                                    the stream goes on with another token, and was open all the time
//   change()                                     something that is shown here has changed
export class Connection {
  // connecting | open | cut | stopped | refused
  state = 'connecting';
  topics = [];
  lastEventId = '';
  received = 0;
  reconnects = 0;
  // The mean time between two heartbeats; 0 as long as it is unknown.
  heartbeatMs = 0;
  // While it is cut: when it will be opened again, on performance.now()'s clock.
  reopenAt = 0;
  // Why it was refused, or is not open yet, in words; and with which status, 0 where that is unknown.
  problem = '';
  refusedStatus = 0;
  // When the token of the open stream ends, on Date.now()'s clock; null where the bridge has not said that it will soon.
  tokenEndsAtMs = null;

  #access;
  #listener;
  #types = new Set();
  #source = null;
  #timer = 0;
  #lastSignAt = 0;
  // Since when nothing is received, on Date.now()'s clock; null before the first stream and while one is open.
  #lostAtMs = null;

  constructor(access, listener) {
    this.#access = access;
    this.#listener = listener;
  }

  // Milliseconds since the bridge was last heard; null where no stream is open.
  get silenceMs() {
    return this.state === 'open' ? performance.now() - this.#lastSignAt : null;
  }

  get staleAfterMs() {
    return STALE_AFTER_HEARTBEATS * this.heartbeatMs;
  }

  get isStale() {
    return this.heartbeatMs > 0 && this.silenceMs > this.staleAfterMs;
  }

  get isReceiving() {
    return this.#source !== null;
  }

  // Opens a stream of these topics that begins with the latest events, instead of the present one.
  start(topics) {
    this.#close('connecting');
    this.topics = topics;
    this.lastEventId = '';
    this.#lostAtMs = null;
    this.#open();
  }

  // EventSource has an event only for the types that it was told.
  setTypes(types) {
    const wanted = new Set(types);
    for (const type of wanted) {
      if (!this.#types.has(type)) this.#source?.addEventListener(type, this.#onEvent);
    }
    for (const type of this.#types) {
      if (!wanted.has(type)) this.#source?.removeEventListener(type, this.#onEvent);
    }
    this.#types = wanted;
  }

  stop() {
    this.#close('stopped');
  }

  // Goes on after the last event id.
  resume() {
    this.#close('connecting');
    this.#open();
  }

  // There is another token: a stream that is open goes on with it, one that was refused is asked for again.
  renew() {
    if (this.#source !== null) {
      this.#source.renew();
    } else if (this.state === 'refused') {
      this.resume();
    }
  }

  // Drops the connection, and resumes after a while.
  cut() {
    this.#close('cut');
    this.reopenAt = performance.now() + CUT_MS;
    this.#timer = setTimeout(() => this.resume(), CUT_MS);
  }

  #open() {
    const url = new URL('events', document.baseURI);
    for (const topic of this.topics) url.searchParams.append('topic', topic);
    if (this.lastEventId !== '') {
      url.searchParams.set('last_event_id', this.lastEventId);
    } else {
      url.searchParams.set('replay', String(REPLAY));
    }
    url.searchParams.set('heartbeat', 'event');

    const source = new StreamSource(url, this.#access);
    source.onerror = () => this.#onError(url);
    for (const type of CONTROL_TYPES) source.addEventListener(type, this.#onControl);
    for (const type of this.#types) source.addEventListener(type, this.#onEvent);
    this.#source = source;
    this.#listener.change();
  }

  #close(state) {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
    this.problem = '';
    this.refusedStatus = 0;
    this.#setLost(state);
  }

  #setLost(state) {
    if (this.state === 'open') this.#lostAtMs = Date.now();
    this.state = state;
    this.tokenEndsAtMs = null;
    this.#listener.change();
  }

  #onEvent = (event) => {
    this.#lastSignAt = performance.now();
    this.lastEventId = event.lastEventId;
    this.received += 1;
    this.#listener.event({ type: event.type, id: event.lastEventId, data: event.data });
  };

  #onControl = ({ type, lastEventId, data }) => {
    this.#lastSignAt = performance.now();
    const parsed = JSON.parse(data);
    if (type === 'bridge.open') this.#onOpen(parsed);
    // A refusal that will pass has none: what the page has stays.
    this.lastEventId = lastEventId || this.lastEventId;
    if (type === 'bridge.expiring') this.tokenEndsAtMs = Date.now() + 1000 * parsed.seconds;
    this.#listener.control({ type, id: lastEventId, data: parsed });
    this.#listener.change();
  };

  #onOpen({ heartbeat_ms: heartbeatMs }) {
    const wasOpen = this.state === 'open';
    this.state = 'open';
    this.problem = '';
    this.tokenEndsAtMs = null;
    this.heartbeatMs = heartbeatMs;
    if (wasOpen) {
      this.#listener.renewed();
    } else if (this.#lostAtMs === null) {
      this.#listener.opened();
    } else {
      this.reconnects += 1;
      this.#listener.resumed({ after: this.lastEventId, lostAtMs: this.#lostAtMs, backAtMs: Date.now() });
      this.#lostAtMs = null;
    }
  }

  #onError(url) {
    const { isClosed, refusal } = this.#source;
    if (!isClosed) {
      this.problem = refusal?.message ?? '';
      this.#setLost('connecting');  // it connects again by itself
      return;
    }
    this.#close('refused');
    if (refusal === null) {
      this.#explain(url);
    } else {
      this.problem = refusal.message;
      this.refusedStatus = refusal.status;
    }
  }

  // An EventSource does not say why it was refused; a fetch of the same does.
  async #explain(url) {
    let reopens = true;
    try {
      const abort = new AbortController();
      const response = await fetch(url, { headers: this.#access.headers, signal: abort.signal, cache: 'no-store' });
      const problem = response.ok ? 'The stream ended.' : await problemOf(response);
      abort.abort();
      if (this.state !== 'refused') return;
      reopens = response.ok || mayPass(response.status);
      this.problem = problem;
      if (!response.ok) this.refusedStatus = response.status;
    } catch {
      this.problem = 'The bridge cannot be reached.';
    }
    if (reopens && this.state === 'refused') this.#timer = setTimeout(() => this.resume(), REOPEN_MS);
    this.#listener.change();
  }
}
