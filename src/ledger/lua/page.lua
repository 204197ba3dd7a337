-- Some series of an account, with its totals and where the shard stands.
--
-- KEYS   1 :meta  2 :markers  3 :tenants  4 :totals  5 :series
-- ARGV   1 member of :tenants  2 cursor, "0" at the start  3 about how many series
-- Result nil where the shard or the account is gone, else
--        {format, installation, life, loss, clock, counter, replayed}, {field, marker, ...},
--        change counter at the account's last change, live series, 
--        {admissions, total, overflow, retired, unattributed, demand},
--        cursor ("0" at the end), {id, packed, ...}
-- Guarantee: all of one instant. A series that lives through all pages is on one of them, or on several. Writes nothing.

local meta = redis.call('HMGET', KEYS[1], 'format', 'installation', 'life', 'loss', 'clock', 'counter', 'replayed')
local changed = meta[1] and redis.call('ZSCORE', KEYS[3], ARGV[1])
if not changed then
  return nil
end
local scan = redis.call('HSCAN', KEYS[5], ARGV[2], 'COUNT', ARGV[3])
return {
  meta,
  redis.call('HGETALL', KEYS[2]),
  changed,
  redis.call('HLEN', KEYS[5]),
  redis.call('HMGET', KEYS[4], 'admissions', 'total', 'overflow', 'retired', 'unattributed', 'demand'),
  scan[1],
  scan[2],
}
