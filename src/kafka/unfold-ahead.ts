/**
 * Unfolds the next batch in another thread while the one before is being counted. One at a time, whoever asks for it:
 * what lies unfolded is then little, however many partitions are read.
 */
import { release } from './codecs.ts';
import { type BatchFrame, unfoldAside } from './record-batch.ts';

export class UnfoldAhead {
  readonly #maxBytes: number;
  #frame: BatchFrame | null = null;
  #plain: Promise<Buffer> | null = null;

  /** `maxBytes`: what one batch may unfold into. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Begins with this batch, if another thread pays for it and none is under way. It must be taken or dropped. */
  begin(frame: BatchFrame | undefined): void {
    if (frame === undefined || this.#frame !== null) return;
    const plain = unfoldAside(frame, this.#maxBytes);
    if (plain === null) return;
    this.#frame = frame;
    this.#plain = plain;
    // Whoever takes it hears of it; nobody may.
    plain.catch(() => {});
  }

  has(frame: BatchFrame | undefined): boolean {
    return this.#frame !== null && this.#frame === frame;
  }

  /** What was begun of this batch, the caller's from here on; null where nothing was. */
  take(frame: BatchFrame): Promise<Buffer> | null {
    if (this.#frame !== frame) return null;
    const plain = this.#plain;
    this.#frame = null;
    this.#plain = null;
    return plain;
  }

  /** Gives up what was begun of one of these. Resolves when no thread looks at it any more, and its memory is free. */
  async drop(frames: readonly BatchFrame[]): Promise<void> {
    if (this.#frame === null || !frames.includes(this.#frame)) return;
    await this.take(this.#frame)?.then(release, () => {});
  }
}
