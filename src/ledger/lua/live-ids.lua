-- The ids of all live series of an account.
--
-- KEYS   1 :tenants  2 :totals  3 :series
-- ARGV   1 member of :tenants
-- Result admissions, ids one after the other
-- Guarantee: both are of one instant. Writes nothing.

if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return { '0', '' }
end
return { redis.call('HGET', KEYS[2], 'admissions'), table.concat(redis.call('HKEYS', KEYS[3])) }
