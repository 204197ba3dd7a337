/**
 * Which attribute becomes which label: Tempo's `dimensions` map, `[scope.]attribute` -> label name or nothing. In the
 * place of the name there may be a rule with extras.
 */
import { type Extras, patternProblem } from './extras.ts';

export type Dimension = {
  readonly attribute: string;
  /** Where the attribute is looked for. `any`: in the resource, and a span's own overwrites it. */
  readonly scope: 'any' | 'resource' | 'span';
  /** The label's name, as it is exposed. */
  readonly label: string;
  readonly extras?: Extras;
};

/** A label's name (empty: the attribute's) and what is done with its values. */
export type DimensionRule = Extras & { readonly label: string };

/** `duplicate`: two dimensions on one label. `key`: the entry of the map. `text`: for the operator; Tempo's own words where Tempo refuses it too. */
export type DimensionProblem = {
  readonly kind: 'duplicate' | 'name' | 'regex';
  readonly key: string;
  readonly text: string;
};

export type ParsedDimensions = {
  /** In the order of the file. Empty where there is a problem. */
  readonly dimensions: readonly Dimension[];
  readonly problems: readonly DimensionProblem[];
};

export type DimensionOptions = {
  /**
   * Two dimensions on one label. `refuse`: a problem, as for the tenants of an overrides file. `allow`: the later one
   * in the file that has a value wins, as in static defaults.
   */
  readonly sharedLabels: 'refuse' | 'allow';
  /** What problems call the map. */
  readonly path?: string;
};

const TENANT_LABEL = 'tenant';
const TRACKER_LABEL = 'tracker';

/** Never throws; all problems at once, in the order of the file. */
export function parseDimensions(
  entries: Iterable<readonly [key: string, rule: string | DimensionRule]>,
  options: DimensionOptions,
): ParsedDimensions {
  const path = options.path ?? 'cost_attribution.dimensions';
  const dimensions: Dimension[] = [];
  const problems: DimensionProblem[] = [];
  const keyOfLabel = new Map<string, string>();
  for (const [key, rule] of entries) {
    const { attribute, scope } = parseKey(key);
    const { label: name, ...extras } = typeof rule === 'string' ? { label: rule } : rule;
    const label = sanitizeLabelName(name === '' ? attribute : name);
    const other = keyOfLabel.get(label);
    if (other !== undefined && options.sharedLabels === 'refuse') {
      const text = `${path} has duplicate label name: '${label}', both '${other}' and '${key}' map to it`;
      problems.push({ kind: 'duplicate', key, text });
    }
    keyOfLabel.set(label, key);
    const refusal = refuseLabel(label, path);
    if (refusal !== null) problems.push({ kind: 'name', key, text: refusal });
    const wrong = extras.regex === undefined ? null : patternProblem(extras.regex);
    if (wrong !== null) problems.push({ kind: 'regex', key, text: `${path}: the regex of '${key}' ${wrong}` });
    dimensions.push({ attribute, scope, label, ...(Object.keys(extras).length === 0 ? {} : { extras }) });
  }
  return { dimensions: problems.length === 0 ? dimensions : [], problems };
}

/** Strips one `resource.` or `span.`; what follows may be anything, also nothing or another prefix. */
function parseKey(key: string): Pick<Dimension, 'attribute' | 'scope'> {
  if (key.startsWith('resource.')) return { attribute: key.slice('resource.'.length), scope: 'resource' };
  if (key.startsWith('span.')) return { attribute: key.slice('span.'.length), scope: 'span' };
  return { attribute: key, scope: 'any' };
}

/** A label name that Prometheus accepts, by Tempo's rule: `_` for what it does not, code point by code point. */
export function sanitizeLabelName(name: string): string {
  if (name === '') return '_';
  return name.replace(/[^A-Za-z0-9_]/gu, '_').replace(/^[0-9]/, '_');
}

function refuseLabel(label: string, path: string): string | null {
  if (label.startsWith('__')) return `${path} config has invalid label name: '${label}'`;
  if (label === TENANT_LABEL || label === TRACKER_LABEL) {
    return `${path} config has reserved label name: '${label}', every series has one of that name already`;
  }
  return null;
}
