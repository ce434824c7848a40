// The page: its parts, and what each of them is told.
import { Access } from './access.js';
import { AccessPanel } from './access_panel.js';
import { Answer } from './answer.js';
import { MetricsCharts } from './chart.js';
import { Chat } from './chat.js';
import { ChatPanel } from './chat_panel.js';
import { Connection } from './connection.js';
import { byId, counted, listOf } from './element.js';
import { EventList } from './event_list.js';
import { FetchPanel } from './fetch_panel.js';
import { onFrame } from './frame.js';
import { Notifications } from './notifications.js';
import { matches } from './pattern.js';
import { closingInWords } from './problem.js';
import { ResumeCheck } from './resume_check.js';
import { StatusPanel } from './status_panel.js';
import { WORKER_TOPIC, WorkerWatch } from './worker_watch.js';

const TOPICS = ['demo.>'];
const TYPES = ['message', 'update', 'order', 'price', 'notification', 'answer', 'worker'];
// For what changes with time alone: clocks, the watchdog, the chart's movement.
const TICK_MS = 100;

const access = new Access();
const check = new ResumeCheck();
const worker = new WorkerWatch();
const renderLater = onFrame(() => {
  status.render();
  accessPanel.render();
  list.render(['No events yet', emptyListText()]);
  charts.render(emptyText('No metrics yet', 'demo.metrics'));
  notifications.render(emptyText('All quiet', 'demo.notifications'));
  answer.render(emptyText('No answer yet', 'demo.ai'));
  chatPanel.render();
});

const connection = new Connection(access, {
  event: receive,
  control: receiveControl,
  opened() {
    list.addMarker('Stream open');
  },
  resumed({ after, lostAtMs, backAtMs }) {
    check.resume({ after, backAtMs });
    list.addMarker(`Resumed after ${after}, ${((backAtMs - lostAtMs) / 1000).toFixed(1)} s after it was lost`, 'ok');
  },
  renewed() {
    list.addMarker('The stream goes on with another token', 'ok');
  },
  change: renderLater,
});
const status = new StatusPanel(connection, check);
const list = new EventList(renderLater);
const charts = new MetricsCharts(renderLater);
const notifications = new Notifications();
const answer = new Answer(access, renderLater);
const chat = new Chat(access, renderLater);
const chatPanel = new ChatPanel({ chat, worker, isWorkerHeard: () => connection.state === 'open' && isAskedFor(WORKER_TOPIC) });
const renderFetchLater = onFrame(() => fetchPanel.render());
const fetchPanel = new FetchPanel(access, renderFetchLater);
const accessPanel = new AccessPanel({
  access,
  connection,
  chat,
  invalidate: renderLater,
  onToken() {
    connection.renew();
    chat.renew();
    renderFetchLater();
  },
});

function receive({ type, id, data }) {
  list.addEvent({ type, id, data });
  const json = parsed(data);
  check.observe(json, Date.now());
  if (type === 'update') charts.add(json);
  if (type === 'notification') notifications.add(json);
  if (type === 'answer') answer.announce(json);
  worker.observe(json);
  renderLater();
}

function receiveControl({ type, data }) {
  if (type === 'bridge.gap') {
    check.gap(data.reason);
    list.addMarker(`Gap (${data.reason}): events may be missing after ${data.requested || 'the start'}`, 'bad');
  } else if (type === 'bridge.closing') {
    list.addMarker(`The bridge closes this stream: ${closingInWords(data.reason)}`);
  } else if (type === 'bridge.expiring') {
    list.addMarker(`The token of this stream expires in ${counted(data.seconds, 'second')}`);
  } else if (type === 'bridge.open') {
    list.restartRate();
  }
}

// What an empty panel says: that it waits, or that this stream will never bring it anything.
function emptyText(title, topic) {
  return [title, isAskedFor(topic) ? `Waiting for events on ${topic}.` : `This stream does not ask for ${topic}.`];
}

function isAskedFor(topic) {
  return connection.topics.some((pattern) => matches(pattern, topic));
}

function emptyListText() {
  return connection.isReceiving ? `Nothing has been published on ${connection.topics.join(', ')}.` : 'The stream is not open.';
}

function parsed(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}

function start(topics) {
  check.forget();
  list.clear();
  charts.clear();
  notifications.clear();
  byId('topics').value = topics.join(', ');
  const query = new URLSearchParams(topics.map((topic) => ['topic', topic]));
  history.replaceState(null, '', topics.join() === TOPICS.join() ? location.pathname : `?${query}`);
  connection.start(topics);
}

byId('live-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const topics = listOf(byId('topics').value);
  connection.setTypes(listOf(byId('types').value));
  start(topics.length === 0 ? TOPICS : topics);
});

const asked = new URLSearchParams(location.search).getAll('topic');
byId('types').value = TYPES.join(', ');
connection.setTypes(TYPES);
start(asked.length === 0 ? TOPICS : asked);
setInterval(renderLater, TICK_MS);
