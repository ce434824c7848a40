// The few things that the panels do with the DOM. Texts of strangers go in as text, never as HTML.

export const byId = (id) => document.getElementById(id);

export function element(tag, className = '', text = '') {
  const made = document.createElement(tag);
  if (className !== '') made.className = className;
  if (text !== '') made.textContent = text;
  return made;
}

export function svgElement(tag, attributes = {}) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// Sets only what has changed, so that a screen reader is not told the same again.
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

// Shows or hides a panel's empty state.
export function showEmpty(id, isEmpty, [title, text]) {
  const empty = byId(id);
  empty.hidden = !isEmpty;
  setText(empty.querySelector('.empty-title'), title);
  setText(empty.querySelector('.empty-text'), text);
}

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3 });
const number = new Intl.NumberFormat('en-US');

// Whether a stranger's number is one that a Date can have.
export const isTime = (timeMs) => Number.isFinite(timeMs) && Math.abs(timeMs) <= 8.64e15;
export const clockTime = (timeMs) => clock.format(timeMs);
export const count = (value) => number.format(value);
export const counted = (value, noun) => `${count(value)} ${noun}${value === 1 ? '' : 's'}`;

// What a person wrote with commas between, without blanks, empty parts and repeats.
export const listOf = (text) => [...new Set(text.split(',').map((part) => part.trim()).filter((part) => part !== ''))];
