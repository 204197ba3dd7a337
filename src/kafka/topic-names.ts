/** What a source is told to read: names of topics, and patterns, which begin with `^` and stand for all that match. */
import type { TopicInfo } from './port.ts';

export const isPattern = (wanted: string): boolean => wanted.startsWith('^');

/** Whether a topic is wanted. Patterns do not match topics of Kafka's own, whose names begin with two underscores. */
export const matcherOf = (wanted: readonly string[]): ((topic: string) => boolean) => {
  const names = new Set(wanted.filter((one) => !isPattern(one)));
  const patterns = wanted.filter(isPattern).map((one) => new RegExp(one, 'u'));
  return (topic) => names.has(topic) || (!topic.startsWith('__') && patterns.some((pattern) => pattern.test(topic)));
};

/** Names, and patterns, without a topic among those found. */
export const unmatched = (wanted: readonly string[], found: readonly TopicInfo[]): readonly string[] =>
  wanted.filter((one) => {
    const matches = matcherOf([one]);
    return !found.some(({ name }) => matches(name));
  });
