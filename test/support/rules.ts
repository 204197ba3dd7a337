/** The shipped rule files: what is in them, and copies for promtool's tests. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';

export const RULES = join(import.meta.dirname, '../../helm/tracetally/files/rules');

export type Alert = {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
};
export type Recording = {
  readonly record: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
};
export type RuleGroup = {
  readonly name: string;
  readonly interval?: string;
  readonly rules: readonly (Alert | Recording)[];
};
export type RuleFile = { readonly groups: readonly RuleGroup[] };

export const ruleFiles = (): readonly string[] => readdirSync(RULES).filter((name) => name.endsWith('.yaml'));

export const ruleText = (file: string): string => readFileSync(join(RULES, file), 'utf8');

const rulesIn = (files: readonly string[]): (Alert | Recording)[] =>
  files.flatMap((file) => (parse(ruleText(file)) as RuleFile).groups.flatMap(({ rules }) => rules));

export const alerts = (files = ruleFiles()): readonly Alert[] => rulesIn(files).filter((rule) => 'alert' in rule);

export const recordings = (files = ruleFiles()): readonly Recording[] =>
  rulesIn(files).filter((rule) => 'record' in rule);

/** Where an alert's entry is, as its `runbook_url` has to say. */
export const runbookUrl = (alert: string): string => `docs/runbooks.md#${alert.toLowerCase()}`;

const VALUE = /\{\{\s*\$value[^}]*\}\}/g;

/** The file with another text for the value in annotations: a test then knows them from the labels alone. */
export const withoutValues = (text: string): string => {
  const file = parse(text) as RuleFile;
  for (const { rules } of file.groups)
    for (const rule of rules) {
      if (!('annotations' in rule)) continue;
      const annotations = rule.annotations as Record<string, string>;
      for (const [name, annotation] of Object.entries(annotations))
        annotations[name] = annotation.replace(VALUE, 'VALUE');
    }
  return stringify(file);
};

/** Groups (all, or those of these names) evaluated at another interval: days then pass in seconds, or minutes do. */
export const evaluatedEvery = (text: string, interval: string, names?: readonly string[]): string => {
  const groups = (parse(text) as RuleFile).groups.filter(({ name }) => names?.includes(name) ?? true);
  return stringify({ groups: groups.map((group) => ({ ...group, interval })) });
};

/** What Prometheus makes of such annotations. */
export const rendered = (
  annotations: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
): Record<string, string> =>
  Object.fromEntries(
    Object.entries(annotations).map(([name, text]) => [
      name,
      text.replace(VALUE, 'VALUE').replace(/\{\{\s*\$labels\.(\w+)\s*\}\}/g, (_, label: string) => labels[label] ?? ''),
    ]),
  );

export type Labels = Readonly<Record<string, string>>;

/** One alert, on series one sample a minute: silent at one time, firing with these labels alone at another. */
export type AlertCase = {
  readonly alert: string;
  /** As in promtool: `tracetally_lag_seconds{topic="t"}` -> `0x10 300x60`. */
  readonly series: Readonly<Record<string, string>>;
  readonly silentAt: string;
  readonly firesAt: string;
  /** Without `severity` and `alertname`. */
  readonly firing: readonly Labels[];
  /** Between two samples; default 1m. */
  readonly every?: string;
};

/** A promtool test of a case. Throws where there is no such alert. */
export const promtoolTest = (one: AlertCase): object => {
  const alert = alerts().find((rule) => rule.alert === one.alert);
  if (alert === undefined) throw new Error(`there is no alert ${one.alert}`);
  const expected = one.firing.map((labels) => {
    const all = { ...labels, ...alert.labels };
    return { exp_labels: all, exp_annotations: rendered(alert.annotations, all) };
  });
  return {
    name: one.alert,
    interval: one.every ?? '1m',
    input_series: Object.entries(one.series).map(([series, values]) => ({ series, values })),
    alert_rule_test: [
      { eval_time: one.silentAt, alertname: one.alert, exp_alerts: [] },
      { eval_time: one.firesAt, alertname: one.alert, exp_alerts: expected },
    ],
  };
};
