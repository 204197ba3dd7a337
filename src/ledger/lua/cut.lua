-- All totals of a shard and the markers that they stand for.
--
-- KEYS   1 :meta  2 :markers  3 :tenants  4 :moves, then :totals and :series of each account
-- ARGV   member of :tenants of each account
-- Result nil where the shard has no state, else
--        {format, installation, life, loss, clock, counter, replayed}, {field, marker, ...}, {counter, note, ...},
--        {live series, {admissions, total, overflow, retired, unattributed}, ...}, or 0 where the accounts are other ones
-- Guarantee: all of one instant. Writes nothing.

local meta = redis.call('HMGET', KEYS[1], 'format', 'installation', 'life', 'loss', 'clock', 'counter', 'replayed')
if not meta[1] then
  return nil
end
local markers, moves = redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[4])
if redis.call('ZCARD', KEYS[3]) ~= #ARGV then
  return { meta, markers, moves, 0 }
end
local accounts = {}
for i = 1, #ARGV do
  if not redis.call('ZSCORE', KEYS[3], ARGV[i]) then
    return { meta, markers, moves, 0 }
  end
  accounts[2 * i - 1] = redis.call('HLEN', KEYS[4 + 2 * i])
  accounts[2 * i] = redis.call('HMGET', KEYS[3 + 2 * i], 'admissions', 'total', 'overflow', 'retired', 'unattributed')
end
return { meta, markers, moves, accounts }
