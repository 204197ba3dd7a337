-- Binds the prefix to an installation where it is bound to none.
--
-- KEYS   1 the hash of the ledger as a whole
-- ARGV   1 format  2 Kafka's cluster id  3 group id
-- Result {format, cluster id, group id} as they are stored
-- Guarantee: of several that claim at once, one wins, and all are told which.

if redis.call('HEXISTS', KEYS[1], 'format') == 0 then
  redis.call('HSET', KEYS[1], 'format', ARGV[1], 'cluster', ARGV[2], 'group', ARGV[3])
end
return redis.call('HMGET', KEYS[1], 'format', 'cluster', 'group')
