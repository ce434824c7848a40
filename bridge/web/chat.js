import { Turn } from './turn.js';

const NAME = 'chat';
const KEY = 'chat';
// With more, the oldest are forgotten.
const TURNS_MAX = 20;
// The session's storage has some 5 MB for the whole page.
const SAVED_CHARACTERS_MAX = 1_000_000;

// The conversation of this tab: turns, one of which is answered at a time. What it takes to go on after a reload is in the session's storage, which
// ends with the tab.
export class Chat {
  turns = [];

  #access;
  #change;

  constructor(access, change) {
    this.#access = access;
    this.#change = change;
    this.turns = load().map((saved) => this.#turnOf(saved));
    for (const turn of this.turns) {
      if (turn.isRunning) turn.go();
    }
  }

  get name() {
    return NAME;
  }

  get current() {
    return this.turns.at(-1) ?? null;
  }

  get isBusy() {
    return this.turns.some((turn) => turn.isRunning);
  }

  // The bridge has asked who calls.
  get wantsToken() {
    return this.current?.wantsToken ?? false;
  }

  // REQUIRES: it is not busy.
  ask(prompt) {
    const turn = this.#turnOf({ prompt });
    this.turns.push(turn);
    if (this.turns.length > TURNS_MAX) this.turns.shift();
    this.#save();  // before the bridge is asked: a reload repeats the question as the same call
    turn.go();
  }

  stop() {
    for (const turn of this.turns) {
      if (turn.isRunning && turn.state !== 'stopping') turn.stop();
    }
  }

  // There is another token.
  renew() {
    for (const turn of this.turns) turn.renew();
  }

  clear() {
    for (const turn of this.turns) turn.discard();
    this.turns = [];
    this.#save();
    this.#change();
  }

  #turnOf(saved) {
    return new Turn(saved, {
      target: new URL(`calls/${NAME}`, document.baseURI),
      access: this.#access,
      listener: { change: this.#change, settle: () => this.#save() },
    });
  }

  #save() {
    const kept = [];
    let characters = 0;
    for (const turn of this.turns.toReversed()) {
      const text = JSON.stringify(turn.saved);
      characters += text.length;
      if (characters > SAVED_CHARACTERS_MAX) break;
      kept.unshift(text);
    }
    try {
      if (kept.length === 0) sessionStorage.removeItem(KEY);
      else sessionStorage.setItem(KEY, `[${kept}]`);
    } catch { /* a browser that stores nothing */ }
  }
}

function load() {
  try {
    const saved = JSON.parse(sessionStorage.getItem(KEY));
    return Array.isArray(saved) ? saved : [];
  } catch {
    return [];
  }
}
