/** Requests to a broker on 127.0.0.1, written by hand: no client's retries in between. */
import { connect } from 'node:net';

const FIND_COORDINATOR = 10;
const ELECT_LEADERS = 43;
const ANSWER_WITHIN_MS = 10_000;
export const GROUPS = 0;
export const TRANSACTIONS = 1;
/** What an election may do: give the leadership to the first of the replicas, or to whoever is there. */
export const PREFERRED = 0;
export const UNCLEAN = 1;

/** Asks for a coordinator (FindCoordinator version 1). Answers Kafka's error code, 0 once it can be used; rejects where nobody answers. */
export async function findCoordinator(port: number, kind: typeof GROUPS | typeof TRANSACTIONS): Promise<number> {
  const body = Buffer.concat([text('ready?'), Buffer.from([kind])]);
  const answer = await ask(port, FIND_COORDINATOR, body, 2_000);
  // int32 throttle time, int16 error code
  return answer.readInt16BE(4);
}

/**
 * ElectLeaders version 1: int8 kind, array of (topic, array of int32 partition), int32 time-out. Answers the error code
 * of the whole; what became of each partition its metadata tell.
 */
export async function electLeaders(
  port: number,
  kind: typeof PREFERRED | typeof UNCLEAN,
  topic: string,
  partitions: readonly number[],
): Promise<number> {
  const body = Buffer.concat([
    Buffer.from([kind]),
    int32(1),
    text(topic),
    int32(partitions.length),
    ...partitions.map(int32),
    int32(ANSWER_WITHIN_MS),
  ]);
  const answer = await ask(port, ELECT_LEADERS, body, 2 * ANSWER_WITHIN_MS);
  return answer.readInt16BE(4);
}

/** Version 1 of a request. Answers what follows the correlation id. */
function ask(port: number, api: number, body: Buffer, withinMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const give = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(withinMs, () => give(new Error(`request ${api} was not answered in ${withinMs} ms`)));
    socket.once('error', give);
    socket.once('close', () => reject(new Error('the broker closed the connection')));
    socket.once('connect', () => socket.write(request(api, body)));
    let received = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      // int32 size, int32 correlation id
      if (received.length < 4 || received.length < 4 + received.readInt32BE(0)) return;
      resolve(received.subarray(8));
      socket.destroy();
    });
  });
}

/** int32 size; header: int16 key, int16 version, int32 correlation id, string client id; then the body. */
function request(api: number, body: Buffer): Buffer {
  const header = Buffer.concat([int16(api), int16(1), int32(1), text('services')]);
  return Buffer.concat([int32(header.length + body.length), header, body]);
}

function text(value: string): Buffer {
  return Buffer.concat([int16(value.length), Buffer.from(value)]);
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
