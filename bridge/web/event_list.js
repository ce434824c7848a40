import { byId, clockTime, count, element, setText, showEmpty } from './element.js';

const ROWS_MAX = 200;
// What of an event's data is shown; it may have half a megabyte.
const DATA_CHARACTERS_MAX = 2000;
const RATE_WINDOW_MS = 4000;
// What comes so soon after a stream was opened is mostly its replay, and says nothing about the rate.
const REPLAY_MS = 1000;

// The live list: the latest events, the newest first, and what happened to the stream between them.
export class EventList {
  #rows = byId('rows');
  // What came since the last render, oldest first.
  #fresh = [];
  #isPaused = false;
  // What came while it was paused.
  #held = 0;
  #received = 0;
  // How many had been received at the latest renders, for the rate.
  #samples = [];
  #samplesFrom = 0;

  constructor(invalidate) {
    byId('live-wrap').addEventListener('change', ({ target }) => this.#rows.classList.toggle('wrap', target.checked));
    byId('live-pause').addEventListener('click', () => {
      this.#isPaused = !this.#isPaused;
      this.#held = 0;
      invalidate();
    });
  }

  addEvent({ type, id, data }) {
    this.#received += 1;
    if (this.#isPaused) this.#held += 1;
    this.#add({ type, id, data, at: Date.now() });
  }

  // `tone` is "plain", "ok" or "bad".
  addMarker(text, tone = 'plain') {
    this.#add({ marker: text, tone, at: Date.now() });
  }

  // A stream was opened.
  restartRate() {
    this.#samples = [];
    this.#samplesFrom = performance.now() + REPLAY_MS;
  }

  clear() {
    this.#fresh = [];
    this.#rows.replaceChildren();
  }

  // `emptyText` is the title and the text where there is no event.
  render(emptyText) {
    if (!this.#isPaused && this.#fresh.length > 0) {
      const made = document.createDocumentFragment();
      for (const entry of this.#fresh.reverse()) made.append(rowOf(entry));
      this.#fresh = [];
      this.#rows.prepend(made);
      while (this.#rows.childElementCount > ROWS_MAX) this.#rows.lastElementChild.remove();
    }
    showEmpty('live-empty', this.#rows.querySelector('.event') === null, emptyText);
    setText(byId('live-figures'), this.#isPaused ? `paused, ${count(this.#held)} new` : `${this.#rate().toFixed(1)}/s`);
    setText(byId('live-pause'), this.#isPaused ? 'Go on' : 'Pause');
    byId('live-pause').setAttribute('aria-pressed', String(this.#isPaused));
  }

  #add(entry) {
    this.#fresh.push(entry);
    if (this.#fresh.length > ROWS_MAX) this.#fresh.shift();
  }

  #rate() {
    const now = performance.now();
    if (now < this.#samplesFrom) return 0;
    this.#samples.push({ at: now, received: this.#received });
    while (this.#samples[0].at < now - RATE_WINDOW_MS) this.#samples.shift();
    const oldest = this.#samples[0];
    return now - oldest.at < 500 ? 0 : ((this.#received - oldest.received) * 1000) / (now - oldest.at);
  }
}

const rowOf = (entry) => (entry.marker === undefined ? eventRow(entry) : markerRow(entry));

function eventRow({ type, id, data, at }) {
  const row = emptyRow('event');
  const isLong = data.length > DATA_CHARACTERS_MAX;
  const shown = isLong ? `${data.slice(0, DATA_CHARACTERS_MAX)} … (${count(data.length)} characters)` : data;
  const typeCell = cell('type');
  const chip = element('span', 'chip', type);
  chip.dataset.type = type;
  typeCell.append(chip);
  const idCell = cell('id', id === '' ? '–' : id);
  idCell.title = id;
  row.append(typeCell, idCell, cell('data', shown), cell('when', clockTime(at)));
  return row;
}

function markerRow({ marker, tone, at }) {
  const row = emptyRow(`marker ${tone}`);
  const only = cell('marker-cell');
  only.colSpan = 4;
  const line = element('span', 'marker-line');
  line.append(element('span', 'marker-text', marker), element('span', 'marker-when', clockTime(at)));
  only.append(line);
  row.append(only);
  return row;
}

function emptyRow(className) {
  const row = element('tr', className);
  row.setAttribute('role', 'row');
  return row;
}

function cell(className, text = '') {
  const made = element('td', className, text);
  made.setAttribute('role', 'cell');
  return made;
}
