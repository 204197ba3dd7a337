import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import { ConnectionLimit } from '../../../src/publish/connection-limit.ts';

class Peer extends EventEmitter {
  remoteAddress: string | undefined = '127.0.0.1';
  readonly remotePort: number;
  destroyed = false;

  constructor(port: number) {
    super();
    this.remotePort = port;
  }

  destroy(): this {
    this.destroyed = true;
    this.emit('close');
    this.remoteAddress = undefined;
    return this;
  }

  get socket(): Socket {
    return this as unknown as Socket;
  }
}

const setUp = (max: number) => {
  const limit = new ConnectionLimit(max);
  let port = 0;
  const open = (): Peer => {
    const peer = new Peer(++port);
    limit.accepted(peer.socket);
    return peer;
  };
  const kept = (): Peer => {
    const peer = open();
    limit.began(peer.socket);
    limit.ended(peer.socket);
    return peer;
  };
  return { limit, open, kept };
};

describe('the limit of connections', () => {
  test('the longest idle one makes room', () => {
    const { open } = setUp(3);
    const peers = [open(), open(), open(), open(), open()];
    expect(peers.map(({ destroyed }) => destroyed)).toEqual([true, true, false, false, false]);
  });

  test('busy ones stay; where all are busy, a new one is turned away', () => {
    const { limit, open } = setUp(2);
    const [a, b] = [open(), open()];
    for (const peer of [a, b]) limit.began(peer.socket);
    limit.began(a.socket);
    limit.ended(a.socket);
    expect(limit.answers(a.socket)).toBe(1);
    expect(open().destroyed).toBe(true);
    limit.ended(a.socket);
    expect(open().destroyed).toBe(false);
    expect([a.destroyed, b.destroyed]).toEqual([true, false]);
  });

  test('silent ones drive out each other, not those that are kept; many of those drive out each other, too', () => {
    const { open, kept } = setUp(6);
    const scrapers = [kept(), kept()];
    const silent = Array.from({ length: 20 }, open);
    expect(scrapers.some(({ destroyed }) => destroyed)).toBe(false);
    expect(silent.filter(({ destroyed }) => !destroyed)).toHaveLength(4);
    const talkers = Array.from({ length: 20 }, kept);
    expect(talkers.filter(({ destroyed }) => !destroyed).length).toBeGreaterThanOrEqual(3);
    expect(open().destroyed).toBe(false);
  });

  test('what closed leaves its place, and a second connection from the same port is another one', () => {
    const { limit, open } = setUp(1);
    const first = open();
    const again = new Peer(first.remotePort);
    first.destroy();
    limit.accepted(again.socket);
    limit.began(again.socket);
    first.emit('close');
    expect(limit.answers(again.socket)).toBe(1);
    limit.ended(first.socket);
    expect(limit.answers(again.socket)).toBe(1);
  });
});
