// A worker that answers calls token by token, as slowly as a test wants, and knows what it has done.
//
//   const worker = await startWorker(bridge.grpc, { pauseMs: 20 });    // serves "chat"; an answer is 100 tokens, unless the prompt says otherwise
//   worker.tokensOf = (prompt) => ['a', 'b'];                          // the tokens of the answers from now on
//   worker.limit = 30;                                                 // no answer goes on after so many, until this is raised
//   await worker.next()                                                // the call that it gets next, of those that this has not returned
//   call.prompt, call.tokens (how many it has sent), call.cancelled ({ reason, at }), call.isOver, call.usage
//   await worker.stop();
//
// It says what it does on demo.worker, as the demo's worker does. It has one stream, and opens no other.
import { setTimeout as sleep } from 'node:timers/promises';

import { connectClient, eventually } from './bridge.mjs';

const REASONS = ['', 'CLIENT', 'ABANDONED', 'DEADLINE', 'LIMIT', 'LOST', 'SHUTDOWN'];

// "12 tokens, please" is answered with so many.
const defaultTokens = (prompt) => Array.from({ length: Number(/\d+/.exec(prompt)?.[0] ?? 100) }, (_, index) => `t${index} `);

export async function startWorker(address, { names = ['chat'], pauseMs = 10, workerId = 'worker-of-a-test' } = {}) {
  const client = connectClient(address);
  const stream = client.Publish();
  const worker = { tokensOf: defaultTokens, limit: Infinity, calls: [], end: () => ({}), next, stop };
  let taken = 0;
  let serving;

  stream.on('error', (error) => { worker.error = error; });
  stream.on('data', ({ serving: answer, calls, cancels }) => {
    serving = answer ?? serving;
    // A bridge hands out the cancels before the calls.
    for (const { call_id: id, reason } of cancels) {
      const call = worker.calls.find((each) => each.id === id);
      if (call) call.cancelled = { reason: REASONS[reason], at: performance.now() };
    }
    calls.forEach(take);
  });
  stream.write({ serve: { worker_id: workerId, names, max_concurrent: 100 } });
  await eventually(() => serving, { describe: () => `the answer to Serve: ${worker.error}` });
  if (serving.rejected.length > 0) throw new Error(JSON.stringify(serving.rejected));

  async function take({ call_id: id, attempt, name, body, content_type: contentType }) {
    const { prompt } = JSON.parse(body);
    const call = { id, attempt, name, contentType, prompt, tokens: 0, cancelled: null, isOver: false, at: performance.now() };
    worker.calls.push(call);
    const update = (more) => stream.write({ call_updates: [{ call_id: id, attempt, first_index: call.tokens, ...more }] });
    const say = (state) => {
      const text = JSON.stringify({ state, call_id: id, tokens: call.tokens });
      stream.write({ events: [{ topic: 'demo.worker', type: 'worker', text }] });
    };
    say('working');
    for (const token of worker.tokensOf(prompt)) {
      while (call.tokens >= worker.limit && !call.cancelled) await sleep(5);  // until it may go on
      if (call.cancelled) break;
      update({ events: [{ text: token }] });
      call.tokens += 1;
      if (call.tokens % 10 === 0) say('working');
      await sleep(pauseMs);
    }
    call.isOver = true;
    say('idle');
    call.usage = { input_tokens: prompt.length, output_tokens: call.tokens };
    const fields = Object.fromEntries(Object.entries(call.usage).map(([key, value]) => [key, { numberValue: value }]));
    update({ end: { code: call.cancelled ? 1 : 0, usage: { fields }, ...worker.end(call) } });
  }

  async function next() {
    taken += 1;
    return eventually(() => worker.calls[taken - 1], { describe: () => `call ${taken}` });
  }

  async function stop() {
    for (const call of worker.calls) call.cancelled ??= { reason: 'end', at: performance.now() };
    stream.end();
    await new Promise((resolve) => { stream.once('status', resolve); });
    client.close();
  }
  return worker;
}
