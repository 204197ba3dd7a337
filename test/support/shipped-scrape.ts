/** deploy/prometheus.yml, as a test or the demo runs it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';

type ScrapeFile = {
  rule_files?: unknown;
  alerting?: unknown;
  global: { scrape_interval: string };
  scrape_configs: { scrape_timeout?: string; static_configs: { targets: string[] }[] }[];
};

/** The shipped file with other targets (`host:port`), a shorter interval, as in `2s`, other rules, and nobody to send alerts to. */
export function shippedScrapeConfig(
  targets: readonly string[],
  interval: string,
  ruleFiles?: readonly string[],
): string {
  const file = parse(readFileSync(join(import.meta.dirname, '../../deploy/prometheus.yml'), 'utf8')) as ScrapeFile;
  file.global.scrape_interval = interval;
  delete file.rule_files;
  if (ruleFiles !== undefined) file.rule_files = ruleFiles;
  delete file.alerting;
  for (const job of file.scrape_configs) {
    job.scrape_timeout = interval;
    job.static_configs = [{ targets: [...targets] }];
  }
  return stringify(file);
}
