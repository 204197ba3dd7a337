/** The seam to a schema registry: what is asked of one. Types and errors only. */

/** The id that a frame carries: a number, or a GUID as 32 hex digits. */
export type SchemaId = number | string;

export type RegisteredSchema = {
  /** As the registry calls it: PROTOBUF, JSON, AVRO or another word. */
  readonly type: string;
  readonly text: string;
};

export type SchemaRegistry = {
  /** Null: the registry does not have it. Rejects with `RegistryUnavailable` for everything else, in bounded time. Asks once. */
  lookup(id: SchemaId): Promise<RegisteredSchema | null>;
  /** Rejects where nobody answers as a registry does. */
  probe(): Promise<void>;
};

/** No answer, or none that a registry gives. The message says the way out where there is one. */
export class RegistryUnavailable extends Error {
  readonly code = 'REGISTRY_UNAVAILABLE';
  override readonly name = 'RegistryUnavailable';
}
