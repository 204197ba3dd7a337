-- Sets markers where they are absent, and makes the shard where it is absent and may be made.
--
-- KEYS   1 :meta  2 :markers  3 :tenants  4 :owner  5 :moves
-- ARGV   1 format  2 installation  3 "no", "first" or "after-loss": may the shard be made  4 life of a shard made here
--        then field and marker of each
-- Result {1, {format, installation, life, loss, clock, counter, replayed}, {field, marker, ...}}
--        {0}: no state, and none was made
--        {-1, format, installation}: another one's
-- Guarantee: a marker that is there stays as it is. What a half-lost shard had left does not enter the new life.

--#include shard.lua

local shard, refusal = openShard()
if not shard then
  if refusal[1] ~= 0 or ARGV[3] == 'no' then
    return refusal
  end
  local time = redis.call('TIME')
  local now = text(time[1] * 1000000 + time[2])
  redis.call('HSET', KEYS[1], 'format', ARGV[1], 'installation', ARGV[2], 'life', ARGV[4],
    'loss', ARGV[3] == 'after-loss' and 1 or 0, 'clock', 0, 'called', now, 'counter', now, 'replayed', 0)
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
end
for i = 5, #ARGV, 2 do
  redis.call('HSETNX', KEYS[2], ARGV[i], ARGV[i + 1])
end
return {
  1,
  redis.call('HMGET', KEYS[1], 'format', 'installation', 'life', 'loss', 'clock', 'counter', 'replayed'),
  redis.call('HGETALL', KEYS[2]),
}
