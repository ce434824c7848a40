import { Call, CallRefusal } from './call.js';
import { wantsToken } from './problem.js';

const CUT_MS = 3000;
// Of the list of what went over the wire.
const WIRE_MAX = 12;

// A question and its answer: a call, and all that the chat knows of it.
export class Turn {
  prompt;
  // asking | typing | waiting | cut | stopping | refused | ended
  state = 'asking';
  text = '';
  tokens = 0;
  reconnects = 0;
  // The data of bridge.end.
  end = null;
  // { status, message, retryAfterMs } of the answer that said no.
  refusal = null;
  // Why it is not open, in words.
  problem = '';
  // When Stop was pressed, and when a cut ends, on performance.now()'s clock.
  stoppedAt = 0;
  resumesAt = 0;
  // The requests and what ended them, the latest last: { what, where, after, at }.
  wire = [];

  #target;
  #access;
  #listener;
  #call;
  #timer = 0;

  // `saved` is a prompt, or what another turn's `saved` was. `listener` is told: change(), and settle() when there is something new to save.
  constructor(saved, { target, access, listener }) {
    this.#target = target;
    this.#access = access;
    this.#listener = listener;
    const { prompt, key, url, text = '', tokens = 0, end = null, refusal = null } = saved;
    this.prompt = prompt;
    this.#call = this.#callWith({ key, url });
    if (end !== null || refusal !== null) Object.assign(this, { state: end !== null ? 'ended' : 'refused', text, tokens, end, refusal });
  }

  // All it takes to show it again, and to go on. The text of an answer that goes on is not in it: that is read from its beginning.
  get saved() {
    const { prompt, text, tokens, end, refusal } = this;
    const { key, url } = this.#call;
    return this.end !== null || this.isOver ? { prompt, key, url, text, tokens, end, refusal } : { prompt, key, url };
  }

  get isRunning() {
    return this.state !== 'refused' && this.state !== 'ended';
  }

  // It has come to an end that no token changes.
  get isOver() {
    return this.end !== null || (this.refusal !== null && !this.wantsToken);
  }

  get wantsToken() {
    return this.refusal !== null && wantsToken(this.refusal.status);
  }

  // Empty until the bridge has said so.
  get callId() {
    return this.#call.url.split('/').at(-1);
  }

  // Asks, or goes on: after a refusal too, as the same call.
  async go() {
    if (this.state === 'cut') this.reconnects += 1;
    this.#set(this.state === 'stopping' ? 'stopping' : 'asking');
    this.refusal = null;
    try {
      const end = await this.#call.read();
      if (end !== null) {
        this.#finish(end);
      } else if (this.state === 'stopping') {
        this.#finish({ status: 'cancelled' });
      }
    } catch (error) {
      if (!(error instanceof CallRefusal)) throw error;
      this.#refuse(error);
    }
  }

  // With another token, where it was one that was missing.
  renew() {
    if (this.state === 'refused' && this.wantsToken) this.go();
  }

  async stop() {
    const wasCut = this.state === 'cut';
    this.stoppedAt = performance.now();
    this.#set('stopping');
    if (this.#call.url !== '') this.#note('DELETE', pathOf(this.#call.url));
    if (wasCut) {
      clearTimeout(this.#timer);
      this.go();
    }
    try {
      await this.#call.cancel();
    } catch (error) {
      this.#refuse(error);
    }
  }

  // Drops the connection, and goes on after a while.
  cut() {
    this.resumesAt = performance.now() + CUT_MS;
    this.#set('cut');
    this.#note('cut', '');
    this.#call.leave();
    this.#timer = setTimeout(() => this.go(), CUT_MS);
  }

  // Nobody will look at it again.
  discard() {
    clearTimeout(this.#timer);
    if (this.isRunning) this.#call.cancel().catch(() => {});  // else its worker goes on for a while
    this.#call.leave();
  }

  #callWith(known) {
    return new Call(this.#target, {
      ...known,
      body: JSON.stringify({ prompt: this.prompt }),
      headers: () => this.#access.headers,
      onEvent: (event) => this.#onEvent(event),
      onState: (state, problem) => this.#onState(state, problem),
    });
  }

  #onEvent({ type, data }) {
    if (type !== 'token' && type !== 'message') return;
    this.text += type === 'token' ? textOfToken(data) : data;
    this.tokens += 1;
    if (this.state !== 'stopping') this.state = 'typing';
    this.#listener.change();
  }

  #onState(state, problem) {
    this.problem = problem;
    if (state === 'connecting') this.#noteRequest();
    if (state === 'open') this.#listener.settle();
    if (this.state !== 'stopping') this.state = this.#stateAt(state);
    this.#listener.change();
  }

  // `state` is the call's.
  #stateAt(state) {
    if (state === 'open') return 'typing';
    return this.#call.url === '' && state === 'connecting' ? 'asking' : 'waiting';
  }

  #noteRequest() {
    const { url, lastEventId } = this.#call;
    if (this.state === 'waiting') this.reconnects += 1;
    if (url === '') {
      this.#note('POST', pathOf(this.#target));
    } else {
      this.#note('GET', pathOf(url), lastEventId);
    }
  }

  #note(what, where, after = '') {
    this.wire.push({ what, where, after, at: Date.now() });
    if (this.wire.length > WIRE_MAX) this.wire.shift();
  }

  #finish(end) {
    this.end = end;
    this.#note('bridge.end', end.status);
    this.#settle('ended');
  }

  #refuse({ status, message, retryAfterMs }) {
    this.#call.leave();
    if (this.state === 'stopping' && this.#call.url === '') {
      this.#finish({ status: 'cancelled' });
      return;
    }
    this.refusal = { status, message, retryAfterMs };
    this.#note(String(status), '');
    this.#settle('refused');
  }

  #settle(state) {
    this.#set(state);
    this.#listener.settle();
  }

  #set(state) {
    this.state = state;
    this.#listener.change();
  }
}

// A worker may send its tokens as text, in events of the type "message", or as JSON, as the demo does.
function textOfToken(data) {
  try {
    return String(JSON.parse(data));
  } catch {
    return data;
  }
}

const pathOf = (url) => new URL(url).pathname;
