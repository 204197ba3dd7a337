/** Writes lines into fixed pages of bytes. Who writes asks for room first; who has none hands the page on and begins another. */

import { goNumber } from './go-number.ts';

/** Digits of 2^53; in Go's form a point, and an exponent with its sign, beside them. */
export const INTEGER_BYTES = 21;

export class PageWriter {
  readonly #take: () => Buffer;
  page: Buffer;
  at = 0;

  /** `take` answers an empty page, which is this writer's until `handOn`. */
  constructor(take: () => Buffer) {
    this.#take = take;
    this.page = take();
  }

  hasRoom(bytes: number): boolean {
    return this.page.length - this.at >= bytes;
  }

  /** The bytes written so far. The next page is at least `bytes` long. */
  handOn(bytes = 0): Buffer {
    const full = this.page.subarray(0, this.at);
    const next = this.#take();
    this.page = next.length >= bytes ? next : Buffer.allocUnsafeSlow(bytes);
    this.at = 0;
    return full;
  }

  text(text: string): void {
    this.at += this.page.write(text, this.at);
  }

  bytes(from: Buffer, start: number, end: number): void {
    from.copy(this.page, this.at, start, end);
    this.at += end - start;
  }

  byte(byte: number): void {
    this.page[this.at++] = byte;
  }

  /** A non-negative integer of at most 2^53, in decimal digits. */
  integer(value: number): void {
    if (value >= 1e9) {
      const high = Math.floor(value / 1e9);
      this.integer(high);
      this.#padded(value - high * 1e9);
      return;
    }
    let rest = value | 0;
    let digits = 1;
    for (let limit = 10; digits < 9 && rest >= limit; limit *= 10) digits++;
    const { page } = this;
    for (let i = this.at + digits - 1; i >= this.at; i--) {
      const next = (rest / 10) | 0;
      page[i] = 48 + rest - next * 10;
      rest = next;
    }
    this.at += digits;
  }

  /** The same as `goNumber` writes it; never longer than `INTEGER_BYTES`. */
  goInteger(value: number): void {
    if (value < 1e6) this.integer(value);
    else this.at += this.page.write(goNumber(value), this.at, 'latin1');
  }

  #padded(value: number): void {
    let rest = value | 0;
    for (let i = this.at + 8; i >= this.at; i--) {
      const next = (rest / 10) | 0;
      this.page[i] = 48 + rest - next * 10;
      rest = next;
    }
    this.at += 9;
  }
}
