import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createLogger, type Logger, type LoggerOptions } from '../../../src/telemetry/logger.ts';

type Line = Record<string, unknown>;

const capture = (options: Partial<LoggerOptions> = {}): { logger: Logger; lines: string[]; clock: { ms: number } } => {
  const lines: string[] = [];
  const clock = { ms: 0 };
  const logger = createLogger({
    level: 'debug',
    format: 'json',
    write: (line) => void lines.push(line),
    now: () => clock.ms,
    ...options,
  });
  return { logger, lines, clock };
};

const last = (lines: readonly string[]): Line => JSON.parse(lines.at(-1)!) as Line;

describe('the logger', () => {
  test('writes the event, its level and its fields', () => {
    const { logger, lines } = capture();
    logger.child({ topic: 't' }).warn({ offset: 7, reason: 'null_value' }, 'record_discarded');
    expect(last(lines)).toMatchObject({
      level: 'warn',
      msg: 'record_discarded',
      topic: 't',
      offset: 7,
      reason: 'null_value',
    });
    expect(last(lines).time).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
    expect(lines[0]).toMatch(/\n$/);
  });

  test('is silent below its level', () => {
    const { logger, lines } = capture({ level: 'warn' });
    logger.info({}, 'started');
    logger.debug({}, 'started');
    expect(lines).toEqual([]);
  });

  test('of a limited key writes one line in ten seconds and says what it left out', () => {
    const { logger, lines, clock } = capture();
    for (let i = 0; i < 5; i += 1) logger.limited('discarded').warn({ offset: i }, 'record_discarded');
    logger.limited('other').warn({}, 'tenant_refused');
    expect(lines).toHaveLength(2);
    clock.ms = 10_000;
    logger.child({ partition: 1 }).limited('discarded').warn({ offset: 9 }, 'record_discarded');
    expect(last(lines)).toMatchObject({ offset: 9, partition: 1, suppressed: 4 });
    clock.ms = 20_000;
    logger.limited('discarded').warn({}, 'record_discarded');
    expect(last(lines)).not.toHaveProperty('suppressed');
  });

  test('shows an error with its code, and its stack only where it has none', () => {
    const { logger, lines } = capture();
    const cause = Object.assign(new Error('connect ECONNREFUSED redis://u:pw@h'), { code: 'ECONNREFUSED' });
    logger.error({ error: new Error('away', { cause }) }, 'ledger_unavailable');
    const { error } = last(lines) as { error: Line };
    expect(error).toMatchObject({ type: 'Error', message: 'away' });
    expect(error.stack).toContain('logger.test');
    expect(error.cause).toEqual({
      type: 'Error',
      message: 'connect ECONNREFUSED redis://********@h',
      code: 'ECONNREFUSED',
    });
  });

  test('shows no stack of what lies behind an error with a code', () => {
    const { logger, lines } = capture();
    const away = Object.assign(new Error('away', { cause: new Error('closed') }), { code: 'AWAY' });
    logger.warn({ error: away }, 'ledger_unavailable');
    const { error } = last(lines) as { error: Line };
    expect(error).toEqual({
      type: 'Error',
      message: 'away',
      code: 'AWAY',
      cause: { type: 'Error', message: 'closed' },
    });
  });

  test('hides what its name calls a secret, at any depth, and credentials in URLs', () => {
    const { logger, lines } = capture();
    logger.info(
      {
        redis: { password: 'hunter2', username: 'u', tls: { privateKey: 'hunter2' } },
        sasl: [{ password: 'hunter2' }],
        adminToken: 'hunter2',
        url: 'rediss://u:hunter2@h:1/0',
      },
      'configured',
    );
    expect(lines[0]).not.toContain('hunter2');
    expect(last(lines)).toMatchObject({ redis: { username: 'u', password: '********' } });
  });

  test('shows bytes as hex, the first 64', () => {
    const { logger, lines } = capture();
    logger.warn({ bytes: Buffer.alloc(1_000, 0xab) }, 'record_discarded');
    expect(last(lines).bytes).toBe('ab'.repeat(64));
  });

  test('survives fields that point to themselves', () => {
    const { logger, lines } = capture();
    const loop: Record<string, unknown> = {};
    loop.loop = loop;
    logger.info({ loop }, 'started');
    expect(lines).toHaveLength(1);
  });

  test('writes logfmt with quotes where a reader needs them', () => {
    const { logger, lines } = capture({ format: 'logfmt' });
    logger.info({ text: 'a "b"\nc=d', empty: '', list: [1, 2], error: { code: 'E' }, n: 1 }, 'started');
    expect(lines[0]).toMatch(/^time=\S+ level=info msg=started /);
    expect(lines[0]).toContain('text="a \\"b\\"\\nc=d" empty="" list=[1,2] error.code=E n=1\n');
  });

  test.each(['logfmt', 'pretty'] as const)('lets no field steer a terminal as %s', (format) => {
    const { logger, lines } = capture({ format });
    logger.info({ text: '\u001b[31mred', 'k\u001b': 1 }, 'started');
    expect(lines[0]).not.toContain('\u001b');
    expect(lines[0]).toContain('text="\\u001b[31mred" k_=1');
  });

  test('writes pretty lines for people', () => {
    const { logger, lines } = capture({ format: 'pretty' });
    logger.warn({ shard: 3 }, 'ledger_unavailable');
    expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} WARN {2}ledger_unavailable shard=3\n$/);
  });

  test.each(['json', 'logfmt', 'pretty'] as const)(
    'keeps every event on one line as %s, whatever its fields',
    (format) => {
      const { logger, lines } = capture({ format });
      fc.assert(
        fc.property(fc.dictionary(fc.string(), fc.anything()), (fields) => {
          lines.length = 0;
          logger.info({ fields }, 'started');
          expect(lines).toHaveLength(1);
          expect(lines[0]!.match(/[\n\r]/g)).toEqual(['\n']);
        }),
      );
    },
  );
});
