-- Where a shard stands.
--
-- KEYS   1 :meta  2 :markers
-- Result nil where the shard has no state, else
--        {format, installation, life, loss, clock, counter, replayed}, {field, marker, ...}
-- Guarantee: both are of one instant. Writes nothing.

local meta = redis.call('HMGET', KEYS[1], 'format', 'installation', 'life', 'loss', 'clock', 'counter', 'replayed')
if not meta[1] then
  return nil
end
return { meta, redis.call('HGETALL', KEYS[2]) }
