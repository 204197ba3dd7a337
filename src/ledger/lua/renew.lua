#!lua flags=allow-oom
-- Prolongs leases of shards.
--
-- KEYS   of each shard :meta, :owner
-- ARGV   1 format  2 installation
--        of each shard token, ms
-- Result of each shard
--        {1, 1 if the token held it, else 0}
--        {0}: no state
--        {-1, format, installation}: another one's
-- Guarantee: a lease that ran out is not revived. The change counter moves with each renewal. May run when the server
-- is out of memory.

--#include shard.lua

local answers = {}
for i = 1, #KEYS / 2 do
  local meta, owner = KEYS[2 * i - 1], KEYS[2 * i]
  local shard, refusal = openShard(meta)
  local held = 0
  if shard and redis.call('GET', owner) == 'held ' .. ARGV[2 * i + 1] then
    redis.call('PEXPIRE', owner, ARGV[2 * i + 2])
    redis.call('HSET', meta, 'counter', text(shard.counter))
    held = 1
  end
  answers[i] = refusal or { 1, held }
end
return answers
