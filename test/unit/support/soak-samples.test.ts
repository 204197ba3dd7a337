/** The soak's verdict on memory: what it forgives, and what not. */
import { describe, expect, test } from '@jest/globals';
import { seeded } from '../../support/random.ts';
import { judge, type Life, RISE_MB, WARM_UP_S } from '../../system/soak-samples.ts';

const life = (minutes: number, mbAt: (atS: number) => number): Life => ({
  replica: 'replica-0',
  pid: 1,
  samples: Array.from({ length: minutes * 6 }, (_, i) => ({ atS: 100 + i * 10, rssMb: mbAt(i * 10) })),
});

/** What was measured in minute after minute, six samples in each. */
const measured = (...minutesMb: readonly number[]): Life =>
  life(minutesMb.length, (atS) => minutesMb[Math.floor(atS / 60)]!);

describe('whether the memory of a process stays flat', () => {
  test('one that grows while it warms up, and then swings, is flat', () => {
    const random = seeded(1);
    const found = judge(life(40, (atS) => 300 * Math.min(1, atS / WARM_UP_S) + random.between(-60, 60)));
    expect(found).toMatchObject({ isFlat: true });
  });

  test('one that leaks a megabyte a minute is not, whatever the swings', () => {
    const random = seeded(2);
    const found = judge(life(60, (atS) => 200 + atS / 60 + random.between(-60, 60)));
    expect(found?.isFlat).toBe(false);
    expect(found?.riseMb).toBeGreaterThan(RISE_MB);
  });

  test('a fault that doubles it for some minutes does not matter', () => {
    expect(judge(life(40, (atS) => (atS > 1200 && atS < 1440 ? 600 : 300)))).toMatchObject({ isFlat: true, riseMb: 0 });
  });

  test('a short life is not judged', () => {
    expect(judge(life(WARM_UP_S / 60 + 2, () => 100))).toBeNull();
  });

  test('what was seen of the young generation, which grew with every burst, is not', () => {
    const found = judge(measured(203, 234, 234, 237, 256, 287, 295, 294, 296), 210);
    expect(found).toMatchObject({ isFlat: false });
  });

  test('one that levels off is, if what is left of its rise after the warm-up is little', () => {
    const levelling = (riseMb: number): Life => life(60, (atS) => 150 + riseMb * (1 - Math.exp(-atS / 600)));
    expect(judge(levelling(60))).toMatchObject({ isFlat: true });
    expect(judge(life(60, (atS) => 150 + 20 * Math.log1p(atS / 60)))).toMatchObject({ isFlat: false });
  });

  test('one that leaks half a megabyte a minute is not, in an hour, with bursts of a minute on top', () => {
    const burst = (atS: number) => (Math.floor(atS / 60) % 7 === 0 ? 40 : 0);
    const found = judge(life(60, (atS) => 170 + atS / 120 + burst(atS)));
    expect(found?.isFlat).toBe(false);
    expect(found?.slopeMb).toBeCloseTo(0.5, 1);
  });

  test('a large process has no more room than a small one', () => {
    expect(judge(life(60, (atS) => 1000 + atS / 60))).toMatchObject({ isFlat: false });
  });
});
