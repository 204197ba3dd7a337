/**
 * Protobuf's wire format, as far as finding one's way through it needs:
 *
 *   message = *field
 *   field   = tag payload               tag = varint of number * 8 + wire type, number from 1
 *   payload = varint                    wire type 0 (VARINT)
 *           | 8 bytes                   wire type 1 (I64)
 *           | varint *byte              wire type 2 (LEN)
 *           | *field tag                wire type 3 (SGROUP), closed by the same number with type 4 (EGROUP)
 *           | 4 bytes                   wire type 5 (I32)
 *   varint  = 1 to 10 bytes, 7 bits in each, the lowest first; may be longer than it has to be
 *
 * Numbers are doubles, exact to 2^53: enough for tags and lengths, which is all that is read here.
 */
import type { MalformedReason } from './malformed.ts';

export const VARINT = 0;
export const I64 = 1;
export const LEN = 2;
const SGROUP = 3;
const EGROUP = 4;
export const I32 = 5;

/** What a grammar says of a tag: pass over it. Also the answer for every field that a grammar does not know. */
export const SKIP = 0;
/** What a grammar says of a tag that makes the record malformed; what `field` answers then. */
export const REFUSED = 255;

const MAX_VARINT_BYTES = 10;
const MAX_GROUP_DEPTH = 100;
const TAGS = 256;

/** A message's fields as [number, wire type, action], made into a table from a tag below 256 to its action. */
export function grammar(fields: readonly (readonly [number: number, wireType: number, action: number])[]): Uint8Array {
  const actions = new Uint8Array(TAGS).fill(SKIP);
  actions.fill(REFUSED, 0, 8);
  for (const [number, wireType, action] of fields) {
    actions.fill(REFUSED, number * 8, number * 8 + 8);
    actions[number * 8 + wireType] = action;
  }
  return actions;
}

/**
 * Reads fields of `bytes`. Positions go in, positions come out; -1 (or REFUSED) means malformed, and `reason` and
 * `position` say why. Nothing is allocated but the stack of a group.
 */
export class Wire {
  bytes: Buffer = Buffer.alloc(0);
  /** Payload of the last field: [start, stop). */
  start = 0;
  stop = 0;
  reason: MalformedReason = 'truncated';
  position = 0;
  #value = 0;

  /** Reads the field at `at` (below `end`): its action by the grammar, its payload in `start` and `stop`. */
  field(at: number, end: number, actions: Uint8Array): number {
    const bytes = this.bytes;
    const tag = bytes[at]!;
    // LEN with a tag of one byte and a length of one or two: nearly every field that is met.
    if ((tag & 0x87) === LEN && at + 2 < end) {
      let start = at + 2;
      let length = bytes[at + 1]!;
      if (length >= 0x80) length = (length & 0x7f) | (bytes[start++]! << 7);
      const action = actions[tag]!;
      // A third byte of the length makes it too large for this way.
      if (length < 0x4000 && start + length <= end && action !== REFUSED) {
        this.start = start;
        this.stop = start + length;
        return action;
      }
    }
    return this.#anyField(at, end, actions);
  }

  #anyField(at: number, end: number, actions: Uint8Array): number {
    let tag = this.bytes[at]!;
    let start = at + 1;
    if (tag >= 0x80) {
      start = this.#varint(at, end);
      if (start < 0) return REFUSED;
      tag = this.#value;
    }
    const action = tag < TAGS ? actions[tag]! : SKIP;
    if (action === REFUSED) {
      this.#fail(at, tag < 8 ? 'bad_tag' : 'bad_wire_type');
      return REFUSED;
    }
    this.start = start;
    const stop = this.#payload(at, tag, start, end);
    if (stop < 0) return REFUSED;
    this.stop = stop;
    return action;
  }

  /** The position behind the payload of a field; moves `start` behind a length. */
  #payload(at: number, tag: number, start: number, end: number): number {
    if (tag < 8 || tag >= 2 ** 32) return this.#fail(at, 'bad_tag');
    let stop = start;
    switch (tag & 7) {
      case VARINT:
        return this.#varint(start, end);
      case I64:
        stop += 8;
        break;
      case LEN:
        stop = this.#varint(start, end);
        if (stop < 0) return -1;
        this.start = stop;
        stop += this.#value;
        break;
      case SGROUP:
        return this.#group(tag, start, end);
      case EGROUP:
        return this.#fail(at, 'bad_group');
      case I32:
        stop += 4;
        break;
      default:
        return this.#fail(at, 'bad_tag');
    }
    return stop <= end ? stop : this.#fail(at, 'truncated');
  }

  #group(tag: number, start: number, end: number): number {
    const open = [tag >>> 3];
    let at = start;
    while (at < end) {
      const payload = this.#varint(at, end);
      if (payload < 0) return -1;
      const inner = this.#value;
      if (inner < 8 || inner >= 2 ** 32) return this.#fail(at, 'bad_tag');
      if ((inner & 7) === EGROUP) {
        if (open.pop() !== inner >>> 3) return this.#fail(at, 'bad_group');
        if (open.length === 0) return payload;
        at = payload;
      } else if ((inner & 7) === SGROUP) {
        if (open.length === MAX_GROUP_DEPTH) return this.#fail(at, 'too_deep');
        open.push(inner >>> 3);
        at = payload;
      } else {
        at = this.#payload(at, inner, payload, end);
        if (at < 0) return -1;
      }
    }
    return this.#fail(start, 'bad_group');
  }

  #varint(at: number, end: number): number {
    const bytes = this.bytes;
    let value = 0;
    let scale = 1;
    for (let next = at; next < end; ) {
      const byte = bytes[next++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        this.#value = value;
        return next;
      }
      if (next - at === MAX_VARINT_BYTES) return this.#fail(at, 'bad_varint');
      scale *= 0x80;
    }
    return this.#fail(at, 'truncated');
  }

  #fail(position: number, reason: MalformedReason): -1 {
    this.position = position;
    this.reason = reason;
    return -1;
  }
}
