/** Reads Prometheus's text format, as a scraper does. */

export type Sample = {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
};

/**
 * The samples of an exposition, in its order. Throws on a line that is none, and on a series that comes twice:
 *
 *   line   = name [ "{" [ pair { "," pair } [ "," ] ] "}" ] " " value [ " " timestamp ]
 *   pair   = label "=" '"' { character | "\\" | "\"" | "\n" } '"'
 *   value  = as Go's ParseFloat takes it, so `Nan` too
 */
export function parseExposition(text: string): Sample[] {
  const samples: Sample[] = [];
  const seen = new Set<string>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const match = LINE.exec(line);
    if (match === null) throw new Error(`not a line of an exposition: ${line}`);
    const [, name, inner = '', value] = match;
    const labels: Record<string, string> = {};
    for (const [, label, escaped] of inner.matchAll(PAIR)) labels[label!] = unescaped(escaped!);
    const identity = name + JSON.stringify(Object.entries(labels).sort());
    if (seen.has(identity)) throw new Error(`shown twice: ${line}`);
    seen.add(identity);
    samples.push({ name: name!, labels, value: Number(value) });
  }
  return samples;
}

const LINE =
  /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? ([Nn]a[Nn]|[+-]Inf|[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)(?: -?[0-9]+)?$/;
const PAIR = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"/g;

function unescaped(escaped: string): string {
  return escaped.replaceAll(/\\(.)/g, (_all, character: string) => (character === 'n' ? '\n' : character));
}
