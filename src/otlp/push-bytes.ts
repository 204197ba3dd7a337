/**
 * Records of Grafana Tempo's ingest topic (tempopb.PushBytesRequest):
 *
 *   record = *( 2 LEN trace | 3 LEN trace id | 5 VARINT )        a trace is an ExportTraceServiceRequest on the wire
 *
 * There is an id for each trace. What counts are the traces: put behind each other they are one request.
 */
import type { Malformed } from './malformed.ts';
import { grammar, LEN, REFUSED, SKIP, VARINT, Wire } from './wire.ts';

const TRACE = 1;
const ID = 2;
const OTHER = 3;

const FIELDS = grammar([
  [1, LEN, OTHER],
  [2, LEN, TRACE],
  [3, LEN, ID],
  [5, VARINT, SKIP],
]);

/** One per worker. */
export class PushBytesReader {
  readonly #wire = new Wire();
  #joined = Buffer.alloc(0);
  /** The record read last has a field 1, which only OTLP has. */
  hasRegion = false;

  /** The record's traces as one request, valid until the next call and as long as `record` is. Never throws. */
  read(record: Buffer): Buffer | Malformed {
    const wire = this.#wire;
    wire.bytes = record;
    this.hasRegion = false;
    const found = this.#read(record);
    wire.bytes = NOTHING;
    return found;
  }

  #read(record: Buffer): Buffer | Malformed {
    const wire = this.#wire;
    let traces = 0;
    let ids = 0;
    let bytes = 0;
    for (let at = 0; at < record.length; at = wire.stop) {
      const action = wire.field(at, record.length, FIELDS);
      if (action === REFUSED) return { kind: 'malformed', position: wire.position, reason: wire.reason };
      if (action === TRACE) {
        traces++;
        bytes += wire.stop - wire.start;
      } else if (action === ID) ids++;
      else if (action === OTHER) {
        this.hasRegion = true;
        return bad('it has regions, as OTLP has');
      }
    }
    if (traces !== ids) {
      return bad(`${traces} traces and ${ids} trace ids`);
    }
    return this.#join(record, traces, bytes);
  }

  #join(record: Buffer, traces: number, bytes: number): Buffer {
    const wire = this.#wire;
    if (traces > 1 && (this.#joined.length < bytes || this.#joined.length > KEPT_BYTES))
      this.#joined = Buffer.allocUnsafeSlow(bytes);
    let to = 0;
    for (let at = 0; at < record.length; at = wire.stop) {
      if (wire.field(at, record.length, FIELDS) !== TRACE) continue;
      if (traces === 1) return record.subarray(wire.start, wire.stop);
      record.copy(this.#joined, to, wire.start, wire.stop);
      to += wire.stop - wire.start;
    }
    return this.#joined.subarray(0, to);
  }
}

const bad = (detail: string): Malformed => ({ kind: 'malformed', position: 0, reason: 'bad_push', detail });

/** A buffer that one large record needed is not kept for good. */
const KEPT_BYTES = 32 << 20;
const NOTHING = Buffer.alloc(0);
