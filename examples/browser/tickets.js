/**
 * Takes a ticket, with which a URL opens one event stream: EventSource cannot send the header with the token.
 *
 * @param {string} url "/tickets"
 * @param {string} [token] the access token; without one the bridge's cookie says who asks
 * @returns {Promise<string>} is rejected with what the bridge has to say
 */
export async function takeTicket(url, token) {
  const headers = { 'Content-Type': 'application/json' };
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(url, { method: 'POST', headers, credentials: token ? 'omit' : 'include', body: '{}' });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(`${response.status}: ${answer.detail ?? response.statusText}`);
  return answer.ticket;
}
