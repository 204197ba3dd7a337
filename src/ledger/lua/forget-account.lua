-- Deletes what a forgotten life has left of an account.
--
-- KEYS   1 :tenants  2 :forgotten  3 :totals  4 :series  5 :labels
-- ARGV   1 member of :tenants
-- Guarantee: an account that the shard's present life has is left alone.

if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  redis.call('UNLINK', KEYS[3], KEYS[4], KEYS[5])
end
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
