/** Lines of the log for people and for logfmt readers, from the fields of a JSON line. */

type Line = Readonly<Record<string, unknown>>;

const quoted = (value: unknown): string => {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  return text !== '' && /^[^\s"=\\\p{C}]+$/u.test(text) ? text : JSON.stringify(text);
};

/** Nested fields become `outer.inner=...`. */
const pairs = (fields: Line, prefix: string): readonly string[] =>
  Object.entries(fields).flatMap(([key, value]) => {
    const name = prefix + key.replace(/[\s"=\p{C}]/gu, '_');
    const nested = typeof value === 'object' && value !== null && !Array.isArray(value);
    return nested ? pairs(value as Line, `${name}.`) : [`${name}=${quoted(value)}`];
  });

export const renderLogfmt = ({ level, time, msg, ...fields }: Line): string =>
  pairs({ time, level, msg, ...fields }, '').join(' ');

/** `12:00:00.000 INFO  event_name key=value`, by the clock of UTC. */
export const renderPretty = ({ level, time, msg, ...fields }: Line): string =>
  [String(time).slice(11, 23), String(level).toUpperCase().padEnd(5), String(msg), ...pairs(fields, '')].join(' ');
