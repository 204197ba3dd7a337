/**
 * `/status` and what is below it, in the form of Grafana Tempo's: text for people, secrets masked.
 *
 *   /status/config      ?mode=diff: what is not the default; ?mode=defaults
 *   /status/overrides   text, or JSON by Accept
 */
import { stringify } from 'yaml';
import type { Values } from '../config/schema.ts';
import { SHOWN_MODES, shownSettings } from '../config/shown.ts';
import type { TenantOverrides } from '../overrides/current.ts';
import type { Answered, Asked, Endpoint } from '../publish/endpoint.ts';
import { table } from '../telemetry/table.ts';
import { VERSION } from '../telemetry/version.ts';
import { inOneLine } from '../telemetry/visible.ts';
import { errorAnswer, jsonAnswer, textAnswer, wantsJson } from './answer.ts';

export type ServiceState = {
  readonly name: string;
  readonly status: 'Starting' | 'Running' | 'Stopping' | 'Failed';
  /** Empty: there is nothing to say. */
  readonly failure: string;
};

export type StatusDeps = {
  readonly values: Values;
  readonly overrides: TenantOverrides;
  readonly services: () => readonly ServiceState[];
  /** All that is answered, also by others: path, methods. */
  readonly endpoints: () => readonly (readonly [path: string, methods: string])[];
};

const DOCS = 'README.md, docs/overrides.md, docs/metrics.md';

const version = (): string =>
  `tracetally, version ${VERSION}\n  node version: ${process.versions.node}\n  platform: ${process.platform}/${process.arch}\n`;

const buildInfo = (): Answered =>
  jsonAnswer({
    version: VERSION,
    revision: '',
    branch: '',
    buildUser: '',
    buildDate: '',
    goVersion: '',
    nodeVersion: process.versions.node,
  });

const isMode = (mode: string): mode is (typeof SHOWN_MODES)[number] =>
  (SHOWN_MODES as readonly string[]).includes(mode);

const config = ({ values }: StatusDeps, { query }: Asked): string | Answered => {
  const mode = query.get('mode') ?? '';
  if (!isMode(mode)) return errorAnswer(400, `unknown value for mode query parameter: ${mode.slice(0, 100)}`);
  return `---\n${stringify(shownSettings(values, mode))}`;
};

const services = ({ services: states }: StatusDeps): string =>
  `${table(
    ['service name', 'status', 'failure case'],
    states().map(({ name, status, failure }) => [name, status, failure]),
  )}\n`;

const endpoints = ({ endpoints: all }: StatusDeps): string =>
  `${table(
    ['name', 'methods'],
    all().toSorted(([a], [b]) => (a < b ? -1 : 1)),
  )}\n\nDocumentation: ${DOCS}\n`;

const overrides = (deps: StatusDeps): string => {
  const { file, sha256, problems, tenants } = deps.overrides.status();
  const lines = [
    file === '' ? 'no file of overrides' : `file: ${inOneLine(file)}`,
    ...(file === '' ? [] : [`sha256 of what is in force: ${sha256}`]),
    ...problems.map((text) => `problem: ${inOneLine(text)}`),
  ];
  const yes = (is: boolean): string => (is ? 'yes' : 'no');
  const rows = tenants.map(({ name, inFile, byUser }) => [name, yes(inFile), yes(byUser)]);
  return `${lines.join('\n')}\n\n${table(['tenant', 'runtime overrides', 'user-configurable overrides'], rows)}\n`;
};

const overridesAsJson = (deps: StatusDeps): Answered => {
  const { file, sha256, problems, tenants } = deps.overrides.status();
  return jsonAnswer({
    now: new Date().toISOString(),
    file,
    sha256,
    problems,
    tenants: tenants.map(({ name, inFile, byUser }) => ({
      name,
      has_runtime_overrides: inFile,
      has_user_configurable_overrides: byUser,
    })),
  });
};

const tenantOverrides = (deps: StatusDeps, { rest: tenant, headers }: Asked): Answered => {
  const { source, entry, user: own, effective } = deps.overrides.describe(tenant);
  const runtime = entry === null ? '' : stringify(entry);
  const none = deps.overrides.hasUsers
    ? 'No user-configurable overrides set'
    : 'User-configurable overrides not enabled';
  const user = own === null ? none : stringify(own);
  if (wantsJson(headers))
    return jsonAnswer({
      now: new Date().toISOString(),
      tenant,
      source,
      runtime_overrides: runtime,
      user_configurable_overrides: user,
      effective,
    });
  const lines = [
    `Overrides of the tenant ${inOneLine(tenant)}`,
    `\nUser-configurable overrides\n${user}`,
    `\nRuntime overrides (${source})\n${runtime}`,
    `In force, by tracker\n${stringify(effective)}`,
  ];
  return textAnswer(lines.join('\n'));
};

type Section = (deps: StatusDeps, asked: Asked) => string | Answered;
const SECTIONS: readonly (readonly [name: string, what: string, write: Section])[] = [
  ['version', 'the version', version],
  ['services', 'the parts of the service, and what fails', services],
  ['endpoints', 'what is answered here', endpoints],
  ['overrides', 'tenants with settings of their own, and what is wrong with the file', overrides],
  ['config', 'the configuration; ?mode=diff, ?mode=defaults', config],
];

const headed = (name: string, text: string): string => `GET /status/${name}\n${text}`;

const section = (deps: StatusDeps, [name, what, write]: (typeof SECTIONS)[number]): Endpoint => ({
  path: `/status/${name}`,
  methods: { GET: what },
  answer: (asked) => {
    if (name === 'overrides' && wantsJson(asked.headers)) return overridesAsJson(deps);
    const written = write(deps, asked);
    return typeof written === 'string' ? textAnswer(headed(name, written)) : written;
  },
});

const everything = (deps: StatusDeps, asked: Asked): Answered => {
  const texts: string[] = [];
  for (const [name, , write] of SECTIONS) {
    const written = write(deps, asked);
    if (typeof written !== 'string') return written;
    texts.push(headed(name, written));
  }
  return textAnswer(texts.join('\n'));
};

export const statusPages = (deps: StatusDeps): readonly Endpoint[] => [
  { path: '/status', methods: { GET: 'all of these pages in one' }, answer: (asked) => everything(deps, asked) },
  ...SECTIONS.map((one) => section(deps, one)),
  {
    path: '/status/overrides/',
    methods: { GET: 'the settings of a tenant, and where they come from' },
    answer: (asked) => tenantOverrides(deps, asked),
  },
  { path: '/api/status/buildinfo', methods: { GET: 'the version, as JSON' }, answer: buildInfo },
];
