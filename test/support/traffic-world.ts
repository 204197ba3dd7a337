/** The companies, teams and services whose spans the traffic generator makes up. */

export type ServiceModel = {
  readonly name: string;
  readonly team: string;
  readonly language: string;
  readonly weight: number;
  /** Empty: a worker that serves no HTTP; its spans have no route. */
  readonly routes: readonly string[];
};

export type TenantModel = {
  /** Who pays. */
  readonly tenant: string;
  /** The value of X-Scope-OrgID; null: sent without the header, so the default tenant pays. */
  readonly header: string | null;
  readonly weight: number;
  readonly environments: readonly { readonly name: string; readonly weight: number }[];
  readonly services: readonly ServiceModel[];
  /** Writes raw paths where routes belong: a new series with nearly every span. */
  readonly longTail: boolean;
};

export const DEFAULT_TENANT = 'single-tenant';

/** The dimensions that the traffic is made for, as `overrides.defaults.cost_attribution.dimensions`. */
export const DIMENSIONS: Readonly<Record<string, string>> = {
  'resource.service.name': 'service',
  'resource.team.name': 'team',
  'resource.deployment.environment.name': 'env',
  'span.http.route': 'route',
};

const MOSTLY_PRODUCTION = [
  { name: 'production', weight: 8 },
  { name: 'staging', weight: 2 },
];

function service(
  name: string,
  team: string,
  language: string,
  weight: number,
  routes: readonly string[],
): ServiceModel {
  return { name, team, language, weight, routes };
}

export const TENANTS: readonly TenantModel[] = [
  {
    tenant: 'acme-retail',
    header: 'acme-retail',
    weight: 10,
    environments: MOSTLY_PRODUCTION,
    longTail: false,
    services: [
      service('storefront', 'web', 'nodejs', 6, ['/', '/products/{id}', '/cart', '/checkout', '/account/orders']),
      service('catalog', 'web', 'go', 4, ['/v1/products', '/v1/products/{id}', '/v1/categories/{slug}']),
      service('cart', 'checkout', 'java', 3, ['/carts/{cart}', '/carts/{cart}/items']),
      service('payments', 'checkout', 'java', 2, ['/payments', '/payments/{id}/capture', '/payments/{id}/refund']),
      service('mailer', 'messaging', 'python', 1, []),
    ],
  },
  {
    tenant: 'globex-payments',
    header: 'globex-payments',
    weight: 6,
    environments: [...MOSTLY_PRODUCTION, { name: 'sandbox', weight: 1 }],
    longTail: false,
    services: [
      service('ledger-api', 'core', 'go', 5, ['/transfers', '/transfers/{id}', '/accounts/{iban}/balance']),
      service('fraud-scoring', 'risk', 'python', 3, ['/score']),
      service('settlement', 'core', 'java', 2, []),
    ],
  },
  {
    tenant: 'initech-search',
    header: 'initech-search',
    weight: 4,
    environments: [{ name: 'production', weight: 1 }],
    longTail: true,
    services: [service('query-frontend', 'search', 'rust', 4, ['/search']), service('indexer', 'ingest', 'cpp', 1, [])],
  },
  {
    tenant: 'Umbrella_IoT.eu-1',
    header: 'Umbrella_IoT.eu-1',
    weight: 3,
    environments: [
      { name: 'production', weight: 3 },
      { name: '"edge"\\lab\nB', weight: 1 },
    ],
    longTail: false,
    services: [
      service('device-gateway', 'fleet', 'erlang', 3, ['/devices/{id}/telemetry', '/devices/{id}/commands']),
      service('Zähler-Dienst', 'metering', 'dotnet', 1, ['/zähler/{id}']),
    ],
  },
  {
    tenant: DEFAULT_TENANT,
    header: null,
    weight: 2,
    environments: [{ name: 'production', weight: 1 }],
    longTail: false,
    services: [service('legacy-monolith', 'platform', 'php', 1, ['/index.php', '/admin.php', '/api.php'])],
  },
];
