import { byId, clockTime, element, isTime, setText, showEmpty, svgElement } from './element.js';

const WINDOW_MS = 60_000;
const POINTS_MAX = 1200;
// Two points further apart are not joined: something is missing between them.
const HOLE_MS = 2500;
const MARGIN = { left: 40, right: 10, top: 8, bottom: 20 };
const TIME_LABELS = [[0, 'now'], [15_000, '15 s'], [30_000, '30 s'], [45_000, '45 s'], [60_000, '60 s ago']];

const SERIES = [
  { key: 'cpu', name: 'CPU', unit: '%', digits: 1, ceiling: () => 100 },
  { key: 'requests', name: 'Requests', unit: '/s', digits: 0, ceiling: roundCeiling },
];

// The metrics of the last minute: a chart each, on one time axis. Points may come late: a replay fills the hole that a cut has
// left.
export class MetricsCharts {
  #points = [];
  // The publisher's clock against this one's: the smallest difference seen.
  #delayMs = Infinity;
  #hoverX = null;
  #charts;
  #container = byId('charts');

  constructor(invalidate) {
    this.#charts = SERIES.map((series) => new Chart(series));
    this.#container.append(...this.#charts.map((chart) => chart.root));
    new ResizeObserver(invalidate).observe(this.#container);
    const hover = (x) => {
      this.#hoverX = x;
      invalidate();
    };
    const leftEdge = () => this.#container.getBoundingClientRect().left;
    this.#container.addEventListener('pointermove', ({ clientX }) => hover(clientX - leftEdge()));
    this.#container.addEventListener('pointerleave', () => hover(null));
  }

  // Returns whether `data` is a point.
  add(data) {
    const { t, cpu, requests } = data ?? {};
    if (!isTime(t) || ![cpu, requests].every(Number.isFinite)) return false;
    this.#delayMs = Math.min(this.#delayMs, Date.now() - t);
    const isLatest = this.#points.length === 0 || t > this.#points.at(-1).t;
    this.#points.push({ t, cpu, requests });
    if (!isLatest) this.#points.sort((a, b) => a.t - b.t);
    if (this.#points.length > POINTS_MAX) this.#points.shift();
    return true;
  }

  clear() {
    this.#points = [];
    this.#delayMs = Infinity;
  }

  // `emptyText` is the title and the text where there is nothing to draw.
  render(emptyText) {
    const now = Date.now() - (Number.isFinite(this.#delayMs) ? this.#delayMs : 0);
    const firstShown = this.#points.findIndex(({ t }) => t >= now - WINDOW_MS);
    // One older point, for the line that comes in from the left.
    if (firstShown > 1) this.#points.splice(0, firstShown - 1);
    const isEmpty = firstShown < 0;
    showEmpty('charts-empty', isEmpty, emptyText);
    this.#container.hidden = isEmpty;
    if (isEmpty) return;

    const hovered = this.#hovered(now);
    setText(byId('chart-time'), hovered === null ? '' : clockTime(hovered.t + this.#delayMs));
    for (const chart of this.#charts) chart.render(this.#points, now, hovered);
  }

  #hovered(now) {
    if (this.#hoverX === null) return null;
    const width = this.#container.clientWidth - MARGIN.left - MARGIN.right;
    const t = now - WINDOW_MS * (1 - (this.#hoverX - MARGIN.left) / width);
    const shown = this.#points.filter((point) => point.t >= now - WINDOW_MS);
    if (shown.length === 0) return null;
    return shown.reduce((best, point) => (Math.abs(point.t - t) < Math.abs(best.t - t) ? point : best));
  }
}

// One series: its name, its last (or hovered) value, and the line.
class Chart {
  root = element('figure', 'chart');

  #series;
  #value = element('span', 'chart-value', '–');
  #svg = svgElement('svg', { role: 'img' });
  #grid = svgElement('g', { class: 'chart-grid' });
  #hole = svgElement('rect', { class: 'chart-hole' });
  #area = svgElement('path', { class: 'chart-area' });
  #line = svgElement('path', { class: 'chart-line' });
  #cursor = svgElement('line', { class: 'chart-cursor' });
  #dot = svgElement('circle', { class: 'chart-dot', r: '3.5' });
  #drawnGrid = '';

  constructor(series) {
    this.#series = series;
    this.root.dataset.series = series.key;
    const caption = element('figcaption');
    const [key, name] = [element('span', 'chart-key'), element('span', 'chart-name', series.name)];
    caption.append(key, name, this.#value, element('span', 'chart-unit', series.unit));
    this.#svg.append(this.#grid, this.#hole, this.#area, this.#line, this.#cursor, this.#dot);
    this.root.append(caption, this.#svg);
  }

  // REQUIRES: there is a point. `hovered` is one of them, or null.
  render(points, now, hovered) {
    const { key, name, unit, digits, ceiling } = this.#series;
    const { width, height } = this.#svg.getBoundingClientRect();
    if (width === 0) return;
    const top = ceiling(points.reduce((most, point) => Math.max(most, point[key]), 0));
    const right = width - MARGIN.right;
    const bottom = height - MARGIN.bottom;
    const x = (t) => right - ((now - t) / WINDOW_MS) * (right - MARGIN.left);
    const y = (value) => bottom - (value / top) * (bottom - MARGIN.top);
    this.#renderGrid(width, height, top, y);

    const runs = runsOf(points).map((run) => run.map((point) => ({ x: round(x(point.t)), y: round(y(point[key])) })));
    const lineOf = (run) => run.map((point) => `${point.x} ${point.y}`).join('L');
    this.#line.setAttribute('d', runs.map((run) => `M${lineOf(run)}`).join(''));
    this.#area.setAttribute('d', runs.map((run) => `M${run[0].x} ${bottom}L${lineOf(run)}V${bottom}Z`).join(''));

    const last = points.at(-1);
    const holeFrom = Math.max(MARGIN.left, x(last.t));
    const hole = { x: holeFrom, y: MARGIN.top, width: right - holeFrom, height: bottom - MARGIN.top };
    place(this.#hole, now - last.t > HOLE_MS, hole);
    const marked = hovered ?? last;
    place(this.#cursor, hovered !== null, { x1: x(marked.t), x2: x(marked.t), y1: MARGIN.top, y2: bottom });
    place(this.#dot, true, { cx: x(marked.t), cy: y(marked[key]) });
    setText(this.#value, marked[key].toLocaleString('en-US', { minimumFractionDigits: digits }));
    this.#svg.setAttribute('aria-label', `${name} in the last minute; now ${this.#value.textContent} ${unit}`);
  }

  #renderGrid(width, height, top, y) {
    const wanted = `${width} ${height} ${top}`;
    if (wanted === this.#drawnGrid) return;
    this.#drawnGrid = wanted;
    this.#svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    const parts = [];
    for (const value of [0, top / 2, top]) {
      const at = Math.round(y(value)) + 0.5;
      parts.push(svgElement('line', { x1: MARGIN.left, x2: width - MARGIN.right, y1: at, y2: at }));
      parts.push(label(shortNumber(value), { x: MARGIN.left - 8, y: at, 'text-anchor': 'end', 'dominant-baseline': 'central' }));
    }
    const step = (width - MARGIN.left - MARGIN.right) / WINDOW_MS;
    for (const [ago, text] of TIME_LABELS) {
      const anchor = ago === 0 ? 'end' : ago === WINDOW_MS ? 'start' : 'middle';
      parts.push(label(text, { x: width - MARGIN.right - ago * step, y: height - 5, 'text-anchor': anchor }));
    }
    this.#grid.replaceChildren(...parts);
  }
}

const round = (value) => Math.round(10 * value) / 10;

// The points in runs without a hole.
function runsOf(points) {
  const runs = [];
  let before = -Infinity;
  for (const point of points) {
    if (point.t - before > HOLE_MS) runs.push([]);
    runs.at(-1).push(point);
    before = point.t;
  }
  return runs;
}

// The next of 1, 2, 4, 6, 8, 10 times a power of ten.
function roundCeiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 10)));
  return [1, 2, 4, 6, 8, 10].map((factor) => factor * power).find((ceiling) => ceiling >= value);
}

const shortNumber = (value) => (value >= 1000 ? `${value / 1000}k` : String(value));

function label(text, attributes) {
  const made = svgElement('text', attributes);
  made.textContent = text;
  return made;
}

function place(shape, isVisible, attributes) {
  shape.toggleAttribute('data-hidden', !isVisible);
  if (!isVisible) return;
  for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, round(value));
}
