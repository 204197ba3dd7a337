import { connect } from 'node:net';

const FIND_COORDINATOR = 10;
export const GROUPS = 0;
export const TRANSACTIONS = 1;

/**
 * Asks a broker on 127.0.0.1 for a coordinator (FindCoordinator version 1, written by hand: no client's retries in
 * between). Answers Kafka's error code, 0 once the coordinator can be used; rejects where nobody answers.
 */
export function findCoordinator(port: number, kind: typeof GROUPS | typeof TRANSACTIONS): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const give = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(2000, () => give(new Error('FindCoordinator was not answered in 2 s')));
    socket.once('error', give);
    socket.once('close', () => reject(new Error('the broker closed the connection')));
    socket.once('connect', () => socket.write(request(kind)));
    let received = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      // int32 size, int32 correlation id, int32 throttle time, int16 error code
      if (received.length < 14) return;
      resolve(received.readInt16BE(12));
      socket.destroy();
    });
  });
}

/** int32 size; header: int16 key, int16 version, int32 correlation id, string client id; body: string key, int8 kind. */
function request(kind: number): Buffer {
  const text = (value: string) => Buffer.concat([int16(value.length), Buffer.from(value)]);
  const header = Buffer.concat([int16(FIND_COORDINATOR), int16(1), Buffer.from([0, 0, 0, 1]), text('services')]);
  const body = Buffer.concat([text('ready?'), Buffer.from([kind])]);
  const size = Buffer.alloc(4);
  size.writeInt32BE(header.length + body.length);
  return Buffer.concat([size, header, body]);
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}
