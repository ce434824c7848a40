import { byId, count, counted, setText } from './element.js';

const NAMES = {
  connecting: 'Connecting',
  open: 'Open',
  stale: 'Stale',
  cut: 'Cut',
  stopped: 'Stopped',
  refused: 'Closed',
};
const HINT =
  'Cut the connection to see it resume: the page opens a new stream after the last event id, and checks the numbers in the demo’s events.';

const seconds = (milliseconds) => `${(milliseconds / 1000).toFixed(1)} s`;

// The card about the connection, and the state in the page's bar. `check` is the ResumeCheck of this connection.
export class StatusPanel {
  #connection;
  #check;

  constructor(connection, check) {
    this.#connection = connection;
    this.#check = check;
    byId('stop').addEventListener('click', () => (connection.isReceiving ? connection.stop() : connection.resume()));
    byId('cut').addEventListener('click', () => {
      if (connection.isReceiving) connection.cut();
    });
  }

  render() {
    const connection = this.#connection;
    const state = connection.isStale ? 'stale' : connection.state;
    byId('state').dataset.state = state;
    setText(byId('state-name'), NAMES[state]);
    setText(byId('connection-note'), this.#sentence(state));
    byId('connection-note').dataset.state = state;
    setText(byId('last-event-id'), connection.lastEventId || '–');
    byId('last-event-id').title = connection.lastEventId;
    setText(byId('received'), count(connection.received));
    setText(byId('reconnects'), count(connection.reconnects));
    setText(byId('stop'), connection.isReceiving ? 'Stop receiving' : 'Receive again');
    byId('cut').setAttribute('aria-disabled', String(!connection.isReceiving));
    this.#renderSilence(state);
    this.#renderVerdict();
  }

  #sentence(state) {
    const connection = this.#connection;
    const due = `a heartbeat is due every ${seconds(connection.heartbeatMs)}.`;
    switch (state) {
      case 'open':
        return `Receiving ${connection.topics.join(', ')}; ${due}`;
      case 'stale':
        return `Silent for longer than ${seconds(connection.staleAfterMs)}, where ${due}`;
      case 'cut':
        return `Cut. Resuming in ${seconds(Math.max(0, connection.reopenAt - performance.now()))}…`;
      case 'stopped':
        return 'Stopped. What is published now will be replayed when you receive again.';
      case 'refused':
        return connection.problem || 'The bridge refused the stream.';
      default:
        if (connection.problem !== '') return `Trying again: ${connection.problem}`;
        return connection.lastEventId === '' ? 'Connecting…' : 'The connection is lost. The page tries again with the last event id.';
    }
  }

  #renderSilence(state) {
    const { silenceMs, staleAfterMs } = this.#connection;
    const ago = silenceMs < 1000 ? 'just now' : `${seconds(silenceMs)} ago`;
    setText(byId('sign-of-life'), silenceMs === null ? '–' : ago);
    const share = silenceMs === null ? 0 : Math.min(1, silenceMs / staleAfterMs);
    byId('meter').style.transform = `scaleX(${share})`;
    byId('meter').dataset.state = state;
  }

  #renderVerdict() {
    const found = this.#check.found;
    byId('verdict').dataset.tone = toneOf(found);
    setText(byId('verdict-text'), found === null ? HINT : verdictOf(found));
  }
}

function toneOf(found) {
  if (found === null) return 'hint';
  return found.gap !== '' || found.lost > 0 || found.twice > 0 ? 'bad' : 'ok';
}

// Does not change with each event, so that a screen reader can finish it.
function verdictOf({ after, checked, replayed, lost, twice, gap }) {
  if (gap !== '') return `Resumed after id ${after}, with a gap (${gap}): the bridge says that events may be missing.`;
  if (checked === 0) return `Resumed after id ${after}.`;
  const was = replayed === 1 ? 'was' : 'were';
  const missed = `${counted(replayed, 'event')} that ${was} missed meanwhile ${was} replayed`;
  const orNone = (number) => (number === 0 ? 'none' : count(number));
  return `Resumed after id ${after}: ${missed}, ${orNone(lost)} lost, ${orNone(twice)} twice.`;
}
