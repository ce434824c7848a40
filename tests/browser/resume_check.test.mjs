// The page's check that a resume lost nothing and repeated nothing.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { matches } from '../../bridge/web/pattern.js';
import { ResumeCheck } from '../../bridge/web/resume_check.js';

// Events of one series that were published every 100 ms, and took 5 ms.
const observe = (check, numbers, series = 'orders') => {
  for (const n of numbers) check.observe({ series, n, t: n * 100 }, n * 100 + 5);
};

describe('the check of a resume', () => {
  test('finds nothing wrong where nothing is', () => {
    const check = new ResumeCheck();
    observe(check, [1, 2, 3]);
    assert.equal(check.found, null);
    check.resume({ after: 'e-3', backAtMs: 650 });
    for (const n of [4, 5, 6]) check.observe({ series: 'orders', n, t: n * 100 }, 660);
    observe(check, [7, 8]);
    assert.deepEqual(check.found, { after: 'e-3', checked: 5, replayed: 3, lost: 0, twice: 0, gap: '' });
  });

  test('counts what is missing and what came again, in each series', () => {
    const check = new ResumeCheck();
    observe(check, [1, 2], 'a');
    observe(check, [1, 2], 'b');
    check.resume({ after: 'e-4', backAtMs: 0 });
    observe(check, [2, 3], 'a');
    observe(check, [6, 7], 'b');
    assert.equal(check.found.twice, 1);
    assert.equal(check.found.lost, 3);
  });

  test('counts nothing as lost that the bridge has told as a gap', () => {
    const check = new ResumeCheck();
    observe(check, [1, 2]);
    check.resume({ after: 'e-2', backAtMs: 0 });
    check.gap('trimmed');
    observe(check, [90, 91]);
    assert.equal(check.found.gap, 'trimmed');
    assert.equal(check.found.lost, 0);
  });

  test('takes no notice of events without numbers', () => {
    const check = new ResumeCheck();
    check.resume({ after: 'e-2', backAtMs: 0 });
    for (const data of [null, 'text', 7, {}, { series: 'a' }, { series: 1, n: 1 }, { series: 'a', n: '1' }]) check.observe(data, 0);
    assert.equal(check.found.checked, 0);
  });
});

test('patterns match as the bridge matches them', () => {
  const table = [
    ['a.b', 'a.b', true], ['a.b', 'a.c', false], ['a.b', 'a', false], ['a', 'a.b', false],
    ['a.*', 'a.b', true], ['a.*', 'a.b.c', false], ['*.b', 'a.b', true], ['*', 'a', true],
    ['a.>', 'a.b', true], ['a.>', 'a.b.c', true], ['a.>', 'a', false], ['>', 'a', true], ['a.*.>', 'a.b', false],
  ];
  for (const [pattern, topic, expected] of table) assert.equal(matches(pattern, topic), expected, `${pattern} and ${topic}`);
});
