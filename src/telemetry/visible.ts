/**
 * Text that comes from records, headers and files, on its way to somebody's terminal: whatever could steer it, hide
 * something or turn its direction is spelled out as \uXXXX. Inside of JSON that is the same text.
 */

/** Controls but for tab and line feed; what turns the direction of text; what ends lines; what nobody sees. */
const UNSEEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

const spelled = (text: string): string =>
  Array.from({ length: text.length }, (_, i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`).join('');

/** Lines stay lines. */
export const harmless = (text: string): string => text.replace(UNSEEN, spelled);

/** The same, and in one line: a value cannot pretend to be the next one. */
export const inOneLine = (text: string): string => harmless(text).replace(/[\n\t]/g, spelled);
