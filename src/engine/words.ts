/** Whole numbers in a row, to be hashed and compared. */
export class Words {
  private words = new Float64Array(1024);
  private length = 0;

  clear(): void {
    this.length = 0;
  }

  add(word: number): void {
    if (this.length === this.words.length) {
      const { words } = this;
      this.words = new Float64Array(2 * words.length);
      this.words.set(words);
    }
    this.words[this.length++] = word;
  }

  /** A list, and where it ends. */
  addAll(list: readonly number[]): void {
    this.add(list.length);
    for (let i = 0; i < list.length; i++) this.add(list[i]!);
  }

  /** 32 bits that are the same for equal words. */
  hash(): number {
    const { words, length } = this;
    let h = length;
    for (let i = 0; i < length; i++) {
      h = Math.imul(h ^ (words[i]! | 0), 0x9e3779b1);
      h ^= h >>> 15;
    }
    return h;
  }

  equal(others: Float64Array): boolean {
    const { words, length } = this;
    if (others.length !== length) return false;
    for (let i = 0; i < length; i++) if (words[i] !== others[i]) return false;
    return true;
  }

  copy(): Float64Array {
    return this.words.slice(0, this.length);
  }
}
