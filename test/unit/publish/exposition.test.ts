import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Labels } from '../../../src/attribution/series-key.ts';
import { type ExpositionOptions, exposition, expositionText } from '../../../src/publish/exposition.ts';
import { PageWriter } from '../../../src/publish/page-writer.ts';
import { parseExposition } from '../../support/exposition.ts';
import { OneShard, TRACKER } from './tables.ts';

const optionsOf = (one: OneShard, extra: Partial<ExpositionOptions> = {}): ExpositionOptions => ({
  format: 'text',
  prefix: 'tempo_usage_tracker',
  settings: one.settings,
  created: false,
  ...extra,
});

const BYTES = 'tempo_usage_tracker_bytes_received_total';

describe('an exposition', () => {
  test('shows of a tracker the measures that it is to show, and no sums of one that it hides', async () => {
    const one = await new OneShard('tenant-a').begin();
    await one.add('tenant-a', [[[['service', 's']], 229, 3]]);
    await one.show();
    const namesWith = (measures: readonly string[]): readonly string[] => {
      const settings = { ...one.settings, measures: () => measures };
      return parseExposition(expositionText(one.snapshot(), { ...optionsOf(one), settings })).map(
        ({ name, value }) => `${name.replace('tempo_usage_tracker_', '')} ${value}`,
      );
    };
    const gauges = ['active_series 1', 'series_limit 100', 'series_demand_estimate 1'];
    expect(namesWith(['', 'spans'])).toEqual(['spans_received_total 3', ...gauges]);
    expect(namesWith(['bytes', ''])).toEqual([
      'bytes_received_total 229',
      'tenant_bytes_total 229',
      'overflow_bytes_total 0',
      ...gauges,
      'unattributed_bytes_total 0',
    ]);
  });

  test('reads as Tempo prints it', async () => {
    const one = await new OneShard('tenant-a', 10, ['service_name', '_tiquette']).begin();
    await one.add('tenant-a', [
      [
        [
          ['_tiquette', '__missing__'],
          ['service_name', 'a"b\\c\nd\tef'],
        ],
        229,
        3,
      ],
      [
        [
          ['_tiquette', 'x'],
          ['service_name', 'y'],
        ],
        1_000_000,
        4,
      ],
    ]);
    await one.show();
    expect(expositionText(one.snapshot(), optionsOf(one))).toBe(
      `# HELP tempo_usage_tracker_bytes_received_total bytes total received with these attributes
# TYPE tempo_usage_tracker_bytes_received_total counter
tempo_usage_tracker_bytes_received_total{_tiquette="__missing__",service_name="a\\"b\\\\c\\nd\tef",tenant="tenant-a",tracker="cost-attribution"} 229
tempo_usage_tracker_bytes_received_total{_tiquette="x",service_name="y",tenant="tenant-a",tracker="cost-attribution"} 1000000
# HELP tempo_usage_tracker_spans_received_total spans total received with these attributes
# TYPE tempo_usage_tracker_spans_received_total counter
tempo_usage_tracker_spans_received_total{_tiquette="__missing__",service_name="a\\"b\\\\c\\nd\tef",tenant="tenant-a",tracker="cost-attribution"} 3
tempo_usage_tracker_spans_received_total{_tiquette="x",service_name="y",tenant="tenant-a",tracker="cost-attribution"} 4
# HELP tempo_usage_tracker_tenant_bytes_total bytes total received of the tenant: in series, in overflow and in series that are gone
# TYPE tempo_usage_tracker_tenant_bytes_total counter
tempo_usage_tracker_tenant_bytes_total{tenant="tenant-a",tracker="cost-attribution"} 1000229
# HELP tempo_usage_tracker_overflow_bytes_total bytes total that found no place under the tenant's series limit
# TYPE tempo_usage_tracker_overflow_bytes_total counter
tempo_usage_tracker_overflow_bytes_total{tenant="tenant-a",tracker="cost-attribution"} 0
# HELP tempo_usage_tracker_active_series live series of the tenant, over all replicas
# TYPE tempo_usage_tracker_active_series gauge
tempo_usage_tracker_active_series{tenant="tenant-a",tracker="cost-attribution"} 2
# HELP tempo_usage_tracker_series_limit live series that the tenant may have, over all replicas
# TYPE tempo_usage_tracker_series_limit gauge
tempo_usage_tracker_series_limit{tenant="tenant-a",tracker="cost-attribution"} 10
# HELP tempo_usage_tracker_series_demand_estimate series that the tenant would have without its limit, about: live ones, and those that overflowed in the last stale_duration
# TYPE tempo_usage_tracker_series_demand_estimate gauge
tempo_usage_tracker_series_demand_estimate{tenant="tenant-a",tracker="cost-attribution"} 2
# HELP tempo_usage_tracker_unattributed_bytes_total bytes total received whose attribute for the dimension was missing, in series or in overflow
# TYPE tempo_usage_tracker_unattributed_bytes_total counter
tempo_usage_tracker_unattributed_bytes_total{dimension="_tiquette",tenant="tenant-a",tracker="cost-attribution"} 229
tempo_usage_tracker_unattributed_bytes_total{dimension="service_name",tenant="tenant-a",tracker="cost-attribution"} 0
`,
    );
  });

  test('in OpenMetrics names families without _total, may show births, and ends with EOF', async () => {
    const one = await new OneShard('t').begin();
    await one.add('t', [[[['service', 's']], 7, 1]]);
    await one.show();
    const text = expositionText(one.snapshot(), optionsOf(one, { format: 'openmetrics', created: true }));
    const labels = '{service="s",tenant="t",tracker="cost-attribution"}';
    expect(text).toContain(`# TYPE tempo_usage_tracker_bytes_received counter
${BYTES}${labels} 7
tempo_usage_tracker_bytes_received_created${labels} 1700000000
`);
    expect(text).toContain('# TYPE tempo_usage_tracker_active_series gauge\n');
    expect(text.endsWith('\n# EOF\n')).toBe(true);
    expect(text).not.toMatch(/# (HELP|TYPE) \S*_total /);
    const plain = expositionText(one.snapshot(), optionsOf(one, { format: 'openmetrics' }));
    expect(plain).not.toContain('_created');
    expect(expositionText({ ...one.snapshot(), tables: [] }, optionsOf(one, { format: 'openmetrics' }))).toBe(
      '# EOF\n',
    );
  });

  test('shows what records came to: accepted, and discarded by reason', async () => {
    const one = await new OneShard('__records__').begin();
    await one.add(
      '__records__',
      [
        [[['outcome', 'accepted']], 900, 9],
        [[['outcome', 'malformed']], 30, 2],
        [[['outcome', 'no_tenant']], 5, 1],
      ],
      { tracker: 'records' },
    );
    await one.show();
    const text = expositionText(one.snapshot(), optionsOf(one));
    expect(text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))).toEqual([
      'tempo_usage_tracker_accepted_bytes_total 900',
      'tempo_usage_tracker_discarded_bytes_total{reason="malformed"} 30',
      'tempo_usage_tracker_discarded_bytes_total{reason="no_tenant"} 5',
      'tempo_usage_tracker_accepted_records_total 9',
      'tempo_usage_tracker_discarded_records_total{reason="malformed"} 2',
      'tempo_usage_tracker_discarded_records_total{reason="no_tenant"} 1',
    ]);
  });

  test('adds the overflow to a real series of the same labels', async () => {
    const one = await new OneShard('t', 1).begin();
    await one.add('t', [[[['service', '__overflow__']], 10, 1]]);
    await one.add('t', [[[['service', 'other']], 5, 2]]);
    await one.show();
    const samples = parseExposition(expositionText(one.snapshot(), optionsOf(one)));
    expect(samples.filter(({ name }) => name === BYTES)).toEqual([
      { name: BYTES, labels: { service: '__overflow__', tenant: 't', tracker: TRACKER }, value: 15 },
    ]);
  });

  test('says how many series there would be without the limit, for as long as they may still come', async () => {
    const one = await new OneShard('t', 2).begin();
    const demand = (): number | undefined =>
      parseExposition(expositionText(one.snapshot(), optionsOf(one))).find(
        ({ name }) => name === 'tempo_usage_tracker_series_demand_estimate',
      )?.value;
    const labels = (i: number): Labels => [['service', `s${i}`]];
    await one.add('t', [[labels(0), 1, 1]]);
    await one.show();
    expect(demand()).toBe(1);
    const many = Array.from({ length: 40 }, (_, i) => labels(i));
    await one.add(
      't',
      many.map((series) => [series, 1, 1] as const),
      { seen: many.slice(2) },
    );
    await one.show();
    expect(Math.abs(demand()! - 40)).toBeLessThanOrEqual(4);
    // What overflowed has a place by now: it is not counted twice.
    await one.add('t', [[labels(0), 1, 1]], { seen: [labels(0), labels(1)] });
    await one.show();
    expect(Math.abs(demand()! - 40)).toBeLessThanOrEqual(4);
    for (let minute = 0; minute < 20; minute++) {
      one.nowMs += 60_000;
      await one.add('t', [[labels(0), 1, 1]]);
      await one.show();
    }
    expect(demand()).toBe(2);
  });

  test('shows of an account that is young 0 unattributed bytes, and of each dimension a line', async () => {
    const one = await new OneShard('t', 9, ['a', 'b']).begin();
    const lines = (forScraper: boolean) =>
      parseExposition(expositionText(one.snapshot(forScraper), optionsOf(one)))
        .filter(({ name }) => name === 'tempo_usage_tracker_unattributed_bytes_total')
        .map(({ labels, value }) => [labels.dimension, value]);
    await one.add('t', [
      [
        [
          ['a', '__missing__'],
          ['b', 'x'],
        ],
        7,
        1,
      ],
    ]);
    await one.show();
    expect([lines(true), lines(false)]).toEqual([
      [
        ['a', 0],
        ['b', 0],
      ],
      [
        ['a', 7],
        ['b', 0],
      ],
    ]);
  });

  test('shows a tenant that is dimensionless, and one that has only overflow', async () => {
    const one = await new OneShard('t', 0, []).begin();
    await one.add('t', [[[], 5, 2]]);
    await one.show();
    const samples = parseExposition(expositionText(one.snapshot(), optionsOf(one)));
    expect(samples.find(({ name }) => name === BYTES)).toEqual({
      name: BYTES,
      labels: { tenant: 't', tracker: TRACKER },
      value: 5,
    });
  });

  test('leaves out a series that would make a scraper refuse everything', async () => {
    const one = await new OneShard('t').begin();
    await one.add('t', [
      [[['tenant', 'forged']], 1, 1],
      [[['bad-name', 'x']], 2, 1],
      [[['service', 'good']], 4, 1],
    ]);
    await one.show();
    const samples = parseExposition(expositionText(one.snapshot(), optionsOf(one))).filter(
      ({ name }) => name === BYTES,
    );
    expect(samples.map(({ value }) => value)).toEqual([4]);
  });

  test('gives back every label value, amount and overflow, in pages of any size', async () => {
    const value = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 8 }),
      fc.constantFrom(
        '__overflow__',
        '__missing__',
        'a"',
        '\\',
        '\n',
        '\\n',
        '",b="',
        '{}',
        '#',
        ' ',
        '\r',
        '\u2028',
        'é',
        '😀',
      ),
    );
    const series = fc.tuple(
      fc.tuple(value, value),
      fc.nat(),
      fc.maxSafeInteger().map((n) => Math.abs(n) % 2 ** 40),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(series, {
          selector: ([values]) => JSON.stringify(values.map((v) => Buffer.from(v).toString())),
          maxLength: 12,
        }),
        fc.integer({ min: 0, max: 12 }),
        fc.integer({ min: 1, max: 400 }),
        fc.constantFrom('text', 'openmetrics'),
        async (all, limit, pageBytes, format) => {
          const one = await new OneShard('te"n\\ant', limit, ['one', 'two']).begin();
          for (const [[first, second], spans, bytes] of all) {
            const labels: Labels = [
              ['one', first],
              ['two', second],
            ];
            await one.add('te"n\\ant', [[labels, bytes, spans]]);
          }
          await one.show();
          const pages = [
            ...exposition(one.snapshot(), optionsOf(one, { format: format as 'text' }), () => Buffer.alloc(pageBytes)),
          ];
          const samples = parseExposition(Buffer.concat(pages).toString());
          const shown = new Map(
            samples
              .filter(({ name }) => name === BYTES)
              .map(({ labels, value }) => [JSON.stringify([labels.one, labels.two, labels.tenant]), value]),
          );
          const expected = new Map<string, number>();
          all.forEach(([values, , bytes], i) => {
            const labels = i < limit ? values.map((v) => Buffer.from(v).toString()) : ['__overflow__', '__overflow__'];
            const key = JSON.stringify([...labels, 'te"n\\ant']);
            if (i < limit || all.length > limit) expected.set(key, (expected.get(key) ?? 0) + bytes);
          });
          for (const [key, bytes] of expected) {
            if (bytes === 0 && key.includes('__overflow__","__overflow__')) continue;
            expect([key, shown.get(key)]).toEqual([key, bytes]);
          }
          expect(shown.size).toBeLessThanOrEqual(expected.size);
        },
      ),
      { numRuns: 60 },
    );
  });
});

test('integers are written in decimal, up to 2^53', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.maxSafeNat(),
        fc.nat(),
        fc.nat(20),
        fc.nat(15).map((n) => 10 ** n),
        fc.nat(15).map((n) => 10 ** n - 1),
      ),
      (value) => {
        const out = new PageWriter(() => Buffer.alloc(32));
        out.integer(value);
        expect(out.handOn().toString()).toBe(String(value));
      },
    ),
  );
});
