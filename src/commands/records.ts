/** Records out of files, one after the other: what `replay` and `explain` read. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { ENCODINGS, type Encoding } from '../otlp/decode.ts';
import { FRAMINGS, type Framed, type Framing, framesOf, guessFraming } from '../otlp/framing.ts';
import { inOneLine } from '../telemetry/visible.ts';
import { type Io, type Option, UsageError, type Values } from './command.ts';

/** What tells how files are to be read. */
export const READ_OPTIONS = {
  framing: { type: 'string', value: 'HOW', doc: `${['auto', ...FRAMINGS].join(', ')} (default auto)` },
  encoding: { type: 'string', value: 'WHAT', doc: `${ENCODINGS.join(', ')} (default auto)` },
} as const satisfies Record<string, Option>;

const HEAD_BYTES = 1 << 16;
const PIECE_BYTES = 1 << 20;
const PROGRESS_MS = 250;

export type ReadRequest = {
  readonly files: readonly string[];
  readonly framing: Framing | 'auto';
  readonly encoding: Encoding;
};

/** One of the words, or a `UsageError`. */
export const choice = <W extends string>(values: Values, name: string, words: readonly W[], otherwise: W): W => {
  const given = values[name];
  if (given === undefined) return otherwise;
  const word = words.find((one) => one === given);
  if (word === undefined) throw new UsageError(`--${name} must be one of ${words.join(', ')}`);
  return word;
};

export const readRequest = (values: Values, files: readonly string[]): ReadRequest => {
  const framing = choice(values, 'framing', ['auto', ...FRAMINGS], 'auto');
  return { files, framing, encoding: choice(values, 'encoding', ENCODINGS, 'auto') };
};

/** A record with its place. `number`: from 1, in its file. */
export type FileRecord = Framed & { readonly file: string; readonly number: number };

type Watch = { problem(text: string): void };

const open = (file: string, io: Io): Readable => {
  if (file !== '-') return createReadStream(file, { highWaterMark: PIECE_BYTES });
  if (io.stdin === undefined) throw new Error('there is no standard input');
  return io.stdin;
};

const sizeOf = async (file: string): Promise<number | null> => {
  if (file === '-') return null;
  const { size } = await stat(file);
  return size;
};

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;

/** Tells how far the reading of a file is. */
class Progress {
  readonly #io: Io;
  readonly #file: string;
  readonly #size: number | null;
  readonly #startMs = performance.now();
  #shownMs = performance.now();
  #bytes = 0;

  constructor(io: Io, file: string, size: number | null) {
    this.#io = io;
    this.#file = file;
    this.#size = size;
  }

  read(bytes: number): void {
    this.#bytes += bytes;
    const nowMs = performance.now();
    if (this.#io.progress === undefined || nowMs - this.#shownMs < PROGRESS_MS) return;
    this.#shownMs = nowMs;
    const rate = `${megabytes((this.#bytes * 1_000) / (nowMs - this.#startMs))}/s`;
    const part = this.#size === null ? '' : ` of ${megabytes(this.#size)}`;
    this.#io.progress(`${this.#file}: ${megabytes(this.#bytes)}${part}, ${rate}`);
  }

  end(): void {
    this.#io.progress?.('');
  }
}

/** The file in pieces, the first of at least `HEAD_BYTES` if there are so many; unpacked if it is packed with gzip. */
async function* pieces(source: Readable, progress: Progress): AsyncGenerator<Buffer> {
  const counted = (async function* () {
    for await (const piece of source as AsyncIterable<Buffer>) {
      progress.read(piece.length);
      yield piece;
    }
  })();
  const first = await counted.next();
  if (first.done) return;
  const isPacked = first.value[0] === 0x1f && first.value[1] === 0x8b;
  const all = (async function* () {
    yield first.value;
    yield* counted;
  })();
  const plain: AsyncIterable<Buffer> = isPacked
    ? pipeline(all, createGunzip({ chunkSize: PIECE_BYTES }), () => {})
    : all;
  let head: Buffer[] = [];
  let held = 0;
  for await (const piece of plain) {
    if (held >= HEAD_BYTES) {
      yield piece;
      continue;
    }
    head.push(piece);
    held += piece.length;
    if (held < HEAD_BYTES) continue;
    yield Buffer.concat(head);
    head = [];
  }
  if (head.length > 0) yield Buffer.concat(head);
}

async function* recordsOf(file: string, io: Io, request: ReadRequest, watch: Watch): AsyncGenerator<FileRecord> {
  const progress = new Progress(io, file, await sizeOf(file));
  let frames = request.framing === 'auto' ? null : framesOf(request.framing);
  let number = 0;
  try {
    for await (const piece of pieces(open(file, io), progress)) {
      frames ??= framesOf(guessFraming(piece, piece.length < HEAD_BYTES));
      for (const framed of frames.push(piece)) yield { ...framed, file, number: ++number };
      if (frames.fault !== null) break;
    }
    for (const framed of frames?.end() ?? []) yield { ...framed, file, number: ++number };
  } finally {
    progress.end();
  }
  const fault = frames?.fault ?? null;
  if (fault !== null) watch.problem(`${file}: record ${number + 1} at byte ${fault.offset}: ${fault.text}`);
}

/** All records in order. A file that cannot be read to its end is a problem, and the next one is read all the same. */
export async function* readRecords(io: Io, request: ReadRequest, watch: Watch): AsyncGenerator<FileRecord> {
  for (const file of request.files) {
    const records = recordsOf(file, io, request, watch);
    for (;;) {
      let next: IteratorResult<FileRecord>;
      try {
        next = await records.next();
      } catch (error) {
        watch.problem(`${file}: cannot be read: ${(error as Error).message}`);
        break;
      }
      if (next.done) break;
      yield next.value;
    }
  }
}

/** Says problems as they come, the first of them in full. */
export class Problems {
  static readonly SHOWN = 20;
  readonly #io: Io;
  count = 0;

  constructor(io: Io) {
    this.#io = io;
  }

  readonly problem = (text: string): void => {
    this.count++;
    if (this.count > Problems.SHOWN) return;
    this.#io.progress?.('');
    this.#io.err(inOneLine(text));
  };

  /** The exit code. */
  end(): number {
    const more = this.count - Problems.SHOWN;
    if (more > 0) this.#io.err(`and ${more} more problem${more === 1 ? '' : 's'}`);
    return this.count === 0 ? 0 : 1;
  }
}
