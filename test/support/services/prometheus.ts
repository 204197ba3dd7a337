/** A real Prometheus on 127.0.0.1. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installPrometheus } from './install-prometheus.ts';
import { freePort } from './ports.ts';
import { removeScratch, scratchDirectory, startProcess, waitForAnswer } from './process.ts';

export type PrometheusOptions = {
  /** The whole configuration file, as in `scrape_configs: ...`. */
  readonly configYaml: string;
  readonly args?: readonly string[];
};

export type Labels = Readonly<Record<string, string>>;
export type InstantValue = { readonly labels: Labels; readonly value: number };
export type RangeValues = {
  readonly labels: Labels;
  readonly values: readonly { readonly atS: number; readonly value: number }[];
};

export type Prometheus = {
  readonly url: string;
  readonly dir: string;
  /** An instant query, at `atS` (unix seconds) or now; for vectors. */
  query(promql: string, atS?: number): Promise<readonly InstantValue[]>;
  queryRange(
    promql: string,
    range: { readonly startS: number; readonly endS: number; readonly stepS: number },
  ): Promise<readonly RangeValues[]>;
  /** The samples of a selector as they were stored, of the `rangeS` seconds before now. */
  samples(selector: string, rangeS: number): Promise<readonly RangeValues[]>;
  /** The series that match a selector and had samples in the range. */
  series(selector: string, range: { readonly startS: number; readonly endS: number }): Promise<readonly Labels[]>;
  /** Of each target: its address, `up`, `down` or `unknown`, and the last error. */
  targets(): Promise<readonly { readonly instance: string; readonly health: string; readonly lastError: string }[]>;
  log(): string;
  stop(): Promise<void>;
};

export async function startPrometheus(options: PrometheusOptions): Promise<Prometheus> {
  const tools = await installPrometheus();
  const dir = scratchDirectory('prometheus');
  const port = await freePort();
  const file = join(dir, 'prometheus.yml');
  writeFileSync(file, options.configYaml);
  const child = await startProcess({
    name: 'prometheus',
    command: tools.prometheus,
    args: [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(dir, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      ...(options.args ?? []),
    ],
    logFile: join(dir, 'prometheus.log'),
    cwd: dir,
  });
  const url = `http://127.0.0.1:${port}`;
  const stop = async () => {
    await child.stop();
    removeScratch(dir);
  };
  try {
    await waitForAnswer(child, () => untilOk(`${url}/-/ready`), 30_000);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, dir, ...api(url), log: () => child.log(), stop };
}

async function untilOk(url: string): Promise<void> {
  const { ok, status } = await fetch(url);
  if (!ok) throw new Error(`${url} answered ${status}`);
}

type Sample = readonly [number, string];
type VectorItem = { readonly metric: Labels; readonly value: Sample };
type MatrixItem = { readonly metric: Labels; readonly values: readonly Sample[] };
type Target = { readonly labels: { readonly instance: string }; readonly health: string; readonly lastError: string };

function api(url: string): Pick<Prometheus, 'query' | 'queryRange' | 'samples' | 'series' | 'targets'> {
  return {
    query: async (promql, atS) => {
      const data = await ask<{ result: VectorItem[] }>(url, 'query', {
        query: promql,
        ...(atS === undefined ? {} : { time: String(atS) }),
      });
      return data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
    },
    queryRange: async (promql, { startS, endS, stepS }) => {
      const data = await ask<{ result: MatrixItem[] }>(url, 'query_range', {
        query: promql,
        start: String(startS),
        end: String(endS),
        step: String(stepS),
      });
      return data.result.map(rangeOf);
    },
    samples: async (selector, rangeS) => {
      const data = await ask<{ result: MatrixItem[] }>(url, 'query', { query: `${selector}[${Math.ceil(rangeS)}s]` });
      return data.result.map(rangeOf);
    },
    series: (selector, { startS, endS }) =>
      ask<Labels[]>(url, 'series', { 'match[]': selector, start: String(startS), end: String(endS) }),
    targets: async () => {
      const data = await ask<{ activeTargets: Target[] }>(url, 'targets', {});
      return data.activeTargets.map(({ labels, health, lastError }) => ({
        instance: labels.instance,
        health,
        lastError,
      }));
    },
  };
}

function rangeOf({ metric, values }: MatrixItem): RangeValues {
  return { labels: metric, values: values.map(([atS, value]) => ({ atS, value: Number(value) })) };
}

async function ask<T>(url: string, path: string, parameters: Readonly<Record<string, string>>): Promise<T> {
  const response = await fetch(`${url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const answer = (await response.json()) as { status: string; error?: string; data: T };
  if (answer.status !== 'success')
    throw new Error(`prometheus refused ${path} ${JSON.stringify(parameters)}: ${answer.error}`);
  return answer.data;
}
