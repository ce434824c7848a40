import { element, setText } from './element.js';
import { wordsOf } from './chat_words.js';

const ACTIONS = { retry: 'Try again', ask: 'Ask again' };

// A turn in the conversation.
export class TurnView {
  element = element('li', 'turn');

  #turn;
  #name;
  #text = document.createTextNode('');
  #answer = element('p', 'answer-text');
  #reply = element('div', 'reply');
  #note = element('div', 'turn-note');
  #noteText = element('p', 'turn-note-text');
  #detail = element('p', 'turn-detail mono');
  #action = element('button', 'button');
  #shown = null;

  // `act` is called with what its button offers.
  constructor(turn, name, act) {
    this.#turn = turn;
    this.#name = name;
    this.#answer.append(this.#text);
    this.#reply.append(element('span', 'visually-hidden', 'Answer:'), this.#answer);
    // A screen reader reads an answer when it is complete, and not each of its tokens.
    this.#reply.setAttribute('aria-live', 'polite');
    this.#note.setAttribute('role', 'status');
    this.#action.type = 'button';
    this.#action.addEventListener('click', () => act(this.#shown.action));
    const words = element('div', 'turn-words');
    words.append(this.#noteText, this.#detail);
    this.#note.append(words, this.#action);
    const prompt = element('p', 'prompt');
    prompt.append(element('span', 'visually-hidden', 'You asked: '), turn.prompt);
    this.element.append(prompt, this.#reply, this.#note);
  }

  render() {
    const turn = this.#turn;
    this.element.dataset.state = turn.state;
    this.#reply.setAttribute('aria-busy', String(turn.isRunning));
    this.#answer.dataset.state = turn.isRunning ? turn.state : 'complete';
    this.#answer.hidden = turn.text === '' && !turn.isRunning;
    if (turn.text.length < this.#text.length) this.#text.data = '';
    if (turn.text.length > this.#text.length) this.#text.appendData(turn.text.slice(this.#text.length));
    this.#renderNote(wordsOf(turn, this.#name));
  }

  #renderNote(words) {
    this.#shown = words;
    this.#note.dataset.tone = words.tone;
    this.#note.hidden = words.text === '';
    setText(this.#noteText, words.text);
    this.#detail.hidden = words.detail === '';
    setText(this.#detail, words.detail);
    this.#action.hidden = words.action === undefined;
    setText(this.#action, ACTIONS[words.action] ?? '');
  }
}
