/** What is in force for tenants: the file, looked at every period, over the configuration. */
import type { Config } from '../config/config.ts';
import { describeTenant, type TenantDescription } from './describe.ts';
import type { Overrides } from './file.ts';
import { type SettingsOf, tenantSettings } from './settings.ts';
import { OverridesFile, type Read } from './source.ts';

/** Told at each look that found something. Must not throw. */
export type WatchOverrides = {
  /** Empty: the file is sound (again). */
  looked(problems: readonly string[]): void;
  taken(overrides: Overrides): void;
};

export type OverridesOptions = {
  readonly config: Config;
  readonly watch: WatchOverrides;
  /** From now on tenants' settings may be others. */
  readonly changed: () => void;
  readonly read?: Read;
};

export type OverridesStatus = {
  /** Empty: there is none. */
  readonly file: string;
  /** Of the content in force. */
  readonly sha256: string;
  /** What is wrong with the file as it is now; what was in force before stays so. */
  readonly problems: readonly string[];
  /** With an entry of their own, sorted. */
  readonly tenants: readonly TenantEntry[];
};

export type TenantEntry = { readonly name: string; readonly inFile: boolean };

export class TenantOverrides {
  readonly #options: OverridesOptions;
  readonly #file: OverridesFile;
  #settings: SettingsOf;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: OverridesOptions) {
    this.#options = options;
    this.#file = new OverridesFile(options.config, options.read);
    this.#settings = tenantSettings(options.config);
  }

  /** In force now. */
  readonly settings: SettingsOf = (tenant) => this.#settings(tenant);

  /** Those of the start must be sound, later ones with a mistake change nothing. */
  start(): void {
    if (this.#file.isNone) return;
    if (!this.#look()) throw new Error('the file of overrides cannot be taken');
    this.#timer = setInterval(() => this.#look(), this.#options.config.overrides.perTenantOverridePeriodMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  status(): OverridesStatus {
    const { blocks, sha256 } = this.#file.current;
    const names = [...blocks.keys()].sort();
    return {
      file: this.#options.config.overrides.perTenantOverrideConfig,
      sha256,
      problems: this.#file.problems,
      tenants: names.map((name) => ({ name, inFile: true })),
    };
  }

  describe(tenant: string): TenantDescription {
    return describeTenant(this.#file.current, tenant, this.#settings(tenant));
  }

  /** Whether the file is sound. */
  #look(): boolean {
    const { changed, problems } = this.#file.look();
    this.#options.watch.looked(problems);
    if (changed === null) return problems.length === 0;
    this.#settings = tenantSettings(this.#options.config, changed);
    this.#options.changed();
    this.#options.watch.taken(changed);
    return true;
  }
}
