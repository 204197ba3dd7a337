/** What a seed decides before a schedule begins: sizes, settings, and which kinds of trouble may come. */
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
  'kafka away',
  'leader lags',
  'rebalance',
  'commit moved',
  'commit expired',
  'partition added',
  'topic remade',
] as const;
/** Trouble, or a setting, that changes what is to be expected; a schedule has at most one. */
export const THEMES = ['none', 'retention', 'cut', 'loss', 'limits', 'tenants', 'bomb', 'from end', 'stale'] as const;

export type Trouble = (typeof COMMON)[number];
export type Theme = (typeof THEMES)[number];

export type Plan = {
  readonly theme: Theme;
  readonly troubles: ReadonlySet<Trouble>;
  readonly partitions: number;
  readonly replicas: number;
  readonly trafficMs: number;
  readonly flushIntervalMs: number;
  readonly limit: number;
  readonly services: number;
  readonly staleS: number;
  readonly maxTenantsPerShard: number;
  readonly fromBeginning: boolean;
  readonly onLoss: OnLoss;
  readonly isCareless: boolean;
  /** Every replica publishes, and is scraped. */
  readonly publishing: boolean;
};

export type PlanLimits = {
  /** Only these troubles. */
  readonly troubles?: readonly Trouble[];
  readonly theme?: Theme;
  readonly trafficMs?: number;
  readonly publishing?: boolean;
  /** A real server: it keeps its writes and its time. */
  readonly realServer?: boolean;
};

export const planOf = (random: Random, limits: PlanLimits): Plan => {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const drawn = random() < 0.4 ? 'none' : pick(THEMES);
  const theme = limits.theme ?? drawn;
  const troubles = COMMON.filter(() => random() < 0.65).filter((trouble) => limits.troubles?.includes(trouble) ?? true);
  const onLoss = pick(['continue', 'recount', 'stop'] as const);
  const drawnLimit = 1 + Math.floor(random() * 2 * SERVICES);
  const careless = random() < 0.3;
  const isPublishing = random() < 0.2 || theme === 'stale';
  const publishing = (limits.publishing ?? isPublishing) && !limits.realServer;
  const trafficMs = 8_000 + random() * 22_000 + (publishing ? 15_000 : 0);
  const limit = publishing && random() < 0.7 ? Math.max(drawnLimit, SERVICES) : drawnLimit;
  const usable = new Set(troubles);
  if (limits.realServer) usable.delete('lost writes');
  if (theme === 'cut' || theme === 'loss') usable.delete('topic remade');
  return {
    theme: limits.realServer && (theme === 'loss' || theme === 'stale') ? 'none' : theme,
    troubles: usable,
    partitions: 1 + Math.floor(random() * 3),
    replicas: 1 + Math.floor(random() * 3),
    trafficMs: Math.min(trafficMs, limits.trafficMs ?? Number.POSITIVE_INFINITY),
    flushIntervalMs: 500 + Math.floor(random() * 4500),
    limit: theme === 'bomb' ? 3 + Math.floor(limit / 4) : limit,
    services: 2 + Math.floor(random() * SERVICES),
    staleS: theme === 'stale' ? 6 + Math.floor(random() * 10) : 900,
    maxTenantsPerShard: theme === 'tenants' ? 2 : 1000,
    fromBeginning: theme !== 'from end',
    onLoss: theme === 'loss' ? onLoss : 'continue',
    isCareless: careless && !usable.has('topic remade'),
    publishing,
  };
};
