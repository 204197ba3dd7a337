/**
 * How late the event loop is, under the names that prom-client gives it. Its own look is a timer of 10 ms, which is
 * most of what wakes an idle process, and tells the 10 ms as lag.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Gauge, type Registry } from 'prom-client';

const EVERY_MS = 50;
/** For prom-client's own timer, which cannot be left out: it does not come in the life of a process. */
export const NEVER_MS = 2 ** 31 - 1;

/** In place of those that prom-client has registered. The timer does not keep the process. */
export const observeLoopLag = (registry: Registry): void => {
  const delay = monitorEventLoopDelay({ resolution: EVERY_MS });
  delay.enable();
  const seconds = (nanoseconds: number): number =>
    delay.count === 0 ? 0 : Math.max(0, nanoseconds / 1e9 - EVERY_MS / 1e3);
  const gauge = (name: string, help: string, collect?: () => void): Gauge => {
    registry.removeSingleMetric(name);
    return new Gauge({ name, help, registers: [registry], ...(collect === undefined ? {} : { collect }) });
  };
  const part = (which: string, help: string): Gauge =>
    gauge(`nodejs_eventloop_lag_${which}_seconds`, `${help} of the delays of the event loop since the last scrape.`);
  const now = gauge('nodejs_eventloop_lag_seconds', 'Lag of event loop in seconds.', () => {
    const beganMs = performance.now();
    setImmediate(() => now.set((performance.now() - beganMs) / 1e3));
    min.set(seconds(delay.min));
    max.set(seconds(delay.max));
    mean.set(seconds(delay.mean));
    stddev.set(delay.count === 0 ? 0 : delay.stddev / 1e9);
    for (const [percentile, of] of percentiles) of.set(seconds(delay.percentile(percentile)));
    delay.reset();
  });
  const min = part('min', 'The least');
  const max = part('max', 'The longest');
  const mean = part('mean', 'The mean');
  const stddev = part('stddev', 'The standard deviation');
  const percentiles = [50, 90, 99].map((one) => [one, part(`p${one}`, `The ${one}th percentile`)] as const);
};
