/**
 * Dimensions made ready for the hot path: which attributes have to be looked for, and for each label where its value
 * comes from, in order. Holds nothing of a tenant, so tenants with the same dimensions share one.
 */
import { KeySet } from '../otlp/key-set.ts';
import type { Dimension } from './dimensions.ts';
import { compileRewrite, type Rewrite } from './extras.ts';

export type TrackerRecipe = {
  /** Names of the exposed labels, sorted, none twice. */
  readonly labels: readonly string[];
  /**
   * Where label i is looked for: sources[j] for j from ends[i - 1] (or 0) to ends[i]; the first that has a value wins.
   * A source s >= 0 is a column of the resource's values, else ~s is one of the span's.
   */
  readonly sources: Int32Array;
  readonly ends: Int32Array;
  /** The labels that a span can change. */
  readonly spanLabels: Int32Array;
  /** Null: values are taken as they are, and what is missing is missing. */
  readonly extras: ExtrasRecipe | null;
};

export type ExtrasRecipe = {
  /** For each source what is made of its values; null: nothing. */
  readonly rewrites: readonly (Rewrite | null)[];
  /** For each label the value where no source has one; empty: it is missing. */
  readonly defaults: readonly string[];
};

export type Recipe = {
  /** Their order is that of the columns. */
  readonly resourceKeys: KeySet;
  readonly spanKeys: KeySet;
  readonly trackers: readonly TrackerRecipe[];
};

/**
 * Of several dimensions on one label: with `order`, the last one that has a value wins; with `level`, a span's values win
 * over the resource's, and among those of one level again the last.
 */
export type Precedence = 'order' | 'level';

/** `trackers`: the dimensions of each. */
export function compileRecipe(trackers: readonly (readonly Dimension[])[], precedence: Precedence): Recipe {
  const all = trackers.flat();
  const resourceKeys = new KeySet(all.filter((d) => d.scope !== 'span').map((d) => d.attribute));
  const spanKeys = new KeySet(all.filter((d) => d.scope !== 'resource').map((d) => d.attribute));
  return {
    resourceKeys,
    spanKeys,
    trackers: trackers.map((dimensions) => compileTracker(dimensions, resourceKeys, spanKeys, precedence)),
  };
}

function compileTracker(
  dimensions: readonly Dimension[],
  resourceKeys: KeySet,
  spanKeys: KeySet,
  precedence: Precedence,
): TrackerRecipe {
  const labels = [...new Set(dimensions.map((dimension) => dimension.label))].sort();
  const sources: number[] = [];
  const ends: number[] = [];
  const spanLabels: number[] = [];
  const rewrites: (Rewrite | null)[] = [];
  const defaults: string[] = [];
  for (const [i, label] of labels.entries()) {
    const own: { readonly source: number; readonly rewrite: Rewrite | null }[] = [];
    const lastFirst = dimensions.filter((d) => d.label === label).reverse();
    for (const { attribute, scope, extras = {} } of lastFirst) {
      const rewrite = compileRewrite(extras);
      if (scope !== 'resource') own.push({ source: ~spanKeys.keys.indexOf(attribute), rewrite });
      if (scope !== 'span') own.push({ source: resourceKeys.keys.indexOf(attribute), rewrite });
    }
    if (precedence === 'level') own.sort((a, b) => Number(a.source >= 0) - Number(b.source >= 0));
    sources.push(...own.map(({ source }) => source));
    rewrites.push(...own.map(({ rewrite }) => rewrite));
    defaults.push(lastFirst.find(({ extras }) => extras?.default !== undefined)?.extras?.default ?? '');
    if (own.some(({ source }) => source < 0)) spanLabels.push(i);
    ends.push(sources.length);
  }
  const isPlain = rewrites.every((rewrite) => rewrite === null) && defaults.every((value) => value === '');
  return {
    labels,
    sources: Int32Array.from(sources),
    ends: Int32Array.from(ends),
    spanLabels: Int32Array.from(spanLabels),
    extras: isPlain ? null : { rewrites, defaults },
  };
}
