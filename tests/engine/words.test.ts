import { describe, expect, it } from 'vitest';
import { Words } from '../../src/engine/words.ts';

describe('words', () => {
  const of = (...lists: readonly (readonly number[])[]): Words => {
    const words = new Words();
    for (const list of lists) words.addAll(list);
    return words;
  };

  it('are equal where all are, beyond 32 bits, too', () => {
    const words = of([1, 2], [2 ** 40]);
    expect(words.equal(of([1, 2], [2 ** 40]).copy())).toBe(true);
    expect(words.hash()).toBe(of([1, 2], [2 ** 40]).hash());
    expect(words.equal(of([1, 2], [2 ** 40 + 2 ** 36]).copy())).toBe(false);
    expect(words.equal(of([1], [2, 2 ** 40]).copy())).toBe(false);
    expect(words.equal(of([1, 2]).copy())).toBe(false);
  });

  it('have hashes that order and every place change', () => {
    const list = Array.from({ length: 3000 }, (_, i) => i % 7);
    const hashes = new Set(list.map((_, i) => of(list.with(i, 99)).hash()));
    expect(hashes.size).toBe(list.length);
    expect(of([1, 2]).hash()).not.toBe(of([2, 1]).hash());
  });

  it('begin anew after clear', () => {
    const words = of(Array.from({ length: 5000 }, (_, i) => i));
    words.clear();
    words.add(3);
    expect([...words.copy()]).toEqual([3]);
  });
});
