/**
 * What is in force for tenants: what they set for themselves, over the file, over the configuration. The file is looked at
 * every period, what is stored every poll interval; what cannot be read or taken changes nothing.
 */
import type { Config } from '../config/config.ts';
import { describeTenant, effectiveOf, type TenantDescription } from './describe.ts';
import type { Overrides } from './file.ts';
import { ANY_TENANT } from './file.ts';
import { type SettingsOf, tenantSettings } from './settings.ts';
import { OverridesFile, type Read } from './source.ts';
import type { UserDocument } from './user-document.ts';
import { type DocumentStore, UserOverrides } from './user-source.ts';

/** Told at each look. Must not throw. */
export type WatchOverrides = {
  /** Empty: the file is sound (again). */
  looked(problems: readonly string[]): void;
  taken(overrides: Overrides): void;
  /** Empty: what is stored was read, and all of it can be taken. */
  userLooked(problems: readonly string[]): void;
  userTaken(tenants: number): void;
};

export type OverridesOptions = {
  readonly config: Config;
  /** Where tenants' own settings are stored; null: they set none. */
  readonly store?: DocumentStore | null;
  readonly watch: WatchOverrides;
  /** From now on tenants' settings may be others. */
  readonly changed: () => void;
  readonly read?: Read;
  /** Monotonic. */
  readonly nowMs?: () => number;
};

export type OverridesStatus = {
  /** Empty: there is none. */
  readonly file: string;
  /** Of the content in force. */
  readonly sha256: string;
  /** What is wrong with the file, or with what is stored, as it is now; what was in force before stays so. */
  readonly problems: readonly string[];
  /** With settings of their own, sorted. */
  readonly tenants: readonly TenantEntry[];
};

export type TenantEntry = { readonly name: string; readonly inFile: boolean; readonly byUser: boolean };

export class TenantOverrides {
  readonly #options: OverridesOptions;
  readonly #file: OverridesFile;
  readonly #user: UserOverrides | null;
  #settings: SettingsOf;
  #fileTimer: NodeJS.Timeout | undefined;
  #userTimer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
  /** Why what is stored could not be read at the last look; empty: it was. */
  #unread: readonly string[] = [];
  #isStopped = false;

  constructor(options: OverridesOptions) {
    const { config, store = null, read, nowMs = () => performance.now() } = options;
    this.#options = options;
    this.#file = new OverridesFile(config, read);
    this.#user = store === null ? null : new UserOverrides(store, nowMs);
    this.#settings = tenantSettings(config);
  }

  /** In force now. */
  readonly settings: SettingsOf = (tenant) => this.#settings(tenant);

  get hasUsers(): boolean {
    return this.#user !== null;
  }

  /** The file of the start must be sound, later ones with a mistake change nothing. */
  start(): void {
    if (this.#file.isNone) return;
    if (!this.#lookAtFile()) throw new Error('the file of overrides cannot be taken');
    this.#fileTimer = setInterval(() => this.#lookAtFile(), this.#options.config.overrides.perTenantOverridePeriodMs);
  }

  /** Reads what is stored, for the first time: counting by other settings than a tenant's own must not begin. */
  async startUsers(): Promise<void> {
    if (this.#user === null) return;
    await this.#lookAtUsers(this.#user);
    const again = (): void => {
      if (this.#isStopped) return;
      this.#userTimer = setTimeout(
        () => void this.lookAgain().finally(again),
        this.#options.config.overrides.userConfigurable.pollIntervalMs,
      );
    };
    again();
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#fileTimer);
    clearTimeout(this.#userTimer);
  }

  /** What is stored, as it is now or a little later. Never rejects. One look at a time, so that none is overtaken. */
  lookAgain(): Promise<void> {
    const user = this.#user;
    if (user === null) return Promise.resolve();
    this.#looking = this.#looking.then(() => this.#lookAtUsers(user)).catch(() => {});
    return this.#looking;
  }

  status(): OverridesStatus {
    const { blocks, sha256 } = this.#file.current;
    const users = this.#user?.blocks ?? new Map();
    const names = [...new Set([...blocks.keys(), ...users.keys()])].sort();
    return {
      file: this.#options.config.overrides.perTenantOverrideConfig,
      sha256,
      problems: [...this.#file.problems, ...this.#unread, ...(this.#user?.problems ?? [])],
      tenants: names.map((name) => ({ name, inFile: blocks.has(name), byUser: users.has(name) })),
    };
  }

  describe(tenant: string): TenantDescription {
    const user = this.#user?.blocks.get(tenant) ?? null;
    return describeTenant(this.#file.current, tenant, user, this.#settings(tenant));
  }

  /** What would be in force for a tenant with that document. */
  effectiveWith(tenant: string, { block }: UserDocument): Readonly<Record<string, object>> {
    const settings = tenantSettings(this.#options.config, this.#file.current, new Map([[tenant, block]]));
    return effectiveOf(settings(tenant));
  }

  /** Whether the operator set dimensions for the tenant: by its own entry or the wildcard's. */
  hasRuntimeDimensions(tenant: string): boolean {
    const { blocks } = this.#file.current;
    const block = blocks.get(tenant) ?? blocks.get(ANY_TENANT);
    return [...(block?.values() ?? [])].some(({ dimensions }) => (dimensions?.length ?? 0) > 0);
  }

  /** Whether the file is sound. */
  #lookAtFile(): boolean {
    const { changed, problems } = this.#file.look();
    this.#options.watch.looked(problems);
    if (changed === null) return problems.length === 0;
    this.#apply();
    this.#options.watch.taken(changed);
    return true;
  }

  async #lookAtUsers(user: UserOverrides): Promise<void> {
    try {
      const isOther = await user.look();
      this.#unread = [];
      if (isOther) {
        this.#apply();
        this.#options.watch.userTaken(user.blocks.size);
      }
    } catch (error) {
      this.#unread = [`what tenants set for themselves cannot be read: ${(error as Error).message}`];
      throw error;
    } finally {
      this.#options.watch.userLooked([...this.#unread, ...user.problems]);
    }
  }

  #apply(): void {
    this.#settings = tenantSettings(this.#options.config, this.#file.current, this.#user?.blocks);
    this.#options.changed();
  }
}
