/** Help, generated from the commands and from the schema of settings. */
import { settingsHelp } from '../config/describe.ts';
import { ROWS } from '../config/schema.ts';
import type { Command, Option } from './command.ts';

const columns = (rows: readonly (readonly [string, string])[]): string => {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
};

const optionRow = ([name, option]: readonly [string, Option]): readonly [string, string] => [
  option.value === undefined ? `--${name}` : `--${name} ${option.value}`,
  option.doc,
];

export const overview = (commands: readonly Command[]): string =>
  `tracetally counts the bytes of OTLP traces in Kafka by tenant and attributes, for Prometheus.

usage: tracetally [COMMAND] [OPTIONS]

commands (serve where none is given):
${columns(commands.map(({ name, summary }) => [name, summary]))}

tracetally COMMAND --help says more. Exit codes: 0 done, 1 a problem was found, 2 wrong usage.`;

/** Of commands of two words that share the first. */
export const groupHelp = (first: string, commands: readonly Command[]): string =>
  `usage: tracetally ${first} COMMAND [OPTIONS]

commands:
${columns(commands.map(({ name, summary }) => [name, summary]))}

tracetally ${first} COMMAND --help says more.`;

const SETTINGS_TEXT = `settings, as keys of the file or as variables of the environment, which come first
(kafka.group_id is TRACETALLY_KAFKA_GROUP_ID; a list is one text with commas). In the file
\${VAR} and \${VAR:default} stand for variables. Durations: 30s, 1h30m, 7d. Sizes: 16MiB or bytes.`;

export const helpOf = (command: Command): string => {
  const options = Object.entries<Option>(command.options).map(optionRow);
  const help: readonly [string, string] = ['--help', 'this text'];
  const settings = command.settings === true ? `\n\n${SETTINGS_TEXT}\n\n${settingsHelp(ROWS)}` : '';
  return `tracetally ${command.name}: ${command.summary}

usage: tracetally ${command.name} [OPTIONS]${command.operands === undefined ? '' : ` ${command.operands}`}

options:
${columns([...options, help])}${settings}`;
};
