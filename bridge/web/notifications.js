import { byId, clockTime, element, isTime, showEmpty, svgElement } from './element.js';

const CARDS_MAX = 8;

const ICONS = {
  info: 'M8 7v4.2M8 4.6v.1',
  success: 'm4.6 8.3 2.3 2.3 4.5-5',
  warning: 'M8 4.4v4.4M8 11.3v.1',
};

// The events of type "notification" as cards, the newest first.
export class Notifications {
  #fresh = [];

  add(data) {
    if (typeof data?.title !== 'string') return;
    this.#fresh.push({ ...data, at: isTime(data.t) ? data.t : Date.now() });
    if (this.#fresh.length > CARDS_MAX) this.#fresh.shift();
  }

  clear() {
    this.#fresh = [];
    byId('notes').replaceChildren();
  }

  // `emptyText` is the title and the text where there is none.
  render(emptyText) {
    const list = byId('notes');
    const fresh = this.#fresh;
    this.#fresh = [];  // whatever becomes of them: else one that cannot be shown would come again with each frame
    for (const note of fresh) list.prepend(card(note));
    while (list.childElementCount > CARDS_MAX) list.lastElementChild.remove();
    showEmpty('notes-empty', list.childElementCount === 0, emptyText);
  }
}

function card({ level, title, text, at }) {
  const made = element('li', 'note');
  made.dataset.level = Object.hasOwn(ICONS, level) ? level : 'info';
  const icon = svgElement('svg', { class: 'icon note-icon', viewBox: '0 0 16 16', 'aria-hidden': 'true' });
  icon.append(svgElement('path', { d: ICONS[made.dataset.level] }));
  const head = element('p', 'note-head');
  const time = element('time', 'note-time', clockTime(at).slice(0, 8));
  time.dateTime = new Date(at).toISOString();
  head.append(element('span', 'note-title', title), time);
  const body = element('div', 'note-body');
  body.append(head, element('p', 'note-text', typeof text === 'string' ? text : ''));
  made.append(icon, body);
  return made;
}
