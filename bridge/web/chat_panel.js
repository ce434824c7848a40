import { byId, clockTime, count, counted, element, setText } from './element.js';
import { TurnView } from './turn_view.js';
import { WORKER_TOPIC } from './worker_watch.js';

// Near the end, the conversation scrolls on by itself.
const FOLLOW_PIXELS = 40;
// The worker's last words go another way than the answer, and may come later.
const WORKER_WAIT_MS = 2000;

const STATES = {
  none: { pill: 'closed', name: 'Ready' },
  asking: { pill: 'connecting', name: 'Asking' },
  typing: { pill: 'open', name: 'Answering' },
  waiting: { pill: 'connecting', name: 'Going on' },
  cut: { pill: 'cut', name: 'Cut' },
  stopping: { pill: 'connecting', name: 'Stopping' },
  refused: { pill: 'refused', name: 'Refused' },
};
const ENDS = { ok: { pill: 'closed', name: 'Complete' }, cancelled: { pill: 'closed', name: 'Stopped' } };
const FAILED = { pill: 'refused', name: 'Ended early' };

const HINT = 'Stop, cut or reload: nothing is lost, and the worker itself says when it stops.';

// The card of the chat. `worker` is a WorkerWatch, `isWorkerHeard` says whether the page's stream asks for what the worker says.
export class ChatPanel {
  #chat;
  #worker;
  #isWorkerHeard;
  #views = new Map();
  // The conversation is shown up to its end, and stays there.
  #follows = true;
  #shownWire = '';

