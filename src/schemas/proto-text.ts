/**
 * As much of the text of a .proto file as it takes to name a message by its place, and to see its fields:
 *
 *   file    = *( "package" name ";" | message | anything )
 *   message = "message" name "{" *( message | field | anything ) "}"
 *   field   = [ "repeated" | "optional" ] type name "=" number [ "[" ... "]" ] ";"
 *
 * Comments and texts in quotes are nothing. Whatever else there is, is passed over.
 */
export type ProtoField = { readonly isRepeated: boolean; readonly type: string; readonly number: number };

export type ProtoMessage = {
  /** With the package, and the messages around it. */
  readonly fullName: string;
  readonly fields: readonly ProtoField[];
  readonly messages: readonly ProtoMessage[];
};

/** A comment or a text that does not end reaches to the end: looked for again at each sign, it would take the square of the time. */
const TOKEN =
  /\/\/[^\n]*|\/\*(?:[\s\S]*?\*\/|[\s\S]*)|"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|[A-Za-z_.][\w.]*|\d\w*|[^\s\w]/g;
const IGNORED = /^(?:\/\/|\/\*|"|')/;
const MAX_DEPTH = 100;

/** The messages of a file in their order, which is what message indexes count. Never throws. */
export const protoMessages = (text: string): readonly ProtoMessage[] => {
  const tokens = (text.match(TOKEN) ?? []).filter((token) => !IGNORED.test(token));
  const reader = new Reader(tokens);
  return reader.file();
};

/** The message at a path of indexes; null where there is none. */
export const messageAt = (messages: readonly ProtoMessage[], indexes: readonly number[]): ProtoMessage | null => {
  let among = messages;
  let found: ProtoMessage | undefined;
  for (const index of indexes) {
    found = among[index];
    if (found === undefined) return null;
    among = found.messages;
  }
  return found ?? null;
};

class Reader {
  readonly #tokens: readonly string[];
  #at = 0;

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens;
  }

  file(): readonly ProtoMessage[] {
    const messages: ProtoMessage[] = [];
    let scope = '';
    while (this.#at < this.#tokens.length) {
      const token = this.#next();
      if (token === 'package') scope = `${this.#next()}.`;
      else if (token === 'message' && this.#tokens[this.#at + 1] === '{') messages.push(this.#message(scope, 0));
      else if (token === '{') this.#skip('{', '}');
    }
    return messages;
  }

  #next(): string {
    return this.#tokens[this.#at++] ?? '';
  }

  /** Behind `message`. */
  #message(scope: string, depth: number): ProtoMessage {
    const fullName = scope + this.#next();
    this.#next();
    const fields: ProtoField[] = [];
    const messages: ProtoMessage[] = [];
    let statement: string[] = [];
    while (this.#at < this.#tokens.length) {
      const token = this.#next();
      if (token === '}') break;
      if (token === 'message' && statement.length === 0 && this.#tokens[this.#at + 1] === '{') {
        if (depth < MAX_DEPTH) messages.push(this.#message(`${fullName}.`, depth + 1));
        else this.#skip('{', '}');
      } else if (token === '{') {
        // A oneof, an enum, a group: what is in it counts for nothing here.
        this.#skip('{', '}');
        statement = [];
      } else if (token === ';') {
        const field = fieldOf(statement);
        if (field !== null) fields.push(field);
        statement = [];
      } else statement.push(token);
    }
    return { fullName, fields, messages };
  }

  /** Behind the opening sign. */
  #skip(open: string, close: string): void {
    for (let depth = 1; depth > 0 && this.#at < this.#tokens.length; ) {
      const token = this.#next();
      if (token === open) depth++;
      else if (token === close) depth--;
    }
  }
}

const fieldOf = (statement: readonly string[]): ProtoField | null => {
  const rest = statement[0] === 'optional' || statement[0] === 'required' ? statement.slice(1) : statement;
  const isRepeated = rest[0] === 'repeated';
  const [type, , equals, number] = isRepeated ? rest.slice(1) : rest;
  if (type === undefined || equals !== '=' || !/^\d{1,9}$/.test(number ?? '')) return null;
  return { isRepeated, type, number: Number(number) };
};
