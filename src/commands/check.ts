/** `check`: everything that is wrong, before the service meets it. */
import type { Config } from '../config/config.ts';
import { CONFIG_OPTION, type Command, checkedConfig, type Io, refuse } from './command.ts';
import { examineKafka, examineLedger, examineRegistry, type Remark } from './examine.ts';

const MARK = { good: 'ok', warn: 'warning', refuse: 'problem' } as const;

const connect = async (config: Config, io: Io): Promise<number> => {
  const tell = (remarks: readonly Remark[]): number => {
    for (const { severity, text } of remarks) io.out(`${MARK[severity]}: ${text}`);
    return remarks.some(({ severity }) => severity === 'refuse') ? 1 : 0;
  };
  const kafka = tell(await examineKafka(config));
  const registry = tell(await examineRegistry(config));
  const ledger = tell(await examineLedger(config));
  return Math.max(kafka, registry, ledger);
};

export const check: Command = {
  name: 'check',
  summary: 'lists every problem of the configuration',
  options: {
    ...CONFIG_OPTION,
    connect: { type: 'boolean', doc: 'also look at Kafka, Redis and the schema registry' },
  },
  settings: true,
  run: async (values, io) => {
    const checked = checkedConfig(values, io);
    if ('problems' in checked) return refuse(checked.problems, io);
    for (const warning of checked.warnings) io.err(`warning: ${warning}`);
    io.out('ok: the configuration');
    return values.connect === true ? connect(checked.config, io) : 0;
  },
};
