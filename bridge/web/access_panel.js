import { byId, clockTime, setText } from './element.js';
import { wantsToken } from './problem.js';

// The part of the connection's card in which a person gives a token: there as soon as the bridge has asked for one, and from then on.
export class AccessPanel {
  #access;
  #connection;
  #chat;
  #isAsked = false;
  #isTrying = false;
  // Why the token that was given last is not used.
  #problem = '';

  // `onToken` is called when there is another token.
  constructor({ access, connection, chat, invalidate, onToken }) {
    this.#access = access;
    this.#connection = connection;
    this.#chat = chat;
    byId('access-form').addEventListener('submit', async (event) => {
      event.preventDefault();
      if (this.#isTrying || byId('access-token').value.trim() === '') return;
      this.#isTrying = true;
      this.#problem = await this.#try(byId('access-token').value);
      this.#isTrying = false;
      if (this.#problem === '') {
        byId('access-token').value = '';
        onToken();
      }
      invalidate();
    });
    byId('access-token').addEventListener('input', () => {
      this.#problem = '';
      invalidate();
    });
  }

  render() {
    const { refusedStatus, tokenEndsAtMs } = this.#connection;
    const isWanted = wantsToken(refusedStatus) || tokenEndsAtMs !== null || this.#chat.wantsToken;
    this.#isAsked ||= isWanted;
    byId('access-form').hidden = !this.#isAsked;
    byId('access-form').dataset.tone = isWanted ? 'asked' : 'settled';
    setText(byId('access-title'), this.#title());
    byId('access-use').setAttribute('aria-disabled', String(this.#isTrying || byId('access-token').value.trim() === ''));
    byId('access-problem').hidden = this.#problem === '';
    setText(byId('access-problem'), this.#problem);
  }

  async #try(written) {
    try {
      await this.#access.use(written);
      return '';
    } catch (error) {
      return error instanceof TypeError ? 'The bridge cannot be reached.' : error.message;
    }
  }

  #title() {
    const { refusedStatus, tokenEndsAtMs } = this.#connection;
    if (refusedStatus === 403) return 'This token does not open these topics. Give another one, or ask for other topics.';
    if (refusedStatus === 401) {
      return this.#access.hasToken ? 'The token is no longer good. With another one the stream goes on.' : 'The bridge asks for a token.';
    }
    if (this.#chat.wantsToken) return 'The bridge wants a token that allows this call.';
    if (tokenEndsAtMs !== null) return `The token ends at ${clockTime(tokenEndsAtMs).slice(0, 8)}. With the next one the stream goes on.`;
    return this.#access.hasToken ? 'The token that you gave is in use.' : 'No token is in use.';
  }
}
