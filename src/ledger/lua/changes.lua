-- Which accounts changed after a change counter.
--
-- KEYS   1 :meta  2 :markers  3 :tenants
-- ARGV   1 change counter
-- Result nil where the shard has no state, else
--        {format, installation, life, loss, clock, counter, replayed}, {field, marker, ...}, {member of :tenants, ...}
-- Guarantee: all of one instant. Writes nothing.

local meta = redis.call('HMGET', KEYS[1], 'format', 'installation', 'life', 'loss', 'clock', 'counter', 'replayed')
if not meta[1] then
  return nil
end
return {
  meta,
  redis.call('HGETALL', KEYS[2]),
  redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. ARGV[1], '+inf'),
}
