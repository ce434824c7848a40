import { mayPass } from './problem.js';

// Before the first new connection, and at most; it doubles with each that fails.
const REOPEN_MS = 500;
const REOPEN_MAX_MS = 30_000;

// An EventSource for a bridge that may want a token. Without one it is the browser's, which connects again by itself. With one, each
// connection shows a ticket of its own, because a ticket opens one stream: it is this class that connects again, after the last event.
//
// `onerror` is called when nothing is received any more; for good where isClosed then says so.
export class StreamSource {
  isClosed = false;
  onerror = () => {};
  // What the bridge said where it gave no ticket; null where it said nothing.
  refusal = null;

  #url;
  #access;
  #source = null;
  // One by type.
  #listeners = new Map();
  #lastEventId = '';
  #failures = 0;
  #timer = 0;
  // Counts the calls of #open, so that one which has waited for its ticket knows whether it is the latest.
  #opened = 0;

  constructor(url, access) {
    this.#url = url;
    this.#access = access;
    this.#open();
  }

  addEventListener(type, listener) {
    this.#listeners.set(type, listener);
    this.#source?.addEventListener(type, this.#onEvent);
  }

  removeEventListener(type) {
    this.#listeners.delete(type);
    this.#source?.removeEventListener(type, this.#onEvent);
  }

  // The access has another token: the next stream takes over from where the present one will be then.
  renew() {
    this.#open();
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.#timer);
    this.#source?.close();
  }

  async #open() {
    clearTimeout(this.#timer);
    this.#opened += 1;
    const own = this.#opened;
    const url = new URL(this.#url);
    const { hasToken } = this.#access;
    if (hasToken) {
      const taken = await this.#access.ticket().then((ticket) => ({ ticket }), (failure) => ({ failure }));
      if (this.isClosed || own !== this.#opened) return;
      if (taken.failure !== undefined) {
        this.#fail(taken.failure);
        return;
      }
      url.searchParams.set('ticket', taken.ticket);
    }
    clearTimeout(this.#timer);  // the stream before may have broken meanwhile
    this.refusal = null;
    this.#source?.close();
    if (this.#lastEventId !== '') url.searchParams.set('last_event_id', this.#lastEventId);
    const source = new EventSource(url);
    source.onerror = () => this.#onError(source, hasToken);
    for (const type of this.#listeners.keys()) source.addEventListener(type, this.#onEvent);
    this.#source = source;
  }

  #onEvent = (event) => {
    this.#lastEventId = event.lastEventId || this.#lastEventId;
    if (event.type === 'bridge.open') this.#failures = 0;
    this.#listeners.get(event.type)?.(event);
  };

  #onError(source, isWithTicket) {
    const isRefused = source.readyState === EventSource.CLOSED;
    if (isWithTicket && (!isRefused || this.#failures === 0)) {
      // The browser would show the same ticket again. It may have done so already, where a request broke before its answer: so one refusal
      // says nothing.
      source.close();
      this.#openLater(0);
    } else if (isRefused) {
      this.close();
    }
    this.onerror();
  }

  // There is no ticket. A stream that is open goes on.
  #fail(failure) {
    this.refusal = failure.status === undefined ? null : failure;
    const isFinal = this.refusal !== null && !mayPass(failure.status);
    if (isFinal) {
      this.close();
    } else {
      this.#openLater(failure.retryAfterMs ?? 0);
    }
    if (isFinal || this.#source?.readyState !== EventSource.OPEN) this.onerror();
  }

  #openLater(leastMs) {
    const delayMs = Math.min(REOPEN_MS * 2 ** this.#failures, REOPEN_MAX_MS) * (0.75 + 0.5 * Math.random());
    this.#failures += 1;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), Math.max(delayMs, leastMs));
  }
}