  constructor({ chat, worker, isWorkerHeard }) {
    this.#chat = chat;
    this.#worker = worker;
    this.#isWorkerHeard = isWorkerHeard;
    const prompt = byId('chat-prompt');
    byId('chat-form').addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.#ask(prompt.value.trim())) prompt.value = '';
    });
    prompt.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      byId('chat-form').requestSubmit();
    });
    byId('chat').addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && !event.isComposing) this.#stop();
    });
    byId('chat-stop').addEventListener('click', () => this.#stop());
    byId('chat-cut').addEventListener('click', () => {
      if (this.#canCut) chat.current.cut();
    });
    byId('chat-clear').addEventListener('click', () => {
      chat.clear();
      prompt.focus();
    });
    for (const button of byId('chat-ideas').querySelectorAll('button')) {
      button.addEventListener('click', () => this.#ask(button.textContent));
    }
    byId('chat-scroll').addEventListener('scroll', ({ target }) => {
      this.#follows = target.scrollHeight - target.scrollTop - target.clientHeight < FOLLOW_PIXELS;
    });
    const scrollToEnd = new ResizeObserver(() => {
      if (this.#follows) byId('chat-scroll').scrollTop = byId('chat-scroll').scrollHeight;
    });
    for (const id of ['chat-scroll', 'chat-turns']) scrollToEnd.observe(byId(id));
    setText(byId('chat-target'), `POST /calls/${chat.name}`);
  }

  render() {
    const turn = this.#chat.current;
    this.#renderTurns();
    const { pill, name } = stateOf(turn);
    byId('chat-state').dataset.state = pill;
    setText(byId('chat-state-name'), name);
    const { isBusy } = this.#chat;
    byId('chat-send').hidden = isBusy;
    byId('chat-stop').hidden = !isBusy;
    byId('chat-stop').setAttribute('aria-disabled', String(turn?.state === 'stopping'));
    byId('chat-cut').setAttribute('aria-disabled', String(!this.#canCut));
    byId('chat-clear').hidden = turn === null;
    this.#renderFacts(turn);
    this.#renderWire(turn?.wire ?? []);
  }

  get #canCut() {
    return ['typing', 'waiting'].includes(this.#chat.current?.state);
  }

  // Whether it was asked.
  #ask(text) {
    if (text === '' || this.#chat.isBusy) return false;
    this.#follows = true;
    this.#chat.ask(text);
    this.render();
    byId('chat-prompt').focus();
    return true;
  }

  #stop() {
    if (!this.#chat.isBusy) return;
    this.#chat.stop();
    byId('chat-prompt').focus();  // the button is about to go
  }

  #act(turn, action) {
    if (this.#chat.isBusy) return;
    if (action === 'ask') this.#ask(turn.prompt);
    else turn.go();
  }

  #renderTurns() {
    const { turns, name } = this.#chat;
    for (const [turn, view] of this.#views) {
      if (turns.includes(turn)) continue;
      view.element.remove();
      this.#views.delete(turn);
    }
    for (const turn of turns) {
      if (this.#views.has(turn)) continue;
      const view = new TurnView(turn, name, (action) => this.#act(turn, action));
      this.#views.set(turn, view);
      byId('chat-turns').append(view.element);
    }
    for (const view of this.#views.values()) view.render();
    byId('chat-empty').hidden = turns.length > 0;
  }

  #renderFacts(turn) {
    const worker = turn === null ? null : this.#worker.of(turn.callId);
    byId('chat-worker').dataset.state = worker?.isWorking ? 'open' : 'closed';
    setText(byId('chat-worker-name'), worker === null ? 'No word yet' : worker.isWorking ? 'Working' : 'Idle');
    setText(byId('chat-worker-tokens'), worker === null ? '–' : count(worker.tokens));
    setText(byId('chat-tokens'), turn === null ? '–' : count(turn.tokens));
    setText(byId('chat-reconnects'), turn === null ? '–' : count(turn.reconnects));
    setText(byId('chat-call-id'), turn?.callId || '–');
    const { tone, text } = this.#verdictOf(turn, worker);
    byId('chat-verdict').dataset.tone = tone;
    setText(byId('chat-verdict-text'), text);
  }

  #verdictOf(turn, worker) {
    if (turn === null || turn.state === 'refused') return { tone: 'hint', text: HINT };
    const isStopped = turn.stoppedAt > 0 && turn.callId !== '';
    if (isStopped && worker !== null && !worker.isWorking) {
      const delay = Math.max(0, worker.at - turn.stoppedAt).toFixed(0);
      return { tone: 'ok', text: `The worker stopped ${delay} ms after Stop, at ${counted(worker.tokens, 'token')}.` };
    }
    if (isStopped && !this.#isWorkerHeard()) {
      return { tone: 'hint', text: `Stopped. What the worker says of itself is not among the topics of this page’s stream: ${WORKER_TOPIC}.` };
    }
    if (isStopped && performance.now() - turn.stoppedAt > WORKER_WAIT_MS) {
      return { tone: 'bad', text: 'The worker has not said that it has stopped.' };
    }
    if (turn.end?.status === 'ok' && turn.reconnects > 0) {
      return { tone: 'ok', text: `All of it is here: ${counted(turn.tokens, 'token')}, through ${counted(turn.reconnects, 'reconnect')}.` };
    }
    return { tone: 'hint', text: HINT };
  }

  #renderWire(wire) {
    const shown = wire.map(({ at }) => at).join();
    if (shown === this.#shownWire) return;
    this.#shownWire = shown;
    byId('chat-wire').replaceChildren(...wire.map(wireRow));
  }
}

// Ids are shown by the part that differs.
function wireRow({ what, where, after, at }) {
  const row = element('li', 'wire-row');
  row.title = after === '' ? where : `${where} after ${after}`;
  const place = where.replace(/([^/]{6})[^/]{8,}$/, '$1…');
  const text = after === '' ? place : `${place} after ${after.replace(/^.*(?=-)/, '…')}`;
  row.append(element('span', 'wire-what', what), element('span', 'wire-where', text), element('span', 'wire-when', clockTime(at)));
  return row;
}

function stateOf(turn) {
  if (turn === null) return STATES.none;
  return turn.state === 'ended' ? ENDS[turn.end.status] ?? FAILED : STATES[turn.state];
}
