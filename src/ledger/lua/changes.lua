-- Which accounts of shards changed after a change counter of each.
--
-- KEYS   of each shard :meta, :markers, :tenants
-- ARGV   of each shard its change counter
-- Result of each shard false where it has no state, else
--        text: one word a line, format, installation, life, loss, clock, counter, replayed, then field, marker, ...
--        {member of :tenants, ...}
-- Guarantee: all of one instant. Writes nothing. A shard to which nothing was done has the same text.

local answers = {}
for i = 1, #ARGV do
  local key = 3 * i - 2
  local meta = redis.call('HMGET', KEYS[key], 'format', 'installation', 'life', 'loss', 'clock', 'counter', 'replayed')
  answers[i] = false
  if meta[1] then
    for j = 1, #meta do
      meta[j] = meta[j] or ''
    end
    local markers = redis.call('HGETALL', KEYS[key + 1])
    for j = 1, #markers do
      meta[#meta + 1] = markers[j]
    end
    answers[i] = { table.concat(meta, '\n'), redis.call('ZRANGEBYSCORE', KEYS[key + 2], '(' .. ARGV[i], '+inf') }
  end
end
return answers
