/** The configuration that the service works with: checked, complete, frozen, units in the names. */
import type { DimensionEntries } from './dimension-rules.ts';
import type { TrackerConfig, TrackerDefaults } from './trackers.ts';

/** Contents of the files (PEM); null: not given. */
export type Tls = { readonly ca: string | null; readonly cert: string | null; readonly key: string | null };

/** Contents of the files (PEM). */
export type ServerTls = { readonly cert: string; readonly key: string };

export type ServerFiles = {
  readonly adminToken: string;
  readonly metricsToken: string;
  readonly cert: string;
  readonly key: string;
};

export type Sasl = {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
  readonly username: string;
  readonly password: string;
};

export type HostPort = { readonly host: string; readonly port: number };

/** Where the ledger is. */
export type RedisServer =
  | { readonly kind: 'embedded' }
  | { readonly kind: 'single'; readonly host: string; readonly port: number; readonly database: number }
  | { readonly kind: 'cluster'; readonly nodes: readonly HostPort[] }
  | { readonly kind: 'sentinel'; readonly sentinels: readonly HostPort[]; readonly master: string };

export type TenantSource =
  | { readonly kind: 'header'; readonly name: string }
  | { readonly kind: 'key' }
  | { readonly kind: 'topic'; readonly pattern: string }
  | { readonly kind: 'resource'; readonly attribute: string };

export type Encoding = 'auto' | 'otlp_proto' | 'otlp_json' | 'tempo_push_bytes';

export type Config = {
  readonly server: {
    readonly host: string;
    readonly port: number;
    /** Empty: no token is asked for. */
    readonly adminToken: string;
    readonly metricsToken: string;
    /** Null: plain HTTP. */
    readonly tls: ServerTls | null;
    /** Paths of what may change while the service runs; empty: none. */
    readonly files: ServerFiles;
    readonly maxConnections: number;
    readonly maxScrapes: number;
    readonly maxHeaderBytes: number;
    readonly requestTimeoutMs: number;
    readonly answerTimeoutMs: number;
    readonly shutdownTimeoutMs: number;
  };
  readonly kafka: {
    readonly brokers: readonly string[];
    readonly clientId: string;
    readonly groupId: string;
    readonly topics: readonly string[];
    readonly encoding: Encoding;
    /** Of topics with another one. */
    readonly topicEncodings: readonly (readonly [topic: string, encoding: Encoding])[];
    readonly onBadRecord: 'skip' | 'dead_letter' | 'stop';
    /** Reasons of discards for which that is done. */
    readonly badRecordReasons: readonly string[];
    /** Empty: none. */
    readonly deadLetterTopic: string;
    readonly fromBeginning: boolean;
    readonly tls: Tls | null;
    readonly sasl: Sasl | null;
    readonly sessionTimeoutMs: number;
    readonly maxBytesPerPartition: number;
  };
  /** Null: none is asked. */
  readonly schemaRegistry: {
    readonly url: string;
    /** Empty: no login. */
    readonly username: string;
    readonly password: string;
    /** PEM; null: the system's. */
    readonly ca: string | null;
    readonly onUnknownSchema: 'discard' | 'hold';
    readonly timeoutMs: number;
    readonly attempts: number;
    readonly maxRequestsPerSecond: number;
  } | null;
  readonly redis: {
    readonly server: RedisServer;
    /** Empty: none. */
    readonly username: string;
    readonly password: string;
    readonly tls: Tls | null;
    readonly keyPrefix: string;
  };
  readonly ledger: {
    readonly flushIntervalMs: number;
    readonly maxPendingBytes: number;
    readonly onLoss: 'continue' | 'recount' | 'stop';
    readonly maxTenants: number;
    readonly tenantRetentionMs: number;
  };
  readonly tenants: {
    readonly from: readonly TenantSource[];
    /** Empty: a record without a tenant is discarded. */
    readonly default: string;
  };
  readonly usage: {
    readonly accounting: 'exact' | 'tempo';
    readonly costAttribution: {
      readonly enabled: boolean;
      readonly maxCardinality: number;
      readonly staleDurationMs: number;
      /** What becomes of a tenant without dimensions. */
      readonly withoutDimensions: 'count' | 'ignore';
    };
    /** Beside cost attribution. */
    readonly trackers: readonly TrackerConfig[];
    readonly maxLabelValueLengthBytes: number;
  };
  readonly overrides: {
    readonly defaults: {
      readonly costAttribution: {
        /** Attribute and label or rule, in the order of the file. */
        readonly dimensions: DimensionEntries;
        /** 0: the tracker's. */
        readonly maxCardinality: number;
      };
      /** Of `usage.trackers`. */
      readonly trackers: readonly TrackerDefaults[];
    };
    /** File with the settings of tenants. Empty: none. */
    readonly perTenantOverrideConfig: string;
    readonly perTenantOverridePeriodMs: number;
    /** What tenants set for themselves. */
    readonly userConfigurable: {
      readonly enabled: boolean;
      readonly pollIntervalMs: number;
      readonly checkConflicts: boolean;
    };
    readonly merge: 'block' | 'fields';
  };
  readonly publish: {
    readonly metricPrefix: string;
    /** How amounts are printed. */
    readonly numbers: 'plain' | 'go';
    readonly birthHoldMs: number;
    readonly leaseMs: number;
  };
  readonly log: {
    readonly level: 'debug' | 'info' | 'warn' | 'error';
    readonly format: 'json' | 'logfmt' | 'pretty';
  };
};
