/** What a seed decides before a schedule begins: sizes, settings, and which kinds of trouble may come. */
import { BOUNDS, type Bounds } from '../../src/ledger/bounds.ts';
import type { OnLoss } from '../../src/ledger/decide-position.ts';
import type { Random } from './scheduler.ts';
import { SERVICES } from './traffic.ts';

/** Trouble that any schedule may meet, with the same expectation always: nothing lost, nothing twice. */
export const COMMON = [
  'kill',
  'stop',
  'suspend',
  'twin',
  'drain',
  'redis away',
  'lost writes',
  'redis clock',
  'clock step',
  'kafka away',
  'leader lags',
  'rebalance',
  'commit moved',
  'commit expired',
  'partition added',
  'topic remade',
] as const;
/** Trouble, or a setting, that changes what is to be expected; a schedule has at most one. */
export const THEMES = [
  'none',
  'retention',
  'cut',
  'loss',
  'limits',
  'tenants',
  'bomb',
  'from end',
  'stale',
  'seek',
] as const;

export type Trouble = (typeof COMMON)[number];
export type Theme = (typeof THEMES)[number];

export type Plan = {
  readonly theme: Theme;
  readonly troubles: ReadonlySet<Trouble>;
  readonly partitions: number;
  readonly replicas: number;
  readonly trafficMs: number;
  readonly faultEveryMs: readonly [number, number];
  /** The faults that happen, by their number; null: all. */
  readonly faults: readonly number[] | null;
  /** Calls and answers are lost, now and then. */
  readonly isLossy: boolean;
  readonly flushIntervalMs: number;
  readonly limit: number;
  readonly services: number;
  readonly staleS: number;
  readonly maxTenantsPerShard: number;
  readonly fromBeginning: boolean;
  readonly onLoss: OnLoss;
  /** How much may be pending: as shipped, or so little that segments are cut and gathering is held up all the time. */
  readonly bounds: Bounds;
  readonly isCareless: boolean;
  /** Every replica publishes, and is scraped. */
  readonly publishing: boolean;
};

/** What a caller wants otherwise than the seed says. */
export type PlanLimits = {
  readonly theme?: Theme;
  readonly faults?: readonly number[];
  readonly trafficMs?: number;
  readonly replicas?: number;
  readonly partitions?: number;
  readonly isLossy?: boolean;
  readonly publishing?: boolean;
};

/** Long ones with a fault now and then, and, twice as many, short ones with a fault on top of the other. */
const PACES = [
  { leastMs: 8_000, mostMs: 30_000, publishingMs: 15_000, faultEveryMs: [500, 6_500] },
  { leastMs: 4_000, mostMs: 11_000, publishingMs: 9_000, faultEveryMs: [100, 2_400] },
  { leastMs: 4_000, mostMs: 11_000, publishingMs: 9_000, faultEveryMs: [100, 2_400] },
] as const;

/** `isReal`: a server of its own keeps its writes and its time. Every number is drawn whatever the limits say, so that they change nothing else. */
export const planOf = (random: Random, limits: PlanLimits, isReal: boolean): Plan => {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const drawn = { isNone: random() < 0.4, theme: pick(THEMES) };
  const theme = limits.theme ?? (drawn.isNone || (isReal && ONLY_EMBEDDED.has(drawn.theme)) ? 'none' : drawn.theme);
  const usable = new Set(COMMON.filter(() => random() < 0.65));
  const onLoss = pick(['continue', 'recount', 'stop'] as const);
  const drawnLimit = 1 + Math.floor(random() * 2 * SERVICES);
  const careless = random() < 0.3;
  const isPublishing = random() < 0.2 || theme === 'stale';
  const publishing = (limits.publishing ?? isPublishing) && !isReal;
  const pace = pick(PACES);
  const drawnMs = pace.leastMs + random() * (pace.mostMs - pace.leastMs);
  const trafficMs = drawnMs + (publishing ? pace.publishingMs : 0);
  const isRoomy = random() < 0.7;
  const limit = publishing && isRoomy ? Math.max(drawnLimit, SERVICES) : drawnLimit;
  if (isReal) for (const trouble of ['lost writes', 'redis clock'] as const) usable.delete(trouble);
  if (theme === 'cut' || theme === 'loss') usable.delete('topic remade');
  // A ledger that loses what came before a recount, too, shows less than before: the page of operations says so.
  if (theme === 'seek' && publishing) usable.delete('lost writes');
  // Where nobody dies and nothing is lost, what is told of a gap can be compared with what was skipped.
  if (theme === 'retention' && careless) for (const trouble of UNTOLD) usable.delete(trouble);
  return {
    theme,
    troubles: usable,
    partitions: at(limits.partitions, 1 + Math.floor(random() * 3)),
    replicas: at(limits.replicas, 1 + Math.floor(random() * 3)),
    trafficMs: Math.min(trafficMs, limits.trafficMs ?? Number.POSITIVE_INFINITY),
    faultEveryMs: pace.faultEveryMs,
    faults: limits.faults ?? null,
    isLossy: limits.isLossy ?? true,
    flushIntervalMs: 500 + Math.floor(random() * 4500),
    limit: theme === 'bomb' ? 3 + Math.floor(limit / 4) : limit,
    services: 2 + Math.floor(random() * SERVICES),
    staleS: theme === 'stale' ? 6 + Math.floor(random() * 10) : 900,
    maxTenantsPerShard: theme === 'tenants' ? 2 : 1000,
    fromBeginning: theme !== 'from end',
    onLoss: theme === 'loss' ? onLoss : 'continue',
    // By a number that was drawn before: one more would make another schedule of every seed.
    bounds: Math.floor(drawnMs) % 3 === 0 ? NARROW : BOUNDS,
    isCareless: careless && !usable.has('topic remade'),
    publishing,
  };
};

const NARROW: Bounds = { segmentRows: 2, callRows: 3, earlyRows: 3, pressingRows: 5, mostRows: 8 };

const ONLY_EMBEDDED: ReadonlySet<Theme> = new Set(['seek', 'loss', 'stale']);

/** A process that ends, or what it skipped that comes back, takes with it what it would have told. */
export const UNTOLD = ['lost writes', 'kill', 'stop', 'suspend', 'drain', 'topic remade'] as const;

const at = (wanted: number | undefined, drawn: number): number => wanted ?? drawn;
