import { byId, counted, setText, showEmpty } from './element.js';
import { StreamSource } from './stream_source.js';

// An answer that says nothing for so long is left for the next one.
const SILENT_MS = 5000;
// The rate is that of the latest tokens; those that came at once, as a replay, say nothing about it.
const RATE_WINDOW_MS = 2000;
const REPLAY_MS = 300;
// Near the end, the text scrolls on by itself.
const FOLLOW_PIXELS = 40;

const STATES = {
  waiting: { pill: 'closed', name: 'Waiting' },
  joining: { pill: 'connecting', name: 'Joining' },
  typing: { pill: 'open', name: 'Typing' },
  complete: { pill: 'closed', name: 'Complete' },
  lost: { pill: 'refused', name: 'Refused' },
};

// An answer that is typed token by token, on a topic and an event stream of its own: announced on demo.ai, joined with
// replay=all, and left at its "end" event.
export class Answer {
  #access;
  #invalidate;
  // What was announced last, and what is shown.
  #announced = null;
  #shown = null;
  #source = null;
  // One of STATES.
  #state = 'waiting';
  #wantsNext = false;
  #note = '';

  // Text that has come since the last render.
  #fresh = '';
  #tokens = 0;
  #openedAt = 0;
  #lastTokenAt = 0;
  #arrivals = [];
  #usage = null;

  constructor(access, invalidate) {
    this.#access = access;
    this.#invalidate = invalidate;
    byId('answer-next').addEventListener('click', () => {
      this.#wantsNext = true;
      this.#joinNext();
      invalidate();
    });
    byId('answer-follow').addEventListener('change', () => this.#joinNext());
  }

  // An event of type "answer".
  announce(data) {
    if (typeof data?.topic !== 'string' || typeof data.prompt !== 'string') return;
    this.#announced = data;
    this.#joinNext();
  }

  // `emptyText` is the title and the text where there is no answer.
  render(emptyText) {
    const isEmpty = this.#shown === null;
    showEmpty('answer-empty', isEmpty, emptyText);
    byId('answer-prompt').hidden = isEmpty;
    byId('answer-text').hidden = isEmpty;
    this.#renderText();
    byId('answer-text').dataset.state = this.#state;
    setText(byId('answer-topic'), this.#shown?.topic ?? '');
    const { pill, name } = STATES[this.#state];
    byId('answer-state').dataset.state = pill;
    setText(byId('answer-state-name'), name);
    setText(byId('answer-figures'), this.#figures());
    setText(byId('answer-next'), this.#wantsNext ? 'Waiting…' : 'Next answer');
    byId('answer-next').classList.toggle('has-next', !this.#wantsNext && this.#hasNext());
  }

  #hasNext() {
    return this.#announced !== null && this.#announced.topic !== this.#shown?.topic;
  }

  #joinNext() {
    if (!this.#hasNext()) return;
    const isOver = this.#source === null || performance.now() - this.#lastTokenAt > SILENT_MS;
    const follows = this.#shown === null || byId('answer-follow').checked;
    if (this.#wantsNext || (follows && isOver)) this.#join(this.#announced);
  }

  #join(answer) {
    this.#source?.close();
    this.#wantsNext = false;
    this.#shown = answer;
    this.#state = 'joining';
    this.#note = '';
    this.#fresh = '';
    this.#tokens = 0;
    this.#arrivals = [];
    this.#usage = null;
    this.#lastTokenAt = performance.now();
    this.#openedAt = performance.now();
    setText(byId('answer-prompt'), answer.prompt);
    byId('answer-text').textContent = '';

    const url = new URL('events', document.baseURI);
    url.searchParams.set('topic', answer.topic);
    url.searchParams.set('replay', 'all');
    const source = new StreamSource(url, this.#access);
    this.#source = source;
    source.addEventListener('bridge.open', () => { this.#openedAt = performance.now(); });
    source.addEventListener('token', (event) => this.#onToken(event));
    source.addEventListener('end', (event) => this.#onEnd(event));
    source.addEventListener('bridge.gap', (event) => { this.#note = `gap: ${JSON.parse(event.data).reason}`; });
    source.onerror = () => {
      if (source.isClosed) this.#leave('lost');
      this.#invalidate();
    };
    this.#invalidate();
  }

  #onToken({ data }) {
    this.#state = 'typing';
    this.#fresh += JSON.parse(data);
    this.#tokens += 1;
    this.#lastTokenAt = performance.now();
    if (this.#lastTokenAt - this.#openedAt > REPLAY_MS) this.#arrivals.push(this.#lastTokenAt);
    if (this.#arrivals.length > 1000) this.#arrivals.shift();
    this.#invalidate();
  }

  #onEnd({ data }) {
    this.#usage = JSON.parse(data);
    this.#leave('complete');
    this.#joinNext();
    this.#invalidate();
  }

  #leave(state) {
    this.#source.close();
    this.#source = null;
    this.#state = state;
  }

  #renderText() {
    if (this.#fresh === '') return;
    const text = byId('answer-text');
    const scroll = byId('answer-scroll');
    const isAtEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < FOLLOW_PIXELS;
    if (text.firstChild === null) text.append('');
    text.firstChild.appendData(this.#fresh);
    this.#fresh = '';
    if (isAtEnd) scroll.scrollTop = scroll.scrollHeight;
  }

  #figures() {
    const parts = [];
    if (this.#usage !== null) {
      const { tokens, seconds } = this.#usage;
      parts.push(counted(tokens, 'token'));
      if (seconds > 0) parts.push(`${(tokens / seconds).toFixed(0)} tokens/s`);
    } else if (this.#tokens > 0) {
      parts.push(counted(this.#tokens, 'token'));
      const rate = this.#rate();
      if (rate > 0) parts.push(`${rate.toFixed(0)} tokens/s`);
    }
    if (this.#note !== '') parts.push(this.#note);
    return parts.join(' · ');
  }

  #rate() {
    const now = performance.now();
    while (this.#arrivals.length > 0 && this.#arrivals[0] < now - RATE_WINDOW_MS) this.#arrivals.shift();
    if (this.#arrivals.length < 2) return 0;
    return ((this.#arrivals.length - 1) * 1000) / (this.#arrivals.at(-1) - this.#arrivals[0]);
  }
}
