/** promtool's tests of the recorded series. */

const U = 'namespace="n",tracker="cost-attribution"';
const usage = (name: string, labels: string, values: string) => ({
  series: `tempo_usage_tracker_${name}{${U},job="u",${labels}}`,
  values,
});
const expected = (expr: string, eval_time: string, samples: Readonly<Record<string, number>>) => ({
  expr,
  eval_time,
  exp_samples: Object.entries(samples).map(([labels, value]) => ({ labels, value })),
});

const RATES = {
  name: 'rates and shares of tenants',
  interval: '1m',
  input_series: [
    usage('tenant_bytes_total', 'tenant="acme"', '0+600x90'),
    // Twenty minutes in, it moves to another replica, and is away for two scrapes.
    usage('tenant_bytes_total', 'tenant="globex"', '0+1800x80 stale _ 147600+1800x7'),
    usage('spans_received_total', 'tenant="acme",service="a"', '0+60x90'),
    usage('spans_received_total', 'tenant="acme",service="b"', '0+60x90'),
    usage('overflow_bytes_total', 'tenant="acme"', '0+120x90'),
    usage('active_series', 'tenant="acme"', '30x90'),
    usage('series_limit', 'tenant="acme"', '40x90'),
    usage('bytes_received_total', 'tenant="acme",service="a",team="x"', '0+120x90'),
    usage('bytes_received_total', 'tenant="acme",service="a",team="y"', '0+120x90'),
    usage('bytes_received_total', 'tenant="acme",service="b",team="y"', '0+360x90'),
  ],
  promql_expr_test: [
    expected('tenant:tracetally_usage_bytes:rate5m{tenant="acme"}', '80m', {
      [`tenant:tracetally_usage_bytes:rate5m{${U},tenant="acme"}`]: 10,
    }),
    expected('tenant:tracetally_usage_bytes:rate1h{tenant="acme"}', '80m', {
      [`tenant:tracetally_usage_bytes:rate1h{${U},tenant="acme"}`]: 10,
    }),
    expected('tenant:tracetally_usage_bytes:share1h', '80m', {
      [`tenant:tracetally_usage_bytes:share1h{${U},tenant="acme"}`]: 0.25,
      [`tenant:tracetally_usage_bytes:share1h{${U},tenant="globex"}`]: 0.75,
    }),
    // In the hole and after it.
    expected('round(tenant:tracetally_usage_bytes:share1h{tenant="globex"}, 0.01)', '81m', {
      [`{${U},tenant="globex"}`]: 0.75,
    }),
    expected('round(tenant:tracetally_usage_bytes:share1h{tenant="globex"}, 0.01)', '88m', {
      [`{${U},tenant="globex"}`]: 0.75,
    }),
    expected('tenant:tracetally_usage_spans:rate5m', '80m', {
      [`tenant:tracetally_usage_spans:rate5m{${U},tenant="acme"}`]: 2,
    }),
    expected('tenant:tracetally_usage_overflow_bytes:rate5m', '80m', {
      [`tenant:tracetally_usage_overflow_bytes:rate5m{${U},tenant="acme"}`]: 2,
    }),
    expected('tenant:tracetally_usage_series:limit_used', '80m', {
      [`tenant:tracetally_usage_series:limit_used{${U},tenant="acme"}`]: 0.75,
    }),
    expected('tenant_dimension:tracetally_usage_bytes:rate1h', '80m', {
      [`tenant_dimension:tracetally_usage_bytes:rate1h{${U},tenant="acme",dimension="service",service="a"}`]: 4,
      [`tenant_dimension:tracetally_usage_bytes:rate1h{${U},tenant="acme",dimension="service",service="b"}`]: 6,
    }),
    expected('tenant_dimension:tracetally_usage_bytes:share1h', '80m', {
      [`tenant_dimension:tracetally_usage_bytes:share1h{${U},tenant="acme",dimension="service",service="a"}`]: 0.4,
      [`tenant_dimension:tracetally_usage_bytes:share1h{${U},tenant="acme",dimension="service",service="b"}`]: 0.6,
    }),
  ],
};

const COUNTERS = [
  'bytes_received_total',
  'spans_received_total',
  'tenant_bytes_total',
  'overflow_bytes_total',
  'unattributed_bytes_total',
  'accepted_bytes_total',
  'accepted_records_total',
  'discarded_bytes_total',
  'discarded_records_total',
];
const GAUGES = ['active_series', 'series_limit', 'series_demand_estimate'];

/**
 * One series under three owners, each with its own `instance`: 10 a minute all the while, away for a minute at each
 * hand-over, and the first owner comes back. Raw, increase() counts the value again with each owner.
 */
const owners = (name: string) => [
  usage(name, 'tenant="acme",service="a",instance="r0",pod="p0"', '1000+10x20 stale _x20 1420+10x18'),
  usage(name, 'tenant="acme",service="a",instance="r1",pod="p1"', '_x22 1220+10x18 stale'),
];

const MERGED = {
  name: 'one counter of many owners',
  interval: '1m',
  input_series: [...COUNTERS, ...GAUGES].flatMap(owners),
  promql_expr_test: [...COUNTERS, ...GAUGES].flatMap((name) => [
    // The bytes from minute 10 to minute 60, and a hole that is not seen.
    expected(`round(increase(merged:tempo_usage_tracker_${name}[50m]), 10)`, '60m', {
      [`{${U},job="u",tenant="acme",service="a"}`]: 500,
    }),
    expected(`merged:tempo_usage_tracker_${name}`, '21m', {
      [`merged:tempo_usage_tracker_${name}{${U},job="u",tenant="acme",service="a"}`]: 1200,
    }),
  ]),
};

export const RECORDING_TESTS: readonly object[] = [RATES, MERGED];

export const SLOW_RECORDING_TESTS: readonly object[] = [
  {
    name: 'sums of a day, and the lag that masks them',
    interval: '10m',
    input_series: [
      usage('tenant_bytes_total', 'tenant="acme"', '0+100x300'),
      usage('bytes_received_total', 'tenant="acme",service="a",team="x"', '0+60x300'),
      usage('bytes_received_total', 'tenant="acme",service="a",team="y"', '0+40x300'),
      { series: 'tracetally_lag_seconds{namespace="n",job="t",topic="t",partition="0"}', values: '7x300' },
      { series: 'tracetally_lag_seconds{namespace="n",job="t",topic="t",partition="1"}', values: '3x300' },
    ],
    promql_expr_test: [
      expected('tenant:tracetally_usage_bytes:increase1d', '2d', {
        [`tenant:tracetally_usage_bytes:increase1d{${U},tenant="acme"}`]: 14_400,
      }),
      expected('tenant_dimension:tracetally_usage_bytes:increase1d', '2d', {
        [`tenant_dimension:tracetally_usage_bytes:increase1d{${U},tenant="acme",dimension="service",service="a"}`]: 14_400,
      }),
      expected('namespace:tracetally_lag_seconds:max', '2d', {
        'namespace:tracetally_lag_seconds:max{namespace="n"}': 7,
      }),
    ],
  },
];
