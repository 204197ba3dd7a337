/**
 * Says of one record where each of its bytes goes and why: for people. Reads it with the scanners of the hot path, and
 * hands out shares by the same rules; test/unit/attribution/explain.test.ts holds the two together.
 */
import { KeySet } from '../otlp/key-set.ts';
import type { Malformed } from '../otlp/malformed.ts';
import { outlineSpans, type SpanOutline } from '../otlp/outline.ts';
import { RewriteScanner } from '../otlp/rewrite.ts';
import { ABSENT, Scanner, type Values } from '../otlp/scan.ts';
import type { Accounting } from './accounting.ts';
import { Spread } from './attribute.ts';
import type { Dimension } from './dimensions.ts';
import { cutUtf8, labelValue, MISSING } from './label-value.ts';
import { compileRecipe, type Recipe } from './recipe.ts';
import { temposShares } from './tempo-attribute.ts';

export type ExplainedLabel = {
  readonly label: string;
  readonly value: string;
  /** The attribute that it was taken from, and where that was; null: it is missing, or the dimension's default. */
  readonly attribute: string | null;
  readonly from: 'resource' | 'span' | 'default' | null;
  /** The attribute's value, where extras of the dimension made another one of it. */
  readonly original?: string;
};

export type ExplainedSpan = SpanOutline & {
  /** Its own bytes; with `tempo` as Tempo would write it again. */
  readonly own: number;
  /** What of the bytes outside of spans it is given. Below zero only with `tempo`. */
  readonly share: number;
  readonly labels: readonly ExplainedLabel[];
};

/** `rest`: what lies in no span. Without spans it goes to the series of `labels`, with `tempo` nowhere. */
export type ExplainedRegion = {
  readonly rest: number;
  readonly labels: readonly ExplainedLabel[];
  readonly spans: readonly ExplainedSpan[];
};

export type ExplainedRecord = {
  readonly bytes: number;
  /** In no region; part of the regions' `rest`. */
  readonly outside: number;
  readonly regions: readonly ExplainedRegion[];
};

export type ExplainOptions = {
  readonly dimensions: readonly Dimension[];
  readonly accounting: Accounting;
  readonly maxLabelValueLength: number;
};

type Columns = Pick<Values, 'kinds' | 'starts' | 'ends'>;
/** Texts by column; null: absent. */
type Texts = readonly (string | null)[];

/** A key that makes the scanner look into spans also where no dimension asks for one. */
const ANY_SPAN = '\0';

class Explainer {
  readonly regions: ExplainedRegion[] = [];
  outside = 0;
  readonly recipe: Recipe;
  readonly spanKeys: KeySet;
  readonly #value: Buffer;
  readonly #options: ExplainOptions;
  readonly #outlines: Iterator<SpanOutline>;

  constructor(value: Buffer, options: ExplainOptions) {
    this.#value = value;
    this.#options = options;
    this.recipe = compileRecipe([options.dimensions], options.accounting === 'tempo' ? 'level' : 'order');
    this.spanKeys = new KeySet([...this.recipe.spanKeys.keys, ANY_SPAN]);
    this.#outlines = outlineSpans(value, options.accounting === 'tempo')[Symbol.iterator]();
  }

  texts(values: Columns, from: number, columns: number): Texts {
    return Array.from({ length: columns }, (_, column) => {
      const kind = values.kinds[from + column]!;
      if (kind === ABSENT) return null;
      const payload = this.#value.subarray(values.starts[from + column]!, values.ends[from + column]!);
      return labelValue(kind, payload, this.#options.maxLabelValueLength);
    });
  }

  labels(resource: Texts, span: Texts): readonly ExplainedLabel[] {
    const { resourceKeys, spanKeys, trackers } = this.recipe;
    const { labels, sources, ends, extras } = trackers[0]!;
    return labels.map((label, i): ExplainedLabel => {
      for (let at = i === 0 ? 0 : ends[i - 1]!; at < ends[i]!; at++) {
        const source = sources[at]!;
        const original = source >= 0 ? resource[source] : span[~source];
        if (original === null || original === undefined) continue;
        const value = this.#cut(extras?.rewrites[at]?.(original) ?? original);
        if (value === '') continue;
        const attribute = source >= 0 ? resourceKeys.keys[source]! : spanKeys.keys[~source]!;
        const from = source >= 0 ? 'resource' : 'span';
        return { label, value, attribute, from, ...(value === original ? {} : { original }) };
      }
      const fallback = this.#cut(extras?.defaults[i] ?? '');
      if (fallback !== '') return { label, value: fallback, attribute: null, from: 'default' };
      return { label, value: MISSING, attribute: null, from: null };
    });
  }

  #cut(text: string): string {
    return cutUtf8(text, this.#options.maxLabelValueLength);
  }

  span(resource: Texts, texts: Texts, own: number, share: number): ExplainedSpan {
    const outline: SpanOutline = this.#outlines.next().value ?? { name: '', traceId: '', spanId: '' };
    return { ...outline, own, share, labels: this.labels(resource, texts) };
  }
}

const explainExact = (value: Buffer, explainer: Explainer): Malformed | null => {
  const { regions, recipe, spanKeys } = explainer;
  const perRegion = new Spread();
  const perSpan = new Spread();
  let resource: Texts = [];
  let spans: ExplainedSpan[] = [];
  return new Scanner().scan(value, recipe.resourceKeys, {
    record: (count, outside) => {
      explainer.outside = outside;
      if (count > 0) perRegion.start(outside, count);
      else if (outside > 0) regions.push({ rest: outside, labels: explainer.labels([], []), spans: [] });
    },
    region: (values, bytes, count, own) => {
      const rest = bytes + perRegion.next() - own;
      resource = explainer.texts(values, 0, recipe.resourceKeys.size);
      spans = [];
      regions.push({ rest, labels: explainer.labels(resource, []), spans });
      if (count > 0) perSpan.start(rest, count);
      return spanKeys;
    },
    span: (values, own) => {
      const texts = explainer.texts(values, 0, recipe.spanKeys.size);
      spans.push(explainer.span(resource, texts, own, perSpan.next()));
    },
  });
};

const explainTempo = (value: Buffer, explainer: Explainer): Malformed | null => {
  const { regions, recipe, spanKeys } = explainer;
  return new RewriteScanner().scan(value, recipe.resourceKeys, spanKeys, {
    rewritten: (values, { count, sizes, values: spanValues }, rest, firstHolds) => {
      const resource = explainer.texts(values, 0, recipe.resourceKeys.size);
      const { share, first } = temposShares(rest, count, firstHolds);
      const spans = Array.from({ length: count }, (_, i) => {
        const texts = explainer.texts(spanValues, i * spanKeys.size, recipe.spanKeys.size);
        return explainer.span(resource, texts, sizes[i]!, share + (i === 0 ? first : 0));
      });
      regions.push({ rest, labels: explainer.labels(resource, []), spans });
    },
  });
};

/** Never throws. */
export const explainRecord = (value: Buffer, options: ExplainOptions): ExplainedRecord | Malformed => {
  const explainer = new Explainer(value, options);
  const malformed = options.accounting === 'tempo' ? explainTempo(value, explainer) : explainExact(value, explainer);
  if (malformed !== null) return malformed;
  return { bytes: value.length, outside: explainer.outside, regions: explainer.regions };
};
