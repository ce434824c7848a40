import { byId, counted, element, listOf, setText, showEmpty } from './element.js';
import { FetchStream } from './fetch_stream.js';

const ROWS_MAX = 100;
const DATA_CHARACTERS_MAX = 500;

const EMPTY = ['Nothing received', 'Connect to read the stream with fetch and this page’s own parser.'];

const STATES = {
  idle: { pill: 'closed', name: 'Not connected' },
  connecting: { pill: 'connecting', name: 'Connecting' },
  open: { pill: 'open', name: '200 OK, reading' },
  waiting: { pill: 'connecting', name: 'Trying again' },
  refused: { pill: 'refused', name: 'Refused' },
};

// The card of the fetch client.
export class FetchPanel {
  #access;
  #stream;
  // What came since the last render, oldest first.
  #fresh = [];

  constructor(access, invalidate) {
    this.#access = access;
    this.#stream = new FetchStream({ event: (event) => this.#add(event), change: invalidate });
    byId('fetch-form').addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.#stream.isRunning) {
        this.#stream.abort();
      } else {
        this.#stream.start({ topics: this.#topics(), headers: () => this.#headers() });
      }
    });
    byId('fetch-reset').addEventListener('click', () => {
      this.#stream.reset();
      this.#fresh = [];
      byId('fetch-rows').replaceChildren();
      invalidate();
    });
    byId('fetch-topics').addEventListener('input', () => this.#stream.reset());
    byId('fetch-token').addEventListener('input', invalidate);
    invalidate();
  }

  render() {
    const stream = this.#stream;
    this.#renderRows();
    const canResume = stream.lastEventId !== '';
    const { pill, name } = STATES[stream.state];
    byId('fetch-state').dataset.state = pill;
    setText(byId('fetch-state-name'), stream.state === 'idle' && canResume ? 'Aborted' : name);
    setText(byId('fetch-figures'), this.#figures());
    byId('fetch-problem').hidden = stream.problem === '';
    setText(byId('fetch-problem'), stream.problem);
    setText(byId('fetch-toggle'), stream.isRunning ? 'Abort' : canResume ? 'Resume' : 'Connect');
    byId('fetch-reset').disabled = stream.isRunning || !canResume;
    byId('fetch-topics').readOnly = stream.isRunning;
    byId('fetch-token').readOnly = stream.isRunning;
    byId('fetch-token').placeholder = this.#access.hasToken ? 'that of this page' : 'none';
    setText(byId('fetch-request'), this.#requestText());
  }

  #topics() {
    return listOf(byId('fetch-topics').value);
  }

  // The panel's own token goes before the page's.
  #headers() {
    const own = byId('fetch-token').value.trim();
    return own === '' ? this.#access.headers : { Authorization: `Bearer ${own}` };
  }

  #add(event) {
    this.#fresh.push(event);
    if (this.#fresh.length > ROWS_MAX) this.#fresh.shift();
  }

  #renderRows() {
    const rows = byId('fetch-rows');
    for (const { type, data, lastEventId } of this.#fresh) {
      const row = element('li', type.startsWith('bridge.') ? 'fetch-row control' : 'fetch-row');
      row.title = lastEventId;
      row.append(element('span', 'fetch-type', type), element('span', 'fetch-data', data.slice(0, DATA_CHARACTERS_MAX)));
      rows.prepend(row);
    }
    this.#fresh = [];
    while (rows.childElementCount > ROWS_MAX) rows.lastElementChild.remove();
    showEmpty('fetch-empty', rows.childElementCount === 0 && this.#stream.problem === '', EMPTY);
  }

  #figures() {
    const { events, chunks, splits, bytes, reconnects } = this.#stream;
    if (chunks === 0) return '';
    const parts = [counted(events, 'event'), counted(chunks, 'chunk'), `${(bytes / 1024).toFixed(1)} KiB`];
    if (splits > 0) parts.push(`${counted(splits, 'event')} in two pieces`);
    if (reconnects > 0) parts.push(counted(reconnects, 'reconnect'));
    return parts.join(' · ');
  }

  // What goes over the wire, or would; the token only as dots.
  #requestText() {
    const lines = ['POST /events', 'Content-Type: application/json'];
    if ('Authorization' in this.#headers()) lines.push(`Authorization: Bearer ${'•'.repeat(8)}`);
    lines.push('', JSON.stringify(this.#stream.bodyFor(this.#topics()), null, 2));
    return lines.join('\n');
  }
}
